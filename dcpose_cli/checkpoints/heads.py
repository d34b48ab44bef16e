"""Shipped DCPose heads that were trained without a backbone of their own, for networks of single frames."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .._paths import models_dir
from ..errors import WeightsError
from ..nets import DCPose, DCPoseConfig
from ..nets.backbones import HeatmapConfig
from ..pose.model import PoseNet
from ..skeleton import NUM_JOINTS
from .files import empty_net, load_state, read_tensors

HEAD_NAME: Final = "head.safetensors"


def shipped_head(name: str) -> Path:
    """The file of the head of a model; it need not exist."""
    return models_dir() / name / HEAD_NAME


def with_head(net: PoseNet, head: Path, input_size: tuple[int, int]) -> DCPose:
    """A DCPose of the paper's shape: a network of single frames with the 17 PoseTrack joints, and a head.

    net: HRNet or SimpleBaseline. head: its tensors as DCPose names them, safetensors. input_size: crop width and
    height. Raises WeightsError where the network or the head has another shape, or the file cannot be read.
    """
    if not isinstance(net.config, HeatmapConfig) or net.config.joints != NUM_JOINTS:
        raise WeightsError("is for networks of single frames with 17 joints", path=head, hint="use another network")
    backbone = {f"backbone.{name}": value for name, value in net.state_dict().items()}
    out = empty_net(DCPoseConfig(backbone=net.config, input_size=input_size), head)
    assert isinstance(out, DCPose)
    load_state(out, read_tensors(head) | backbone, head)
    return out
