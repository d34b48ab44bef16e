"""OpenMMLab's names of tensors -> ours.

Their networks come in parts: `backbone.`, `neck.`, and a head, `keypoint_head.` in releases 0.x and `head.` since 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

_BACKBONE_CHILDREN: Final = (
    *("conv1", "bn1", "conv2", "bn2", "layer", "transition", "stage"),
    *("deconv_layers", "final_layer"),
)
#: The neck of their PoseWarper: the layer that makes heatmaps, the chain, the offsets, the deformable convolutions.
_POSEWARPER: Final = (
    (re.compile(r"^backbone\."), "backbone."),
    (re.compile(r"^neck\.trans_layer\."), "backbone.final_layer."),
    (re.compile(r"^neck\.offset_feats\.(\d+)\."), r"features.\1."),
    (re.compile(r"^neck\.offset_layers\.(\d+)\.weight$"), r"warps.\1.offset.weight"),
    (re.compile(r"^neck\.deform_conv_layers\.(\d+)\.weight$"), r"warps.\1.weight"),
)


def strip_openmmlab(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenMMLab's names -> plain HRNet names; tensors beside backbone and head are dropped.

    What a backbone or head holds beyond an HRNet is kept, so that a strict load reports it.
    """
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        plain = re.sub(r"^(backbone|keypoint_head|head)\.", "", name)
        if plain != name or plain.startswith(_BACKBONE_CHILDREN):
            out[plain] = value
    return out


def is_openmmlab_posewarper(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of OpenMMLab's PoseWarper."""
    return any(name.startswith("neck.offset_feats.") for name in state)


def from_openmmlab_posewarper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of a PoseWarper; unknown ones of backbone and neck are kept, so that a strict load reports them."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith(("backbone.", "neck.", "keypoint_head.", "head.")):
            for pattern, replacement in _POSEWARPER:
                name = pattern.sub(replacement, name)
            out[name] = value
    return out
