"""A pose model in memory: its network, and what its file says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
from ..skeleton import FLIP_ORDER

#: Joint conventions of a model's 17 channels. They differ in slots 1 and 2: PoseTrack's neck and crown, COCO's eyes.
JOINT_ORDERS = ("posetrack", "coco")
#: Channels of the eyes in COCO's order; from the ears on it is that of the slots.
COCO_EYES: Final = (1, 2)
#: Channel of the mirrored person for every channel in COCO's order.
COCO_FLIP_ORDER: Final = (0, 2, 1, *FLIP_ORDER[3:])

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

    @property
    def has_eyes(self) -> bool:
        """Whether the model knows COCO's eyes, which stand behind the 17 slots in arrays and results."""
        return self.joints == "coco" and set(COCO_EYES) <= set(self.predicts)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network in evaluation mode with its header, file and the file's SHA-256."""

    net: PoseNet
    header: ModelHeader
    path: Path
    sha256: str
