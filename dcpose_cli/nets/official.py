"""Names of the published checkpoints <-> our names (SPEC 3 and 4.1).

Ours differ in the head only, and there by more than spelling: the offset and the mask convolution of one dilation are
one convolution here, so their weights are joined along the output channels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^rough_pose_estimation_net\.", "backbone."),
    (r"^diff_temporal_fuse\.layers\.", "prf."),
    (r"^support_temporal_fuse\.layers\.", "ptm."),
    (r"^offset_mask_combine_conv\.layers\.", "combine."),
    (r"\.conv_bn_relu1\.", ".reduce."),
    (r"\.conv_bn_relu2_(\d)_(\d)\.", r".steps.\1_\2."),
    (r"\.conv_bn_relu3\.", ".expand."),
    (r"^(prf|ptm|combine)\.(\d+)\.downsample\.", r"\1.\2.shortcut."),
    (r"^modulated_deform_conv_list\.(\d+)\.deform_conv\.", r"warps.\1."),
)
_OFFSETS = re.compile(r"^offsets_list\.(\d+)\.0\.weight$")


def is_official(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of an official DCPose checkpoint."""
    return any(name.startswith("rough_pose_estimation_net.") for name in state)


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and join; names that are not known are kept, so that a strict load reports them."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        found = _OFFSETS.match(name)
        if found:
            partner = f"masks_list.{found[1]}.0.weight"
            if partner in state:
                out[f"warps.{found[1]}.offset_mask.weight"] = torch.cat([value, state[partner]])
                continue
        if name.startswith("masks_list.") and name.replace("masks_list", "offsets_list") in state:
            continue
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        out[name] = value
    return out
