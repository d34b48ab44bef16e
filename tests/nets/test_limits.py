"""Networks that ask for more than any machine has, by sizes that are each within their range: refused unbuilt."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.errors import UsageError, WeightsError
from dcpose_cli.nets import (
    DCPoseConfig,
    DSTAConfig,
    HRNet,
    HRNetConfig,
    PoseWarper,
    PoseWarperConfig,
    SimpleBaseline,
    SimpleBaselineConfig,
)
from dcpose_cli.nets.limits import empty_network, require_buildable
from dcpose_cli.pose.methods import KINDS
from dcpose_cli.training.recipes import load_recipe

HUGE = (4096, 4096)
CROPS = {
    "dcpose": DCPoseConfig(input_size=HUGE),
    "dsta": DSTAConfig(input_size=HUGE),
    "dsta, frames": DSTAConfig(frames=63, input_size=(1024, 1024)),
    "posewarper": PoseWarperConfig(input_size=HUGE),
    "posewarper, frames": PoseWarperConfig(weights=(0.2, *[0.05] * 8), input_size=(1024, 1024)),
    "hrnet": HRNetConfig(),
    "simplebaseline": SimpleBaselineConfig(),
}


@pytest.mark.parametrize("kind", CROPS)
def test_crops_that_blow_up_activations(kind):
    with pytest.raises(ValueError, match=r"too much for [0-9]+ crops"):
        require_buildable(CROPS[kind], crop=HUGE)
    if hasattr(CROPS[kind], "input_size"):
        require_buildable(replace(CROPS[kind], input_size=(288, 384)))
    else:
        require_buildable(CROPS[kind], crop=(288, 384))


@pytest.mark.parametrize(
    "network",
    [
        (HRNet, HRNetConfig(width=8192)),
        (HRNet, HRNetConfig(width=128, modules=(4, 4, 4), blocks=(16, 16, 16))),
        (SimpleBaseline, SimpleBaselineConfig(width=8192)),
        (PoseWarper, PoseWarperConfig(blocks=64, width=4096, input_size=(96, 128))),
    ],
    ids=["channels", "repeats", "transposed convolutions", "head"],
)
def test_networks_of_too_many_parameters(network):
    with pytest.raises(ValueError, match="parameters"):
        empty_network(*network, crop=(96, 128))


def test_a_network_whose_crop_is_not_known_is_compared_with_its_file_alone():
    assert empty_network(HRNet, HRNetConfig(width=512))
    with pytest.raises(ValueError, match="width"):
        empty_network(HRNet, HRNetConfig(width=8193))


def test_many_parameters_are_too_many_for_large_crops():
    config = HRNetConfig(width=96)
    assert empty_network(HRNet, config, crop=(288, 384))
    with pytest.raises(ValueError, match="too many for 1 crops of 2304x2304"):
        empty_network(HRNet, config, crop=(2304, 2304))


@pytest.mark.parametrize("kind", KINDS)
def test_published_networks_are_within_the_limits(kind):
    empty_network(KINDS[kind].network, KINDS[kind].config(), crop=(288, 384))


@pytest.mark.parametrize("kind", ["dcpose", "dsta", "hrnet", "posewarper", "simplebaseline"])
def test_headers_with_such_crops_are_refused_before_anything_is_built(
    dcpose, clip, product, tmp_path, monkeypatch, kind
):
    from safetensors.torch import save_file

    config = CROPS[kind]
    header = {"format": 1, "kind": kind, "name": "x", "input_size": HUGE, "predicts": [0], "joints": "posetrack"}
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"dcpose": json.dumps(header | {"network": asdict(config)})})
    monkeypatch.setattr("dcpose_cli.checkpoints.files.empty_network", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(WeightsError, match="too much for"):
        open_model(path)
    result = dcpose.estimate_with("--model", path, clip, tmp_path / "o.mp4")
    assert result.returncode == 5
    assert "too much for" in product.one_line(result)


RECIPE = """
name = "t"
[model]
[model.backbone]
[data]
format = "coco"
train = "t.json"
[stage1]
steps = 2
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[model]", "[model]\ninput_size = [4096, 4096]"), "4096x4096"),
        (("steps = 2", "steps = 2\nphases = [{size = [4096, 4096], share = 1.0}]"), "4096x4096"),
        (("[model.backbone]", "input_size = [96, 128]\n[model.backbone]\nwidth = 8192"), "parameters"),
        (
            ("[model.backbone]", "[model.backbone]\nwidth = 512\nmodules = [8, 8, 8]\nblocks = [32, 32, 32]"),
            "parameters",
        ),
        (("[model.backbone]", "input_size = [48, 64]\n[model.backbone]\nlayer1_width = 8000"), "parameters"),
        (("[model]\n[model.backbone]", "kind = 'dsta'\n[model]\ninput_size = [4096, 4096]"), "4096x4096"),
    ],
    ids=["crop", "phase", "channels", "repeats", "first layer", "dsta"],
)
def test_recipes_of_such_networks_are_refused(tmp_path, change, says):
    (tmp_path / "r.toml").write_text(RECIPE)
    load_recipe(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_text(RECIPE.replace(*change))
    with pytest.raises(UsageError, match=says):
        load_recipe(tmp_path / "r.toml")
