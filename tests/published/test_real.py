"""The real files, over the internet: `pytest -m network -n0 tests/published/test_real.py`; some 700 MB.

What is done with them is tried here with a server on this machine, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

#: One of each layout and decoding.
NAMES = ("hrnet-w32-posetrack18", "posewarper-w48-posetrack18", "hrnet-w32-coco-udp", "hrnet-w32-coco-dark")
#: Least share of the visible joints of plaza that a published model finds.
LEAST = 0.9


def fetched(name):
    """The model of a name, its tensors loaded strictly; a test that cannot fetch it fails, and says why."""
    from dcpose_cli.checkpoints.files import open_model
    from dcpose_cli.checkpoints.published import get_model
    from dcpose_cli.errors import WeightsError
    from dcpose_cli.published.table import PUBLISHED

    try:
        loaded = open_model(get_model(name))
    except WeightsError as error:
        pytest.fail(f"{name} could not be fetched and loaded: {error}", pytrace=False)
    entry = PUBLISHED[name]
    header = loaded.header
    assert (header.kind, header.input_size, header.joints) == (entry.kind, entry.input_size, entry.joints)
    assert header.decoding == entry.decoding
    return loaded


def share_found(dcpose, root, folder, loaded, *options):
    """The share of plaza's visible joints, of those the model has, that lie within half a head size."""
    from dcpose_cli.evaluation.sample_clips import score_frames
    from dcpose_cli.evaluation.sample_truth import read_truth
    from dcpose_cli.results import read_posetrack

    out = folder / "plaza.json"
    done = dcpose("export", root / "sample_videos" / "plaza.mp4", "-o", out, "--model", loaded.header.name, *options)
    if done.returncode:
        pytest.fail(f"dcpose export with {loaded.header.name}: {done.stderr}", pytrace=False)
    frames = read_posetrack(out).in_slots().frames
    truth = read_truth(root / "sample_videos" / "plaza.json")[: len(frames)]
    groups = score_frames(frames, truth).groups
    counted = [found for group, found in groups.items() if group != "head" or loaded.header.joints == "posetrack"]
    return sum(hits for hits, _ in counted) / sum(joints for _, joints in counted)


@pytest.mark.network
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_published_models_find_the_joints_of_a_clip(root, tmp_path_factory, dcpose, tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "fetched"))
    monkeypatch.delenv("DCPOSE_MIRROR", raising=False)
    loaded = fetched(name)
    assert share_found(dcpose, root, tmp_path, loaded, "--detector", "yolov8m.pt", "--conf", "0.2") >= LEAST


def own_network(layouts, entry, monkeypatch, change=lambda state: state):
    """A file in the entry's layout that finds joints: the single-frame network in dcpose-s; its entry in the table."""
    from dcpose_cli.checkpoints.files import open_model
    from dcpose_cli.published.table import PUBLISHED

    loaded = open_model("dcpose-s:single")
    parts = {True: "keypoint_head.", False: "backbone."}
    state = {parts[k.startswith("final_layer")] + k: v for k, v in loaded.net.state_dict().items()}
    content = layouts.content_of(change(state))
    header = loaded.header
    entry = replace(layouts.relabelled(entry, content), input_size=header.input_size, decoding=header.decoding)
    monkeypatch.setitem(PUBLISHED, entry.name, entry)
    return content


def test_the_same_with_a_server_here(shelf, layouts, root, dcpose, tmp_path, monkeypatch):
    """Found where the network is right, and not where its weights are others."""
    from dcpose_cli.published.table import PUBLISHED

    entry = PUBLISHED[NAMES[0]]
    options = ("--max-frames", 2, "--detector", "person-n", "--device", "cpu")
    shelf.files[entry.file] = own_network(layouts, entry, monkeypatch)
    assert share_found(dcpose, root, tmp_path, fetched(entry.name), *options) >= LEAST
    assert dcpose("models", "remove", entry.name).returncode == 0
    (tmp_path / "data/dcpose/hashes" / f"{entry.file}.sha256").unlink()

    def exchanged(state):
        """The maps of joints in another order."""
        return state | {key: state[key].flip(0) for key in state if "final_layer" in key}

    shelf.files[entry.file] = own_network(layouts, entry, monkeypatch, exchanged)
    (tmp_path / "plaza.json").unlink()
    assert share_found(dcpose, root, tmp_path, fetched(entry.name), *options) < LEAST / 2


def test_without_a_network_it_fails_and_says_why(shelf, monkeypatch):
    from dcpose_cli.published import download
    from dcpose_cli.published.table import PUBLISHED

    monkeypatch.setattr(download, "RETRY_DELAYS_S", (0.0,))
    monkeypatch.setenv("DCPOSE_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(pytest.fail.Exception, match="could not be fetched and loaded") as caught:
        fetched(NAMES[0])
    assert "refused" in str(caught.value)
    assert PUBLISHED[NAMES[0]].file in str(caught.value)
    assert PUBLISHED[NAMES[0]].url in str(caught.value)  # to be fetched by hand


@pytest.mark.parametrize(("options", "collected"), [((), 0), (("-m", "network"), len(NAMES))])
def test_the_default_run_leaves_the_internet_alone(root, options, collected):
    command = [sys.executable, "-m", "pytest", "-n0", "--collect-only", "-v", *options, "tests/published/test_real.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100, env={**os.environ})
    assert done.stdout.count("<Function test_published_models_find_the_joints_of_a_clip[") == collected, done.stdout
    assert done.returncode == 0
