"""Every published name, fetched from a server on this machine and used by `dcpose estimate` as its entry says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import av
import pytest

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.published.table import DETECTOR, PUBLISHED
from dcpose_cli.results import read_posetrack
from dcpose_cli.skeleton.sets import JOINT_SETS, result_joints

#: One of each layout, with a smaller crop where its own takes long; all with their own are in the slow tests.
QUICK = {
    "hrnet-w32-posetrack18-256x192": None,
    "hrnet-w48-coco-udp-256x192": None,
    "posewarper-w48-posetrack18": (48, 64),
    "dcpose-w48": (96, 128),
    "simplebaseline-r50": (48, 64),
    "yolov8n": None,
}
CASES = [
    *(pytest.param(name, crop, id=f"{name}-quick") for name, crop in QUICK.items()),
    *(pytest.param(name, None, id=name, marks=pytest.mark.slow) for name in PUBLISHED if QUICK.get(name, 1)),
]


def stand_in(layouts, entry, depth=50):
    """A narrow and short network in the entry's layout. depth: of a ResNet."""
    if entry.kind == DETECTOR:
        return layouts.detector_content()
    return layouts.content_of(layouts.state_of(entry, depth=depth, short=True))


def fetched(shelf, layouts, dcpose, monkeypatch, name, content):
    shelf.files[PUBLISHED[name].file] = content
    monkeypatch.setitem(PUBLISHED, name, layouts.relabelled(PUBLISHED[name], content))
    got = dcpose("models", "get", name)
    assert got.returncode == 0, got.stderr


def estimated(dcpose, clip, folder, *options):
    """The result of two frames, and its JSON."""
    out = folder / "out.json"
    options = [*dcpose.models, "--max-frames", 2, *options]
    done = dcpose("estimate", clip, "-o", folder / "out.mp4", "--json", out, *options)
    assert done.returncode == 0, done.stderr
    with av.open(str(folder / "out.mp4")) as video:
        assert video.streams.video[0].frames == 2
    return read_posetrack(out), json.loads(out.read_text())


@pytest.mark.parametrize(("name", "crop"), CASES)
def test_every_name_is_fetched_and_estimates(shelf, layouts, dcpose, clip, tmp_path, monkeypatch, name, crop):
    entry = replace(PUBLISHED[name], input_size=crop or PUBLISHED[name].input_size)
    monkeypatch.setitem(PUBLISHED, name, entry)
    content = stand_in(layouts, entry, 18 if crop else 50)
    fetched(shelf, layouts, dcpose, monkeypatch, name, content)
    if entry.kind == DETECTOR:
        _, data = estimated(dcpose, clip, tmp_path, "--detector", f"{name}.pt")
        assert data["dcpose"]["detector"] == {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
        return
    options = entry.options.split()
    result, data = estimated(dcpose, clip, tmp_path, "--model", name, *options)
    joints = result_joints(JOINT_SETS[entry.joints].channels)
    assert tuple(data["categories"][0]["keypoints"]) == result.joints == joints
    assert data["annotations"]
    assert {len(entry["scores"]) for entry in data["annotations"]} == {len(joints)}
    loaded, made = open_model(name), data["dcpose"]
    assert made["model"] == {
        "name": name,
        "sha256": loaded.sha256,
        "joints": entry.joints,
        "input_size": list(entry.input_size),
        "decoding": entry.decoding,
    }
    assert loaded.header.kind == entry.kind
    assert made["settings"]["flip_test"] == ("--flip-test" in options)
    assert made["settings"]["conf"] == (0.2 if "--conf" in options else 0.4)


def test_the_flip_test_is_the_users_choice(shelf, layouts, dcpose, clip, tmp_path, monkeypatch):
    """A published score with a flip test does not turn it on."""
    name = "hrnet-w32-posetrack18-256x192"
    fetched(shelf, layouts, dcpose, monkeypatch, name, stand_in(layouts, PUBLISHED[name]))
    _, data = estimated(dcpose, clip, tmp_path, "--model", name)
    assert data["dcpose"]["settings"]["flip_test"] is False


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_w48(shelf, layouts, dcpose, clip, tmp_path, monkeypatch):
    """255 MB, interrupted once, converted, verified, used with a flip test."""
    name = "hrnet-w48-posetrack18"
    content = layouts.content_of(layouts.state_of(PUBLISHED[name], width=48))
    assert 250e6 < len(content) < 260e6
    shelf.plan = ["cut"]
    fetched(shelf, layouts, dcpose, monkeypatch, name, content)
    assert dcpose("models", "verify", name).returncode == 0
    result, data = estimated(dcpose, clip, tmp_path, "--model", name, "--flip-test")
    assert data["dcpose"]["model"]["input_size"] == [288, 384]
    assert data["dcpose"]["settings"]["flip_test"] is True
    assert any(person.keypoints.any() for frame in result.frames for person in frame.people)
    assert sum(p.numel() for p in open_model(name).net.parameters()) > 63e6
