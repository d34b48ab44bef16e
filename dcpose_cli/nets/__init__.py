"""The networks, in pure torch: no files, no configuration formats, no video."""

from __future__ import annotations

from .dcpose import DCPose, DCPoseConfig, DCPoseMaps
from .dsta import DSTA, DSTAConfig, DSTAPoses
from .hrnet import HRNet, HRNetConfig

__all__ = ["DSTA", "DCPose", "DCPoseConfig", "DCPoseMaps", "DSTAConfig", "DSTAPoses", "HRNet", "HRNetConfig"]
