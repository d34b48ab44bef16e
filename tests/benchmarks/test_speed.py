"""benchmarks/speed.py: the clips it makes, and its check of ratios."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speed
import speed_check
from speed_clips import SCENES, make_clip, pictures

from dcpose_cli.video.reader import VideoReader


@pytest.fixture
def people():
    """Two people of one colour each, in two poses: (H, W, 4) uint8."""
    return [
        [np.full((256, width, 4), (*colour, 255), np.uint8) for width in (60, 80)]
        for colour in ((255, 0, 0), (0, 0, 255))
    ]


def test_scenes_follow_from_the_number_of_the_frame(people):
    scene = SCENES["crowd"]
    first, again = (list(pictures(scene, people, 3)) for _ in range(2))
    assert [picture.shape for picture in first] == [(720, 1280, 3)] * 3
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    red = (first[0] == (255, 0, 0)).all(axis=2)
    blue = (first[0] == (0, 0, 255)).all(axis=2)
    # Eight and seven people, narrower ones of 60 and wider ones of 80 in 256 of their height.
    shares = [0.24, 0.31, 0.38]
    wide = [[60, 80][place % 2] for place in range(15)]
    area = [(shares[place // 5] * 720) ** 2 * wide[place] / 256 for place in range(15)]
    assert red.sum() == pytest.approx(sum(area[0::2]), rel=0.02)
    assert blue.sum() == pytest.approx(sum(area[1::2]), rel=0.02)
    moved = first[0] != first[1]
    assert moved[:20, :20].any()  # the ground, too


def test_clips_are_written(people, tmp_path, monkeypatch):
    monkeypatch.setattr("speed_clips.cutouts", lambda samples: people)
    with VideoReader(make_clip("4k", tmp_path, 2)) as reader:
        frames = list(reader)
    assert [frame.image.shape for frame in frames] == [(2160, 3840, 3)] * 2
    centre = frames[0].image[1400, 1450:1620].astype(int)
    assert (centre[:, 0] > 200).all()  # the person
    assert (centre[:, 2] < 60).all()


@pytest.fixture
def timed(monkeypatch):
    """The check with times that are known: seconds of the whole program, by clip."""

    def set_to(whole, peer_installed=True):
        seconds = {"pose": 2.0, "detect": 1.0}
        estimator = SimpleNamespace(device=None, detector=SimpleNamespace(imgsz=640))
        monkeypatch.setattr(speed_check, "make_clip", lambda name, folder, frames: Path(name))
        monkeypatch.setattr(speed, "loaded", lambda options: estimator)
        inputs = SimpleNamespace(people=30, frames=[None] * 4)
        monkeypatch.setattr(speed, "prepare", lambda options, estimator: inputs)
        monkeypatch.setattr(speed, "bare_network", lambda estimator, inputs: ("pose", 60))
        monkeypatch.setattr(speed, "detection", lambda estimator, inputs: "detect")
        monkeypatch.setattr(speed, "timed", lambda work, rounds, device: seconds[work])
        monkeypatch.setattr(speed, "whole", lambda options, **_: {"seconds": whole[str(options.clip)]})
        monkeypatch.setattr(speed_check, "peer", lambda options: {"ms per frame": 500.0})
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if peer_installed else None)

    return set_to


def options():
    return argparse.Namespace(json=None, peer=None)


def test_ratios_are_over_the_bare_networks_and_the_peer(timed):
    timed({"crowd": 3.0, "4k": 4.0})
    found = speed_check.ratios("crowd", options())
    # 30 of the 60 people of the timed network: one second, and one of the detector; four frames of the peer: two.
    assert [(ratio.name, ratio.value) for ratio in found] == [("bare networks", 1.5), ("yolo pose predict", 1.5)]
    timed({"crowd": 3.0}, peer_installed=False)
    assert [ratio.name for ratio in speed_check.ratios("crowd", options())] == ["bare networks"]


def test_a_slower_program_is_told(timed, capsys):
    timed({"crowd": 2.0, "4k": 4.0})
    assert speed_check.main([]) == 0
    assert "TOO SLOW" not in capsys.readouterr().out
    timed({"crowd": 2.0 * speed_check.MOST_OVER_BARE["crowd"] + 0.1, "4k": 4.0})
    assert speed_check.main([]) == 1
    assert capsys.readouterr().out.count("TOO SLOW") == 1


@pytest.mark.slow
def test_every_figure_is_measured(root, tmp_path, capsys):
    out = tmp_path / "speed.json"
    clip = root / "sample_videos" / "sprint.mp4"
    assert speed.main([str(clip), "--frames", "2", "--rounds", "1", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert set(report["stages"]) == {"bare network", "decode", "detect", "crop, network, decode", "draw, encode"}
    assert set(report["whole"]) == set(speed.MODES)
    assert all(row["ms per frame"] > 0 for rows in (report["stages"], report["whole"]) for row in rows.values())
    assert "whole over bare network and detector" in capsys.readouterr().out
