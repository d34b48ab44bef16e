"""Results on disk: the native PoseTrack18 JSON and the formats users convert it to."""

from __future__ import annotations

from .posetrack import PoseTrackResult, PoseTrackWriter, read_posetrack

__all__ = ["PoseTrackResult", "PoseTrackWriter", "read_posetrack"]
