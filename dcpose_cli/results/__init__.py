"""The native result: its type, its reader and its writer (PoseTrack18 JSON)."""

from __future__ import annotations

from .posetrack import PoseTrackResult, PoseTrackWriter, read_posetrack

__all__ = ["PoseTrackResult", "PoseTrackWriter", "read_posetrack"]
