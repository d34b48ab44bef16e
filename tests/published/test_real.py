"""The real files, over the internet: `pytest -m network -n0 tests/published/test_real.py`; some 700 MB."""

from __future__ import annotations

import pytest

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.checkpoints.published import get_model
from dcpose_cli.evaluation.sample_clips import score_clip
from dcpose_cli.published.table import PUBLISHED

#: One of each layout and decoding.
NAMES = ("hrnet-w32-posetrack18", "posewarper-w48-posetrack18", "hrnet-w32-coco-udp", "hrnet-w32-coco-dark")


@pytest.mark.network
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_published_models_find_the_joints_of_a_clip(root, tmp_path_factory, dcpose, tmp_path, monkeypatch, name):
    """At least 90 % of the visible joints of plaza, of those the model has."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "fetched"))
    monkeypatch.delenv("DCPOSE_MIRROR", raising=False)
    loaded = open_model(get_model(name))
    assert loaded.header.input_size == PUBLISHED[name].input_size
    clip, out = root / "sample_videos" / "plaza.mp4", tmp_path / "plaza.json"
    result = dcpose("export", clip, "-o", out, "--model", name, "--detector", "yolov8m.pt", "--conf", "0.2")
    assert result.returncode == 0, result.stderr
    groups = score_clip(out, root / "sample_videos" / "plaza.json").groups
    counted = [found for group, found in groups.items() if group != "head" or loaded.header.joints == "posetrack"]
    assert sum(hits for hits, _ in counted) >= 0.9 * sum(joints for _, joints in counted)
