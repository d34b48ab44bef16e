"""`dcpose models get`: from a server that fails in every way, stored whole or not at all, and used afterwards."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace

import pytest

from dcpose_cli.checkpoints.files import find_weights, open_model
from dcpose_cli.checkpoints.published import get_model, is_fetched, remove_model
from dcpose_cli.errors import OutputError, UsageError, WeightsError
from dcpose_cli.published import download, store
from dcpose_cli.published.table import PUBLISHED

NAME = "hrnet-w48-posetrack18"
FILE = "hrnet_w48_posetrack18_384x288-5fd6d3ff_20211130.pth"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "RETRY_DELAYS_S", (0.0, 0.0))
    monkeypatch.setattr(download, "TIMEOUT_S", 2.0)


@pytest.fixture(scope="module")
def content(layouts):
    """A stand-in for the file of NAME, of a narrow and short network."""
    return layouts.content_of(layouts.state_of(PUBLISHED[NAME], short=True))


@pytest.fixture
def served(shelf, layouts, content, monkeypatch):
    shelf.files[FILE] = content
    monkeypatch.setitem(PUBLISHED, NAME, layouts.relabelled(PUBLISHED[NAME], content))
    return shelf


def refused(call, *args, kind=WeightsError, **options):
    with pytest.raises(kind) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stored(tmp_path):
    return sorted(
        p.relative_to(tmp_path / "data/dcpose").as_posix() for p in tmp_path.rglob("data/**/*") if p.is_file()
    )


WHOLE = [
    *("downloads/.lock", f"hashes/{FILE}.sha256"),
    *(f"models/{NAME}/model.{ending}" for ending in ("safetensors", "sha256")),
]


@pytest.mark.parametrize(
    ("plan", "ranges"),
    [
        (["whole"], [None]),
        (["cut", "whole"], [None, "bytes"]),
        (["cut", "cut", "cut", "cut", "cut"], [None, *["bytes"] * 5]),  # each brings the file forward
        (["cut", "no ranges"], [None, "bytes"]),
        (["stall", "whole"], [None, "bytes"]),
        (["503", "500", "whole"], [None] * 3),
        (["overlong"], [None, "bytes"]),
        (["gzip"], [None]),
        (["cut", "gzip"], [None, "bytes"]),
        (["to ../elsewhere/" + FILE], [None, None]),
    ],
    ids=[
        "whole",
        "resumed",
        "cut often",
        "no ranges",
        "stalled",
        "busy",
        "more promised",
        "gzip",
        "resumed as gzip",
        "redirected",
    ],
)
def test_right_in_the_end(served, tmp_path, content, plan, ranges):
    served.plan = plan
    seen = []
    path = get_model(NAME, report=lambda done, total: seen.append((done, total)))
    assert [asked and asked[:5] for _, asked in served.asked] == ranges
    assert stored(tmp_path) == WHOLE
    assert (tmp_path / f"data/dcpose/hashes/{FILE}.sha256").read_text().strip() == hashlib.sha256(content).hexdigest()
    header = open_model(path).header
    assert (header.name, header.input_size, header.joints, header.decoding) == (
        NAME,
        (288, 384),
        "posetrack",
        "quarter",
    )
    assert hashlib.sha256(content).hexdigest() in header.source
    assert seen[-1][0] == len(content)
    assert find_weights(NAME) == path
    served.asked.clear()
    assert get_model(NAME) == path  # it is here
    assert served.asked == []


@pytest.mark.parametrize(
    ("plan", "requests", "reason"),
    [
        (["404"], 1, "the server answers 404"),
        (["403"], 1, "the server answers 403"),
        (["503"] * 3, 3, "the server answers 503"),
        (["stall"] + ["503"] * 3, 4, "503"),
        (["to file:///etc/passwd"], 1, "the server answers 302"),
        (["to ftp://127.0.0.1/x"], 1, "redirected to ftp"),
        (["br"] * 3, 3, "encoded the file as 'br'"),
    ],
    ids=["404", "403", "busy", "stalled", "to a file", "to ftp", "unknown encoding"],
)
def test_wrong_in_the_end(served, tmp_path, plan, requests, reason):
    served.plan = plan
    text = refused(get_model, NAME)
    assert reason in text
    assert f"fetch {PUBLISHED[NAME].url} by other means" in text
    assert f"dcpose models get {NAME} --from FILE" in text
    assert len(served.asked) == requests
    assert [name for name in stored(tmp_path) if not name.startswith("downloads/")] == []
    served.plan = []
    get_model(NAME)
    assert stored(tmp_path) == WHOLE


def test_nobody_is_there(monkeypatch, served, tmp_path):
    monkeypatch.setenv("DCPOSE_MIRROR", "http://127.0.0.1:9/")
    assert "refused" in refused(get_model, NAME)


@pytest.mark.parametrize(
    "change", [lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: c[: len(c) // 2], lambda c: b"<html>login"]
)
def test_another_file_under_the_name(served, tmp_path, content, change):
    """Changed, truncated where the server does not know it, the page of a hotel's network."""
    served.files[FILE] = change(content)
    text = refused(get_model, NAME)
    assert "not the published file" in text
    assert stored(tmp_path) == ["downloads/.lock"]


