"""One small network of every kind, for crops of 48x64 pixels.

Not a test: `conftest.py` reads it and makes the fixture `small_nets`.
"""

from __future__ import annotations

from dcpose_cli.nets import (
    DCPose,
    DCPoseConfig,
    HRNet,
    HRNetConfig,
    PoseWarper,
    PoseWarperConfig,
    SimpleBaseline,
    SimpleBaselineConfig,
)
from dcpose_cli.nets.dsta import DSTA, DSTAConfig

TINY = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
#: Width and height of the crops.
SIZE = (48, 64)
_BUILDERS = {
    "dcpose": lambda: DCPose(DCPoseConfig(backbone=TINY, input_size=SIZE, combine_width=8, dilations=(2, 4))),
    "dsta": lambda: DSTA(DSTAConfig(input_size=SIZE, backbone=TINY)),
    "hrnet": lambda: HRNet(TINY),
    "posewarper": lambda: PoseWarper(
        PoseWarperConfig(backbone=TINY, input_size=SIZE, blocks=2, width=8, dilations=(2, 4))
    ),
    "simplebaseline": lambda: SimpleBaseline(SimpleBaselineConfig(depth=18, width=8)),
}


def net(kind):
    """A network as it is built, in evaluation mode."""
    return _BUILDERS[kind]().eval()
