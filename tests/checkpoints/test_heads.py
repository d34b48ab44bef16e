"""Shipped heads: on networks of single frames of any width they make a DCPose; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dcpose_cli.checkpoints.files import open_model, verify
from dcpose_cli.checkpoints.heads import shipped_head, with_head
from dcpose_cli.checkpoints.importing import import_checkpoint
from dcpose_cli.errors import WeightsError
from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.nets.hrnet import HRNet, HRNetConfig
from dcpose_cli.nets.simplebaseline import SimpleBaseline, SimpleBaselineConfig
from dcpose_cli.published.table import PUBLISHED
from dcpose_cli.skeleton.sets import JOINT_SETS

HEAD = shipped_head("dcpose-w48")
#: The joints of PoseTrack's networks that are labelled: the two ears never are.
PREDICTED = JOINT_SETS["posetrack"].predicted
SMALL = {"width": 8, "stem": 8, "layer1_width": 8, "layer1_blocks": 1, "modules": (1, 1, 1), "blocks": (1, 1, 1)}


def maps_of(net, crop):
    """Final heatmaps, and those of the network alone, of three noisy frames."""
    frames = torch.randn(1, 9, *crop, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return net.eval().maps(frames, torch.ones(1, 2))


@pytest.mark.parametrize(
    "net",
    [HRNet(HRNetConfig(**SMALL)), SimpleBaseline(SimpleBaselineConfig(depth=18, width=8))],
    ids=["hrnet", "simplebaseline"],
)
def test_a_head_on_a_network(net):
    whole = with_head(net, HEAD, (96, 128))
    assert whole.config.dilations == (3, 6, 9, 12, 15)
    assert whole.config.input_size == (96, 128)
    assert torch.equal(whole.backbone.conv1.weight, net.conv1.weight)
    stored = load_file(HEAD)
    assert torch.equal(whole.ptm[0].reduce.conv.weight, stored["ptm.0.reduce.conv.weight"].float())
    with torch.no_grad():
        alone = net.eval()(torch.randn(1, 3, 128, 96, generator=torch.Generator().manual_seed(2)))
    assert maps_of(whole, (128, 96)).final.shape == alone.shape


def test_joints_that_the_current_frame_lacks_come_back(root):
    """The shipped head is a trained one: joints of all frames stay where they are, others come from the neighbours."""
    whole = with_head(HRNet(HRNetConfig(**SMALL)), HEAD, (288, 384)).eval()
    person = read_truth(root / "sample_videos" / "portrait.json")[0][0]
    left, top, width, height = person.bbox
    points = (person.keypoints[:, :2] - [left + width / 2, top + height / 2]) * (80 / height) + [36, 48]
    ys, xs = torch.meshgrid(torch.arange(96.0), torch.arange(72.0), indexing="ij")
    maps = torch.stack([torch.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 18) for x, y in points.tolist()]).float()[None]
    half = maps.clone()
    half[:, ::2] = 0
    for current, most in ((maps, 1.5), (half, 4)):
        with torch.no_grad():
            final = whole.head(current, maps, maps, torch.ones(1, 2)).final[0]
        found = np.array([divmod(int(one.argmax()), 72)[::-1] for one in final])
        assert np.abs(found - points)[list(PREDICTED)].max() <= most


def test_the_published_hash():
    assert len(verify(HEAD)) == 64


def test_other_networks_are_refused(tmp_path, layouts):
    with pytest.raises(WeightsError, match="17 joints"):
        with_head(HRNet(HRNetConfig(**SMALL, joints=26)), HEAD, (96, 128))
    entry = PUBLISHED["posewarper-w48-posetrack18"]
    (tmp_path / entry.file).write_bytes(layouts.content_of(layouts.state_of(entry, short=True)))
    with pytest.raises(WeightsError, match="networks of single frames"):
        import_checkpoint(tmp_path / entry.file, tmp_path / "out", head=HEAD)
    assert not (tmp_path / "out").exists()


def test_a_damaged_head(tmp_path):
    net, state = HRNet(HRNetConfig(**SMALL)), load_file(HEAD)
    (tmp_path / "cut.safetensors").write_bytes(HEAD.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="damaged"):
        with_head(net, tmp_path / "cut.safetensors", (96, 128))
    state.pop("warps.4.bias")
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(WeightsError, match=r"missing warps\.4\.bias"):
        with_head(net, tmp_path / "less.safetensors", (96, 128))


def test_imported_with_a_head_it_is_a_dcpose(tmp_path, layouts):
    entry = PUBLISHED["hrnet-w48-posetrack18"]
    (tmp_path / entry.file).write_bytes(layouts.content_of(layouts.state_of(entry, short=True)))
    header = open_model(import_checkpoint(tmp_path / entry.file, tmp_path / "out", head=HEAD)).header
    assert (header.kind, header.input_size, header.joints) == ("dcpose", (288, 384), "posetrack")
