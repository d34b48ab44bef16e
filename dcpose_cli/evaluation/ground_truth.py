"""Ground truth of either kind: PoseTrack files, and the truth beside the sample clips."""

from __future__ import annotations

from pathlib import Path

from .poseval_files import EvalFrame, frames_of, load, read_frames
from .sample_truth import is_sample_truth, posetrack_ground_truth, read_truth


def read_ground_truth(path: Path) -> list[EvalFrame]:
    """All frames of a ground truth file, in list order. Raises InputError."""
    path = Path(path)
    if is_sample_truth(load(path)):
        return frames_of(posetrack_ground_truth(read_truth(path)))
    return read_frames(path)
