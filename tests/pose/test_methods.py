"""One interface for every network: which frames, in which order, and keypoints in crop pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcpose_cli.nets import (
    DCPose,
    DCPoseConfig,
    HRNet,
    PoseWarper,
    PoseWarperConfig,
    SimpleBaseline,
    SimpleBaselineConfig,
)
from dcpose_cli.nets.backbones import init_heatmap_net
from dcpose_cli.nets.dcpose import init_head as init_dcpose
from dcpose_cli.nets.dsta import DSTA, DSTAConfig, init_head
from dcpose_cli.nets.dsta_backbone import init_backbone
from dcpose_cli.nets.hrnet import init_weights
from dcpose_cli.nets.posewarper import init_posewarper_head
from dcpose_cli.pose.crop import crop_affines
from dcpose_cli.pose.heatmaps import peaks, to_image
from dcpose_cli.pose.methods import FlipTest, keypoints_of_heatmaps, method_of, reach_of
from dcpose_cli.skeleton import FLIP_ORDER

KINDS = ["dcpose", "dsta", "hrnet", "posewarper", "simplebaseline"]


@pytest.fixture(scope="module")
def nets(small_nets):
    torch.manual_seed(0)
    dcpose = small_nets.net("dcpose")
    init_weights(dcpose)
    init_dcpose(dcpose)
    dsta = small_nets.net("dsta")
    init_backbone(dsta.backbone)
    init_head(dsta)
    torch.nn.init.normal_(dsta.to_tokens.weight)
    torch.nn.init.normal_(dsta.temporal.place)
    hrnet = small_nets.net("hrnet")
    init_weights(hrnet)
    warper = small_nets.net("posewarper")
    init_heatmap_net(warper.backbone)
    init_posewarper_head(warper)
    torch.nn.init.normal_(warper.warps[0].offset.weight, 0.0, 0.1)
    torch.nn.init.normal_(warper.backbone.final_layer.weight)
    simple = small_nets.net("simplebaseline")
    init_heatmap_net(simple)
    torch.nn.init.normal_(simple.final_layer.weight)
    return {"dcpose": dcpose, "dsta": dsta, "hrnet": hrnet, "posewarper": warper, "simplebaseline": simple}


@pytest.fixture(scope="module")
def pictures():
    """Crops of previous, current and next frame and the ones beyond, by offset; two people."""
    generator = torch.Generator().manual_seed(5)
    return {offset: torch.rand(2, 3, 64, 48, generator=generator) for offset in (-1, 0, 1, -2, 2)}


MARGIN = torch.tensor([[1, 1], [3, 1]])


def run(net, pictures, **options):
    method = method_of(net, **options)
    with torch.no_grad():
        return method.run(torch.stack([pictures[offset] for offset in method.frames]), MARGIN)


@pytest.mark.parametrize("kind", KINDS)
def test_keypoints_of_every_method(nets, pictures, kind):
    points = run(nets[kind], pictures)
    assert points.shape == (2, 17, 3)
    assert points.dtype == torch.float32
    assert torch.isfinite(points).all()


def test_frames(small_nets):
    tiny = small_nets.TINY
    with torch.device("meta"):
        assert method_of(HRNet(tiny)).frames == (0,)
        assert method_of(DCPose(DCPoseConfig(backbone=tiny))).frames == (0, -1, 1)
        assert method_of(DSTA(DSTAConfig(backbone=tiny))).frames == (-1, 0, 1)
        assert method_of(DSTA(DSTAConfig(backbone=tiny, frames=1))).frames == (0,)
        assert method_of(DCPose(DCPoseConfig(backbone=tiny, neighbours=("next",)))).frames == (0, 1)
        assert method_of(PoseWarper(PoseWarperConfig(backbone=tiny))).frames == (-2, -1, 0, 1, 2)
        assert reach_of(method_of(DSTA(DSTAConfig(backbone=tiny, frames=5)))) == 2
        assert reach_of(method_of(SimpleBaseline(SimpleBaselineConfig(depth=18)))) == 0


def test_dsta_is_the_network_times_the_crop(nets, pictures):
    with torch.no_grad():
        poses = nets["dsta"](torch.stack([pictures[k] for k in (-1, 0, 1)], dim=1))
    points = run(nets["dsta"], pictures)
    assert torch.allclose(points[..., :2], poses.coordinates * torch.tensor([48.0, 64.0]), atol=1e-4)
    assert torch.allclose(points[..., 2:], poses.score, atol=1e-6)


def test_dcpose_is_the_network_and_its_peaks(nets, pictures):
    with torch.no_grad():
        maps = nets["dcpose"](torch.cat([pictures[0], pictures[-1], pictures[1]], dim=1), MARGIN)
    expected = peaks(maps) * torch.tensor([4.0, 4.0, 1.0])
    assert torch.allclose(run(nets["dcpose"], pictures), expected, atol=1e-4)
    assert expected[..., :2].std() > 1  # not all in one place


@pytest.mark.parametrize("kind", ["hrnet", "simplebaseline"])
def test_single_frame_networks_see_the_current_frame_only(nets, pictures, kind):
    others = {**pictures, -1: pictures[1], 1: pictures[-1]}
    assert torch.equal(run(nets[kind], pictures), run(nets[kind], others))
    with torch.no_grad():
        expected = peaks(nets[kind](pictures[0])) * torch.tensor([4.0, 4.0, 1.0])
    assert torch.allclose(run(nets[kind], pictures), expected, atol=1e-4)
    assert expected[..., :2].std() > 1


def test_posewarper_is_the_network_and_its_peaks(nets, pictures):
    with torch.no_grad():
        maps = nets["posewarper"](torch.stack([pictures[k] for k in (-2, -1, 0, 1, 2)], dim=1))
    assert torch.allclose(run(nets["posewarper"], pictures), peaks(maps) * torch.tensor([4.0, 4.0, 1.0]), atol=1e-4)


def test_a_neighbour_left_out_does_not_matter(pictures, small_nets):
    torch.manual_seed(4)
    config = replace(small_nets.net("dcpose").config, dilations=(2,), neighbours=("next",))
    net = DCPose(config)
    init_heatmap_net(net.backbone)
    init_dcpose(net.eval())
    nine = torch.cat([pictures[0], pictures[-1], pictures[1]], dim=1)
    other = torch.cat([pictures[0], pictures[2], pictures[1]], dim=1)
    with torch.no_grad():
        maps = net(nine, MARGIN)
        assert torch.equal(net(other, MARGIN), maps)
    assert torch.allclose(run(net, pictures), peaks(maps) * torch.tensor([4.0, 4.0, 1.0]), atol=1e-4)


@pytest.mark.parametrize(("kind", "swap"), [("dcpose", (-1, 1)), ("dsta", (-1, 1)), ("posewarper", (-1, 2))])
def test_order_of_frames_reaches_the_network(nets, pictures, kind, swap):
    """PoseWarper weighs both sides alike, but the far neighbours less than the near ones."""
    others = {**pictures, swap[0]: pictures[swap[1]], swap[1]: pictures[swap[0]]}
    assert not torch.allclose(run(nets[kind], pictures), run(nets[kind], others), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_low_precision_gives_float32(nets, pictures, kind):
    with torch.autocast("cpu", torch.bfloat16):
        points = run(nets[kind], pictures)
    assert points.dtype == torch.float32


def test_channels_last_changes_nothing(nets, pictures):
    net = nets["dsta"]
    flat = torch.cat([pictures[k] for k in (-1, 0, 1)]).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        points = method_of(net).run(flat.unflatten(0, (3, 2)), MARGIN)
    assert torch.allclose(points, run(net, pictures), atol=1e-4)


def test_crop_pixels_and_heatmap_pixels_meet_in_the_picture():
    """The way over crop pixels is the published way over heatmap pixels."""
    boxes = np.array([[10, 20, 33, 91], [300, 100, 120, 60]], np.float32)
    maps = torch.rand(2, 17, 96, 72, generator=torch.Generator().manual_seed(0))
    over_maps = to_image(peaks(maps).numpy(), boxes, (72, 96))
    over_crops = to_image(keypoints_of_heatmaps(maps, (288, 384), peaks).numpy(), boxes, (288, 384))
    assert np.abs(over_maps - over_crops).max() < 1e-3
    affines = crop_affines(boxes, (288, 384))
    assert not np.allclose(affines[0], affines[1])


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "dsta"])
def test_flip_test_reads_joints_from_the_mean_of_both_heatmaps(nets, pictures, kind):
    """Left and right change places, and the mirrored map moves one pixel to the right."""
    method = method_of(nets[kind])
    both = torch.stack([pictures[offset] for offset in method.frames])

    def maps(crops):
        codes = method.encode(crops.flatten(0, 1))
        return method.predict(codes.view(*crops.shape[:2], *codes.shape[1:]), MARGIN)

    with torch.no_grad():
        straight, mirrored = maps(both), maps(both.flip(4))
    moved = mirrored[:, list(FLIP_ORDER)].flip(3)
    moved[..., 1:] = moved[..., :-1].clone()
    expected = peaks((straight + moved) / 2) * torch.tensor([4.0, 4.0, 1.0])
    found = run(nets[kind], pictures, flip_test=True)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, run(nets[kind], pictures), atol=0.1)


def test_flip_test_of_coordinates_is_the_mean_of_both(nets, pictures):
    straight = run(nets["dsta"], pictures)
    mirrored = run(nets["dsta"], {k: crops.flip(3) for k, crops in pictures.items()})[:, list(FLIP_ORDER)]
    mirrored[..., 0] = pictures[0].shape[3] - 1 - mirrored[..., 0]
    found = run(nets["dsta"], pictures, flip_test=True)
    assert torch.allclose(found, (straight + mirrored) / 2, atol=1e-4)
    assert not torch.allclose(found, straight, atol=0.1)


def test_flip_test_costs_two_passes(nets):
    method = method_of(nets["dcpose"], flip_test=True)
    assert isinstance(method, FlipTest)
    assert (method.passes, method.method.passes, method.frames) == (2, 1, (0, -1, 1))
