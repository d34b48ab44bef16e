"""Labelled pictures and videos in other people's formats, read into one shape: LabelledVideo."""

from __future__ import annotations

from .coco import read_coco, read_lists
from .label_studio import read_label_studio
from .labels import LabelledFrame, LabelledPerson, LabelledVideo
from .posetrack import read_posetrack17, read_posetrack18, read_posetrack_video

__all__ = [
    "LabelledFrame",
    "LabelledPerson",
    "LabelledVideo",
    "read_coco",
    "read_label_studio",
    "read_lists",
    "read_posetrack17",
    "read_posetrack18",
    "read_posetrack_video",
]
