"""The networks, in pure torch: no files, no configuration formats, no video."""

from __future__ import annotations

from .dcpose import DCPose, DCPoseConfig, DCPoseMaps
from .hrnet import HRNet, HRNetConfig

__all__ = ["DCPose", "DCPoseConfig", "DCPoseMaps", "HRNet", "HRNetConfig"]
