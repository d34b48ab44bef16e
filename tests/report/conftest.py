"""A clip with a result, and a headless browser."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dcpose_cli.files import sha256_of
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person

HERE = Path(__file__).parent
BROWSER = SimpleNamespace(**runpy.run_path(str(HERE / "browser.py")))


def walker(track, x, index, score=0.9):
    """A person 36 x 90 whose joints go right with time; the ears are never predicted."""
    keypoints = np.zeros((17, 3), np.float32)
    for slot in range(17):
        if slot not in (3, 4):
            keypoints[slot] = (x + 2 * (slot % 5) + index / 4, 4 + 5 * slot, score)
    return Person(track, np.array([x, 2, 36, 90], np.float32), 0.8, keypoints)


def frames_of(count=50, fps=25, pts=512):
    """Track 0 everywhere; track 7 absent in frames 20 to 29, and its right wrist unsure in frames 35 to 44."""
    frames = []
    for index in range(count):
        people = [walker(0, 10, index)]
        if not 20 <= index < 30:
            other = walker(7, 90, index, 0.8)
            if 35 <= index < 45:
                other.keypoints[10, 2] = 0.12
            people.append(other)
        frames.append(FrameResult(index, pts * index, index / fps, tuple(people), index == 3))
    return frames


@pytest.fixture(scope="session")
def made(product, tmp_path_factory):
    """Folder with clip.mp4 and clip.json."""
    folder = tmp_path_factory.mktemp("report")
    clip = product.make_clip(folder / "clip.mp4", frames=50, size=(160, 96))
    header = {"time_base": "1/12800", "width": 160, "height": 96, "model": {"name": "m"}, "detector": {"name": "d"}}
    header["input"] = {"name": "clip.mp4", "sha256": sha256_of(clip)}
    with PoseTrackWriter(folder / "clip.json", header) as writer:
        for frame in frames_of():
            writer.write(frame)
    return folder


@pytest.fixture
def browser(tmp_path):
    """A page of a headless Chromium."""
    binary = BROWSER.find_chromium()
    if binary is None:
        pytest.skip("needs Chromium (chromium or google-chrome on the path, or its name in DCPOSE_CHROMIUM)")
    page = BROWSER.Page(binary, tmp_path / "profile")
    yield page
    page.close()
