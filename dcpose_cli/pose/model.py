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
from ..skeleton.sets import JOINT_SETS, NAMED, result_joints

#: What ModelHeader.joints can be: a joint set, or NAMED.
JOINT_ORDERS: Final = (*JOINT_SETS, NAMED)

PoseNet = DCPose | DSTA | HRNet | PoseWarper | SimpleBaseline
PoseConfig = DCPoseConfig | DSTAConfig | HRNetConfig | PoseWarperConfig | SimpleBaselineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHeader:
    """What a weights file says of itself.

    kind: "dcpose" (three frames), "dsta", "posewarper" (a clip), "hrnet" or "simplebaseline" (one frame).
    input_size: crop width and height in pixels.
    predicts: channels that mean something; the others are written as absent. joints: see JOINT_ORDERS. names: of the
    channels, in their order, where `joints` is NAMED.
    network: the architecture. source: where the weights came from. decoding: how joints are read from heatmaps, see
    heatmaps.DECODERS; as published where a file says nothing. crop_margin: see crop_shape.CropShape.
    """

    kind: str
    name: str
    input_size: tuple[int, int]
    predicts: tuple[int, ...]
    joints: str
    network: PoseConfig
    source: str = ""
    decoding: str = "quarter"
    names: tuple[str, ...] = ()
    crop_margin: float | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the joints of the channels, in their order."""
        return self.names if self.joints == NAMED else JOINT_SETS[self.joints].channels

    @property
    def result_joints(self) -> tuple[str, ...]:
        """Names of the joints in arrays and results: the 17 slots, and behind them those that have no slot."""
        return result_joints(self.channels[channel] for channel in self.predicts)

    @property
    def places(self) -> dict[int, int]:
        """Place in `result_joints` of every channel that means something."""
        at = {name: place for place, name in enumerate(self.result_joints)}
        return {channel: at[self.channels[channel]] for channel in self.predicts}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network in evaluation mode with its header, file and the file's SHA-256."""

    net: PoseNet
    header: ModelHeader
    path: Path
    sha256: str
