"""How accurate a model is: PCK and OKS with boxes given, PoseTrack AP, and the sample clips end to end."""

from __future__ import annotations

from .evaluate import Evaluation, evaluate
from .heldout import measure_parts, read_pictures, run_heldout
from .pck import mean_oks, oks, pck_torso, pckh
from .poseval import ApResult, evaluate_ap, evaluate_videos
from .sample_clips import ClipScore, clips_ap, score_clip
from .sample_truth import posetrack_ground_truth, read_truth

__all__ = [
    "ApResult",
    "ClipScore",
    "Evaluation",
    "clips_ap",
    "evaluate",
    "evaluate_ap",
    "evaluate_videos",
    "mean_oks",
    "measure_parts",
    "oks",
    "pck_torso",
    "pckh",
    "posetrack_ground_truth",
    "read_pictures",
    "read_truth",
    "run_heldout",
    "score_clip",
]
