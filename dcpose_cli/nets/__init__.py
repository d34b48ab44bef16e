"""The networks, in pure torch: no files, no configuration formats, no video."""

from __future__ import annotations

from .dcpose import DCPose, DCPoseConfig, DCPoseMaps
from .dsta import DSTA, DSTAConfig, DSTAPoses
from .hrnet import HRNet, HRNetConfig
from .posewarper import PoseWarper, PoseWarperConfig
from .simplebaseline import SimpleBaseline, SimpleBaselineConfig

__all__ = [
    "DSTA",
    "DCPose",
    "DCPoseConfig",
    "DCPoseMaps",
    "DSTAConfig",
    "DSTAPoses",
    "HRNet",
    "HRNetConfig",
    "PoseWarper",
    "PoseWarperConfig",
    "SimpleBaseline",
    "SimpleBaselineConfig",
]
