"""A network that looks at trimmed crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli import WeightsError
from dcpose_cli.checkpoints.files import load_model, open_model, save_model
from dcpose_cli.nets import DCPose, DCPoseConfig, HRNetConfig
from dcpose_cli.nets.dcpose import init_head
from dcpose_cli.nets.hrnet import init_weights
from dcpose_cli.pose.crop import crop_affines, sample_crops
from dcpose_cli.pose.heatmaps import to_image
from dcpose_cli.pose.network import PoseNetwork

CPU = torch.device("cpu")
SIZE = (96, 128)
TINY = HRNetConfig(8, 8, 8, 1, (1, 1, 1), (1, 1, 1))
FRAMES = list(np.random.default_rng(4).integers(0, 255, (4, 90, 120, 3), np.uint8))
#: Standing, lying, as wide as the crop.
BOXES = np.array([[30, 5, 18, 60], [10, 50, 70, 14], [40, 20, 40, 50]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(3)
    net = DCPose(DCPoseConfig(TINY, input_size=SIZE, combine_width=8, dilations=(2,)))
    init_weights(net.backbone)
    init_head(net)
    with torch.no_grad():  # heatmaps that are not flat
        net.backbone.final_layer.weight.normal_(0.0, 1.0)
    folder = tmp_path_factory.mktemp("models")
    for name, margin in (("whole", None), ("trimmed", 0.15), ("wide", 5.0)):
        save_model(net, folder / name, name=name, crop_margin=margin)
    return folder


def network(folder, name, **options):
    return PoseNetwork(open_model(folder / name), device=CPU, **{"precision": "fp32"} | options)


def poses(net, rows, tracks=None):
    rows = np.array(rows)
    windows = np.tile([0, 1, 2], (len(rows), 1))
    return net.poses(FRAMES, windows, BOXES[rows], np.ones((len(rows), 2), np.int64), tracks=tracks)


def test_joints_are_those_of_the_middle_part_of_each_crop(folder):
    net = network(folder, "trimmed")
    found = poses(net, [0, 1, 2])
    sizes = net.shape.sizes(BOXES, BOXES)
    assert sizes.tolist() == [[64, 128], [96, 64], [96, 128]]
    for row, size in enumerate(map(tuple, sizes.tolist())):
        affine = crop_affines(BOXES[row : row + 1], SIZE)
        affine[:, :, 2] -= (np.array(SIZE) - size) / 2
        frames = torch.from_numpy(np.stack([FRAMES[k] for k in (1, 0, 2)]))
        crops = sample_crops(frames, torch.arange(3), np.concatenate([affine] * 3), size)
        with torch.inference_mode():
            points = net.method.run(crops[:, None], torch.ones(1, 2, dtype=torch.int64)).numpy()
        points[..., :2] += (np.array(SIZE) - size) / 2
        wanted = to_image(points, BOXES[row : row + 1], SIZE)
        np.testing.assert_allclose(found[row], wanted[0], atol=1e-3)
        assert np.ptp(wanted[0, :, 0]) > 3


def test_a_margin_as_wide_as_the_crop_changes_nothing(folder):
    np.testing.assert_array_equal(poses(network(folder, "wide"), [0, 1, 2]), poses(network(folder, "whole"), [0, 1, 2]))


def test_trimmed_and_whole_crops_differ_where_they_are_trimmed(folder):
    trimmed, whole = poses(network(folder, "trimmed"), [0, 1, 2]), poses(network(folder, "whole"), [0, 1, 2])
    np.testing.assert_array_equal(trimmed[2], whole[2])
    assert (np.abs(trimmed[:2] - whole[:2]).max(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("options", [{"batch": 1}, {"batch": 2}, {"flip_test": True}])
def test_people_of_all_sizes_together_are_as_each_alone(folder, options):
    net = network(folder, "trimmed", **options)
    rows = [0, 1, 2, 1, 0, 0, 2]
    np.testing.assert_allclose(poses(net, rows), np.concatenate([poses(net, [row]) for row in rows]), atol=1e-3)


def test_windows_that_share_crops_share_trimmed_ones(folder):
    net = network(folder, "trimmed")
    windows = np.array([[0, 1, 2], [1, 2, 3]] * 2)
    boxes, tracks = BOXES[[0, 0, 1, 1]], np.array([7, 7, 9, 9])
    shared = net.poses(FRAMES, windows, boxes, np.ones((4, 2), np.int64), tracks=tracks)
    assert net.encoded == 8
    # The boxes stand still, so that the shared ones are theirs.
    own = net.poses(FRAMES, windows, boxes, np.ones((4, 2), np.int64))
    np.testing.assert_allclose(shared, own, atol=1e-3)


def test_pixels_that_are_not_square(folder):
    net = network(folder, "trimmed")
    narrow = BOXES * np.array([0.5, 1, 0.5, 1], np.float32)
    frames = [np.ascontiguousarray(frame[:, ::2]) for frame in FRAMES]
    rows = (np.tile([0, 1, 2], (3, 1)), narrow, np.ones((3, 2), np.int64))
    found = net.poses(frames, *rows, pixel_aspect=2.0)
    assert (found[..., 0] < 60).all()
    assert np.isfinite(found).all()


def test_the_single_frame_of_a_model_has_its_margin(folder):
    assert open_model(f"{folder / 'trimmed'}:single").header.crop_margin == 0.15
    assert open_model(folder / "whole").header.crop_margin is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crop_margin": -0.1}, "crop_margin must be in 0..10"),
        ({"crop_margin": float("nan")}, "crop_margin is nan"),
        ({"crop_margin": 0.1, "decoding": "udp"}, "not with the decoding udp"),
    ],
)
def test_margins_that_cannot_be(folder, tmp_path, options, says):
    save_model(load_model(folder / "whole"), tmp_path / "odd", name="odd", **options)
    with pytest.raises(WeightsError, match=says):
        open_model(tmp_path / "odd")


def test_a_network_of_one_size_has_no_margin(tmp_path):
    save_model(load_model("dsta-s"), tmp_path / "d", name="d", crop_margin=0.1)
    with pytest.raises(WeightsError, match="crops of any size"):
        open_model(tmp_path / "d")
