"""The page as a file: what is in it, where its video is, and what is refused."""

from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli import InputError, OutputError, UsageError
from dcpose_cli.report import write_report
from dcpose_cli.results import PoseTrackWriter, read_posetrack
from dcpose_cli.types import FrameResult


def meta_of(page):
    return json.loads(re.search(r'<script type="application/json" id="meta">(.*?)</script>', page.read_text(), re.S)[1])


def element(page, name):
    return re.search(rf'<script type="text/plain" id="{name}">(.*?)</script>', page.read_text(), re.S)[1]


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "in")
    return tmp_path / "in"


def test_the_video_is_found_and_named_relative_to_the_page(folder):
    summary = write_report(folder / "clip.json", folder / "page.html")
    assert (summary.frames, summary.tracks, summary.warnings) == (50, 2, ())
    meta = meta_of(folder / "page.html")
    assert meta["video"]["source"] == "clip.mp4"
    assert element(folder / "page.html", "clip") == ""
    assert (meta["width"], meta["height"], meta["frames"], meta["damaged"]) == (160, 96, 50, [3])
    assert meta["about"] == ["model m", "detector d"]
    assert [track["id"] for track in meta["tracks"]] == [0, 7]
    (folder / "sub dir").mkdir()
    write_report(folder / "clip.json", folder / "sub dir" / "page.html")
    assert meta_of(folder / "sub dir" / "page.html")["video"]["source"] == "../clip.mp4"
    (folder / "clip.mp4").rename(folder / "it's 100% #1.mp4")
    write_report(folder / "clip.json", folder / "b.html", video=folder / "it's 100% #1.mp4")
    assert meta_of(folder / "b.html")["video"]["source"] == "it%27s%20100%25%20%231.mp4"
    assert str(folder) not in (folder / "b.html").read_text()


def test_doubtful_seconds_of_every_track(folder):
    """Track 7 is unsure as a whole in its last second; nobody else is doubtful."""
    frames = read_posetrack(folder / "clip.json")
    with PoseTrackWriter(folder / "doubt.json", frames.header) as writer:
        for frame in frames.frames:
            people = list(frame.people)
            if frame.time >= 1:
                people[-1] = replace(people[-1], keypoints=people[-1].keypoints * np.float32([1, 1, 0.2]))
            elif frame.index == 12:
                people[0] = replace(people[0], interpolated=True)
            writer.write(replace(frame, people=tuple(people)))
    write_report(folder / "doubt.json", folder / "doubt.html")
    page = meta_of(folder / "doubt.html")
    assert [page["tracks"][place]["id"] for place, _, _ in page["doubts"]] == [0, 7]
    assert [(second, flags) for _, second, flags in page["doubts"]] == [(0, 16), (1, 1)]
    write_report(folder / "clip.json", folder / "sure.html")
    assert meta_of(folder / "sure.html")["doubts"] == []


def test_the_video_inside_the_page(folder):
    summary = write_report(folder / "clip.json", folder / "page.html", embed=True)
    assert base64.b64decode(element(folder / "page.html", "clip")) == (folder / "clip.mp4").read_bytes()
    assert summary.size == (folder / "page.html").stat().st_size


def test_no_video_and_another_video(folder, product):
    (folder / "clip.mp4").rename(folder / "moved.mp4")
    [warning] = write_report(folder / "clip.json", folder / "a.html").warnings
    assert "--video" in warning
    assert meta_of(folder / "a.html")["video"] is None
    product.make_clip(folder / "clip.mp4", frames=4, size=(160, 96))
    assert write_report(folder / "clip.json", folder / "b.html").video is None  # the name alone is not enough
    [warning] = write_report(folder / "clip.json", folder / "c.html", video=folder / "clip.mp4").warnings
    assert "not the file" in warning
    product.make_clip(folder / "small.mp4", frames=4)
    with pytest.raises(InputError, match="96x64"):
        write_report(folder / "clip.json", folder / "d.html", video=folder / "small.mp4")
    with pytest.raises(UsageError, match="no video to embed"):
        (folder / "clip.mp4").unlink()
        write_report(folder / "clip.json", folder / "d.html", embed=True)
    assert not (folder / "d.html").exists()


def test_nothing_in_the_page_can_reach_the_network(folder):
    write_report(folder / "clip.json", folder / "page.html")
    text = (folder / "page.html").read_text()
    assert "default-src 'none'" in text
    outside = [a for a in re.findall(r"https?://[^\s\"'`<>)]+", text) if "uPlot" not in a]
    assert outside == []
    assert not re.search(r"<(?:link|img|iframe|script[^>]*\ssrc)", text)


def test_names_cannot_leave_their_place(folder):
    evil = "</script><script>alert(1)</script>.json"
    shutil.copy(folder / "clip.json", folder / evil.replace("/", "_"))
    data = json.loads((folder / "clip.json").read_text())
    data["dcpose"]["model"]["name"] = "</script><img src=x onerror=alert(1)>"
    (folder / "evil.json").write_text(json.dumps(data))
    write_report(folder / "evil.json", folder / "page.html")
    assert "<img" not in (folder / "page.html").read_text()
    assert meta_of(folder / "page.html")["about"][0].endswith("onerror=alert(1)>")


def test_refusals(folder):
    (folder / "page.html").write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        write_report(folder / "clip.json", folder / "page.html")
    with pytest.raises(UsageError, match=r"\.html"):
        write_report(folder / "clip.json", folder / "page.pdf")
    with pytest.raises(InputError, match="no such file"):
        write_report(folder / "clip.json", folder / "x.html", video=folder / "none.mp4")
    with PoseTrackWriter(folder / "empty.json", {"time_base": "1/25"}):
        pass
    with pytest.raises(InputError, match="no frames"):
        write_report(folder / "empty.json", folder / "x.html")
    assert (folder / "page.html").read_text() == "precious"
    assert not (folder / "x.html").exists()


def test_a_result_without_a_size(folder):
    with PoseTrackWriter(folder / "bare.json", {"time_base": "1/25"}) as writer:
        writer.write(FrameResult(0, 0, 0.0))
    write_report(folder / "bare.json", folder / "bare.html")
    assert meta_of(folder / "bare.html")["width"] > 0
