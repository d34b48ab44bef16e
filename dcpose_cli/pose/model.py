"""A pose model in memory: its network, and what its file says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..nets import (
    DSTA,
    DCPose,
    DCPoseConfig,
    DSTAConfig,
    HRNet,
    HRNetConfig,
    PoseWarper,
    PoseWarperConfig,
    SimpleBaseline,
    SimpleBaselineConfig,
)

#: Joint conventions of a model's 17 channels. They differ in slots 1 and 2: PoseTrack's neck and crown, COCO's eyes.
JOINT_ORDERS = ("posetrack", "coco")

PoseNet = DCPose | DSTA | HRNet | PoseWarper | SimpleBaseline
PoseConfig = DCPoseConfig | DSTAConfig | HRNetConfig | PoseWarperConfig | SimpleBaselineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHeader:
    """What a weights file says of itself.

    kind: "dcpose" (three frames), "dsta", "posewarper" (a clip), "hrnet" or "simplebaseline" (one frame).
    input_size: crop width and height in pixels.
    predicts: slots whose channels mean something; the others are written as absent. joints: see JOINT_ORDERS.
    network: the architecture. source: where the weights came from. decoding: how joints are read from heatmaps, see
    heatmaps.DECODERS; as published where a file says nothing.
    """

    kind: str
    name: str
    input_size: tuple[int, int]
    predicts: tuple[int, ...]
    joints: str
    network: PoseConfig
    source: str = ""
    decoding: str = "quarter"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network in evaluation mode with its header, file and the file's SHA-256."""

    net: PoseNet
    header: ModelHeader
    path: Path
    sha256: str