def test_a_begun_download_of_another_file_is_begun_anew(served, tmp_path, content):
    begun = tmp_path / "data/dcpose/downloads" / FILE.replace(".pth", ".partial.pth")
    begun.parent.mkdir(parents=True)
    for rubbish in (b"x" * 1000, b"x" * len(content), b"x" * (len(content) + 9)):
        served.asked.clear()
        begun.write_bytes(rubbish)
        get_model(NAME)
        assert len(served.asked) == 2
        assert stored(tmp_path) == WHOLE
        remove_model(NAME)


def test_an_answer_without_end_is_refused(served, tmp_path, monkeypatch, content):
    monkeypatch.setitem(PUBLISHED, NAME, replace(PUBLISHED[NAME], size=len(content) // 3))
    assert "longer than" in refused(get_model, NAME)
    assert len(served.asked) == 1


def test_no_way_from_https_to_http():
    import urllib.error
    import urllib.request

    handler = download._Redirects()
    request = urllib.request.Request("https://example.org/a")
    for address in ("http://example.org/b", "file:///etc/passwd", "ftp://example.org/b"):
        with pytest.raises(urllib.error.HTTPError, match="redirected to"):
            handler.redirect_request(request, None, 302, "", {}, address)
    assert handler.redirect_request(request, None, 302, "", {}, "https://example.org/b").full_url.endswith("/b")


def test_the_whole_hash_is_remembered(served, tmp_path, content, monkeypatch):
    """A file whose name carries eight digits of its hash: another one that begins alike is noticed."""
    get_model(NAME)
    assert remove_model(NAME)
    assert not is_fetched(PUBLISHED[NAME])
    monkeypatch.setattr(store, "file_sha256", lambda path: PUBLISHED[NAME].sha256[0] + "0" * 56)
    assert "not the file of the first download" in refused(get_model, NAME)
    assert not find(tmp_path, "model.safetensors")


def find(folder, name):
    return list(folder.rglob(name))


def test_from_a_file(served, tmp_path, content):
    mine = tmp_path / "fetched by hand.pth"
    mine.write_bytes(content + b"?")
    assert "fetched by hand.pth: not the published file" in refused(get_model, NAME, file=mine)
    mine.unlink()
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        make(mine)
        assert "a pipe or device" in refused(get_model, NAME, file=mine)
        mine.unlink()
    mine.write_bytes(content)
    path = get_model(NAME, file=mine, offline=True)
    assert open_model(path).header.name == NAME
    assert mine.read_bytes() == content
    assert served.asked == []


@pytest.mark.parametrize("name", [NAME, "yolov8n"])
def test_a_file_that_is_exchanged_after_its_hash_was_taken(served, tmp_path, layouts, content, monkeypatch, name):
    """What is checked is what is used, whatever the file holds a moment later."""
    content = content if name == NAME else layouts.detector_content()
    monkeypatch.setitem(PUBLISHED, name, layouts.relabelled(PUBLISHED[name], content))
    mine = tmp_path / "mine.pt"
    mine.write_bytes(content)

    def exchanged(entry, digest, check=store.hash_problem):
        mine.write_bytes(b"another file")
        return check(entry, digest)

    monkeypatch.setattr(store, "hash_problem", exchanged)
    path = get_model(name, file=mine)
    assert mine.read_bytes() == b"another file"
    if name == NAME:
        assert hashlib.sha256(content).hexdigest() in open_model(path).header.source
    else:
        assert path.read_bytes() == content
    assert not [file for file in stored(tmp_path) if file.startswith("downloads/")]
    assert "mine.pt: not the published file" in refused(get_model, name, file=mine)
    assert not [file for file in stored(tmp_path) if file.startswith("downloads/")]


def test_a_file_without_end_is_not_copied(served, tmp_path, monkeypatch):
    """A sparse file of a terabyte does not fill the disk."""
    monkeypatch.setitem(PUBLISHED, NAME, replace(PUBLISHED[NAME], size=1_000_000))
    mine, copied = tmp_path / "mine.pth", []
    with mine.open("wb") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(
        store.AtomicFile,
        "discard",
        lambda self, discard=store.AtomicFile.discard: (copied.append(self.temp.stat().st_size), discard(self)),
    )
    assert "not the published file" in refused(get_model, NAME, file=mine)
    assert copied == [2_000_000]


def test_offline_asks_nobody(served):
    text = refused(get_model, NAME, offline=True)
    assert "--offline" in text
    assert PUBLISHED[NAME].url in text
    assert served.asked == []


def test_mirrors(served, monkeypatch):
    for mirror in ("/a/folder", "file:///a/folder", "ftp://example.org", "http://"):
        assert "a mirror must be an http or https address" in refused(get_model, NAME, mirror=mirror, kind=UsageError)
    monkeypatch.setenv("DCPOSE_MIRROR", "http://127.0.0.1:9/")
    get_model(NAME, mirror=served.address)
    assert served.asked == [(f"/files/{FILE}", None)]
    monkeypatch.delenv("DCPOSE_MIRROR")
    assert store._address(PUBLISHED[NAME], None) == PUBLISHED[NAME].url


def test_names(served, dcpose, clip, tmp_path):
    assert "did you mean hrnet-w48-posetrack18" in refused(get_model, "hrnet-w48-posetrack", kind=UsageError)
    assert f"run dcpose models get {NAME}" in refused(find_weights, NAME)
    (tmp_path / NAME).mkdir()
    assert "--detector yolov8n.pt" in refused(find_weights, "yolov8n")
    result = dcpose("estimate", clip, "-o", tmp_path / "out.mp4", *dcpose.models, "--model", NAME)
    assert result.returncode == 5
    assert result.stderr.strip().endswith(f"run dcpose models get {NAME}")
    assert served.asked == []


def test_commands(served, dcpose, tmp_path, content):
    table = dcpose("models", "available").stdout
    assert all(name in table for name in PUBLISHED)
    assert "fetched" not in table
    details = dcpose("models", "available", "--details").stdout
    assert all(entry.url in details for entry in PUBLISHED.values())
    got = dcpose("models", "get", NAME)
    assert got.returncode == 0, got.stderr
    assert f"use --model {NAME}" in got.stdout
    assert "Apache-2.0" in got.stdout
    assert "here already" in dcpose("models", "get", NAME).stdout
    assert NAME in dcpose("models", "list").stdout
    assert "fetched" in dcpose("models", "available").stdout
    assert "288x384" in dcpose("models", "info", NAME).stdout
    assert "removed" in dcpose("models", "remove", NAME).stdout
    assert "was not here" in dcpose("models", "remove", NAME).stdout
    assert NAME not in dcpose("models", "list").stdout
    failed = dcpose("models", "get", NAME, "yolov8n", "--from", tmp_path / "x")
    assert failed.returncode == 2


def test_a_folder_that_takes_nothing(served, tmp_path):
    (tmp_path / "data").write_text("in the way")
    text = refused(get_model, NAME, kind=(WeightsError, OutputError))
    assert "XDG_DATA_HOME" in text
    assert served.asked == []


def test_a_file_that_wants_to_run_code(shelf, layouts, tmp_path, monkeypatch):
    import io
    import os

    import torch

    class RunsCode:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'victim'}",)

    out = io.BytesIO()
    torch.save({"state_dict": {}, "meta": RunsCode()}, out)
    shelf.files[FILE] = out.getvalue()
    monkeypatch.setitem(PUBLISHED, NAME, layouts.relabelled(PUBLISHED[NAME], out.getvalue()))
    assert "was refused: to load it" in refused(get_model, NAME)
    assert stored(tmp_path) == ["downloads/.lock"]
    assert not (tmp_path / "victim").exists()


@pytest.mark.slow
def test_killed_in_the_middle_and_again(served, dcpose, product, tmp_path, content):
    """kill -9 while the file comes: nothing under the model's name, and the next call goes on where it ended."""
    served.plan = ["stall"]
    before = (
        "from dataclasses import replace; import dcpose_cli.published.table as t; import dcpose_cli.published.download "
        f"as d; d.TIMEOUT_S = 60; t.PUBLISHED[{NAME!r}] = replace(t.PUBLISHED[{NAME!r}], "
        f"sha256={PUBLISHED[NAME].sha256!r})"
    )
    process = dcpose.start("models", "get", NAME, before=before)
    part = tmp_path / "data/dcpose/downloads" / FILE.replace(".pth", ".partial.pth")
    product.wait_until(lambda: part.is_file() and part.stat().st_size == int(len(content) * 0.4))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert stored(tmp_path) == sorted(["downloads/.lock", f"downloads/{part.name}"])
    served.asked.clear()
    done = dcpose.process("models", "get", NAME, before=before)
    assert done.returncode == 0, done.stderr
    assert served.asked == [(f"/files/{FILE}", f"bytes={int(len(content) * 0.4)}-")]
    assert stored(tmp_path) == WHOLE


def test_verify_compares_what_was_fetched(served, dcpose, tmp_path, layouts, monkeypatch):
    """Files that were damaged or exchanged afterwards are named, all of them, with the exit code of models."""
    detector = layouts.detector_content()
    served.files["yolov8n.pt"] = detector
    monkeypatch.setitem(PUBLISHED, "yolov8n", layouts.relabelled(PUBLISHED["yolov8n"], detector))
    assert dcpose("models", "get", NAME, "yolov8n").returncode == 0
    path, weights = find_weights(NAME), tmp_path / "data/dcpose/detectors/yolov8n.pt"
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (path, weights)]
    whole = dcpose("models", "verify")
    assert whole.returncode == 0, whole.stderr
    assert "dcpose-s: " in whole.stdout
    for name, digest in ((NAME, digests[0]), ("yolov8n.pt", digests[1])):
        assert f"{name}: {digest} ok" in whole.stdout
        assert f"{name}: {digest} ok" in dcpose("models", "verify", name).stdout
    assert f"yolov8n: {digests[1]} ok" in dcpose("models", "verify", "yolov8n").stdout
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    damaged = dcpose("models", "verify")
    assert damaged.returncode == 5
    assert str(path) in damaged.stderr
    assert f"dcpose models remove {NAME} and dcpose models get {NAME}" in damaged.stderr
    assert "dcpose-s: " in damaged.stdout  # the others were compared all the same
    assert "yolov8n.pt: " in damaged.stdout
    weights.write_bytes(detector[:-1])
    both = dcpose("models", "verify", NAME, "yolov8n.pt")
    assert both.returncode == 5
    assert str(path) in both.stderr
    assert str(weights) in both.stderr
    assert both.stderr.count("\n") == 1
    path.with_suffix(".sha256").unlink()
    assert "no hash of it was remembered" in dcpose("models", "verify", NAME).stderr
    assert "is not on this machine" in dcpose("models", "verify", "hrnet-w32-coco").stderr
    path.unlink()
    assert dcpose("models", "remove", NAME).returncode == 0
    assert dcpose("models", "get", NAME).returncode == 0
    assert dcpose("models", "verify", NAME).returncode == 0


def test_a_second_fetch_remembers_the_new_file(served, dcpose, tmp_path, content):
    """A conversion by another version of dcpose may differ in its header."""
    path = get_model(NAME)
    path.with_suffix(".sha256").write_text("0" * 64)
    assert dcpose("models", "verify", NAME).returncode == 5
    mine = tmp_path / "mine.pth"
    mine.write_bytes(content)
    get_model(NAME, file=mine)
    assert dcpose("models", "verify", NAME).returncode == 0
