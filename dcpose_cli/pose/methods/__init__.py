"""The kinds of pose networks and how each is run: one file per kind, one line in the registry.

Whoever runs a network asks `method_of` and knows nothing else of it. The flip test and ensembles work with every kind:
they average what `predict` returns. A new kind is a file here that makes a `Kind`, and a line below; models of that
kind are then saved, loaded and run everywhere (its network may stand in the same file or in nets/).
"""

from __future__ import annotations

from typing import Final

from torch import nn

from ...skeleton import JOINT_NAMES
from ...skeleton.sets import flip_order
from ..heatmaps import DECODERS
from . import dcpose, dsta, posewarper, single_frame
from .base import HeatmapMethod, Kind, Method, keypoints_of_heatmaps
from .flip_test import FlipTest

__all__ = [
    "KINDS",
    "FlipTest",
    "HeatmapMethod",
    "Kind",
    "Method",
    "keypoints_of_heatmaps",
    "method_of",
    "reach_of",
]

#: The registry: every kind by its name in a weights file.
KINDS: Final[dict[str, Kind]] = {
    "dcpose": dcpose.KIND,
    "dsta": dsta.KIND,
    "hrnet": single_frame.HRNET,
    "posewarper": posewarper.KIND,
    "simplebaseline": single_frame.SIMPLE_BASELINE,
}


def method_of(
    net: nn.Module, decoding: str = "quarter", *, flip_test: bool = False, channels: tuple[str, ...] = JOINT_NAMES
) -> Method:
    """How to run a pose network. decoding: how its joints are read from heatmaps, see `DECODERS`.

    flip_test: average with what it says of the mirrored crops. channels: names of the joints of its channels.
    """
    kind = next(kind for kind in KINDS.values() if kind.config is type(net.config))
    method = kind.method(net, DECODERS[decoding])
    if isinstance(method, HeatmapMethod):
        method.flip_order = flip_order(channels)
    return FlipTest(method) if flip_test else method


def reach_of(method: Method) -> int:
    """Frames a method looks at on each side of the current one, the side with more of them."""
    return max(abs(offset) for offset in method.frames)
