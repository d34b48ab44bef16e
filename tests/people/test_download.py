"""Stock detectors: downloaded when they are named, checked against either genuine hash, kept in the user's folder."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from dcpose_cli import _ultralytics
from dcpose_cli.errors import WeightsError
from dcpose_cli.people import download
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.published import download as http
from dcpose_cli.published.table import PUBLISHED


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "RETRY_DELAYS_S", (0.0,))


def files(tmp_path):
    return sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file() and p.suffix)


def test_offline_never_downloads(shelf, tmp_path):
    with pytest.raises(WeightsError, match="--offline"):
        PersonDetector("yolo11n.pt", offline=True)
    assert shelf.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_bad_download_leaves_nothing(shelf, tmp_path):
    shelf.files["yolo11n.pt"] = b"not a checkpoint"
    with pytest.raises(WeightsError, match="not the published file") as caught:
        PersonDetector("yolo11n.pt")
    assert PUBLISHED["yolo11n"].url in str(caught.value)
    assert [path for path, _ in shelf.asked] == ["/files/yolo11n.pt"]
    assert files(tmp_path) == []


@pytest.mark.shared
def test_the_genuine_file_of_the_first_release(shelf, shared, tmp_path):
    """Served from where the newer one is expected; both hashes are published."""
    content = (shared / "weights" / "yolov8n.pt").read_bytes()
    shelf.files["yolov8n.pt"] = content + b"\0"
    with pytest.raises(WeightsError, match="not the published file"):
        PersonDetector("yolov8n.pt")
    assert files(tmp_path) == []
    shelf.files["yolov8n.pt"] = content
    assert PersonDetector("yolov8n.pt").name == "yolov8n"
    shelf.files.clear()
    for name in ("yolov8n.pt", "yolov8n"):
        assert PersonDetector(name, offline=True).sha256 == PUBLISHED["yolov8n"].sha256[1]
    assert "data/dcpose/detectors/yolov8n.pt" in files(tmp_path)
    assert not [name for name in files(tmp_path) if "downloads" in name]


@pytest.mark.parametrize("which", [0, 1])
def test_every_published_hash_of_a_stock_file_is_accepted(shelf, layouts, tmp_path, monkeypatch, which):
    """The address serves a newer file than the first release; a user may have either."""
    content = layouts.detector_content()
    contents = [content, content + b"\0"]
    entry = replace(PUBLISHED["yolov8n"], sha256=tuple(hashlib.sha256(one).hexdigest() for one in contents))
    monkeypatch.setitem(PUBLISHED, "yolov8n", entry)
    shelf.files["yolov8n.pt"] = contents[which]
    assert PersonDetector("yolov8n.pt").sha256 == entry.sha256[which]
    path = download.stock_detector("yolov8n.pt", offline=True)
    assert path.read_bytes() == contents[which]
    other = tmp_path / "yolov8n.pt"
    other.write_bytes(contents[1 - which])
    assert download.fetch_detector(entry, file=other) == path  # the other one is a genuine file, too
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="changed since"):
        download.stock_detector("yolov8n.pt", offline=True)


def test_what_an_older_version_downloaded_is_used(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(_ultralytics, "read_checkpoint", lambda path: None)
    former = tmp_path / "cache" / "dcpose" / "yolov8n.pt"
    former.parent.mkdir(parents=True)
    former.write_bytes(b"content")
    monkeypatch.setitem(
        PUBLISHED, "yolov8n", replace(PUBLISHED["yolov8n"], sha256=(hashlib.sha256(b"content").hexdigest(),))
    )
    assert download.stock_detector("yolov8n.pt", offline=True) == former
    assert shelf.asked == []


def test_first_download_is_remembered(shelf, tmp_path, monkeypatch):
    """A stock file without a published hash: what came first must come again, and must not change meanwhile."""
    monkeypatch.setattr(_ultralytics, "read_checkpoint", lambda path: None)
    shelf.files["yolov5n.pt"] = b"content"
    path = download.stock_detector("yolov5n.pt")
    assert path.read_bytes() == b"content"
    assert download.stock_detector("yolov5n.pt", offline=True) == path
    path.write_bytes(b"contend")
    for offline in (True, False):
        with pytest.raises(WeightsError, match="changed since"):
            download.stock_detector("yolov5n.pt", offline=offline)
    path.unlink()
    shelf.files["yolov5n.pt"] = b"something else"
    with pytest.raises(WeightsError, match="not the file of the first download"):
        download.stock_detector("yolov5n.pt")
    assert not path.exists()
    shelf.files["yolov5n.pt"] = b"content"
    assert download.stock_detector("yolov5n.pt") == path


def test_a_first_download_that_is_no_detector_is_not_remembered(shelf, layouts, tmp_path):
    """The page that a hotel's network sends in its place."""
    shelf.files["yolov5n.pt"] = b"<html>please log in</html>"
    with pytest.raises(WeightsError):
        download.stock_detector("yolov5n.pt")
    assert files(tmp_path) == []
    shelf.files["yolov5n.pt"] = layouts.detector_content()
    assert download.stock_detector("yolov5n.pt").is_file()
