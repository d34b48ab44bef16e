"""Names of the published DSTA checkpoints -> our names (DSTA SPEC 7), and the shape they imply.

The flow belongs to training: a checkpoint may lack it, and the network has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .dsta import DSTAConfig

_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^preact\.", "backbone."),
    (r"^fc_coord\.linear\.", "to_tokens."),
    (r"^Spatial_pos_embed$", "spatial.place"),
    (r"^Spatial_blocks\.", "spatial.blocks."),
    (r"^Spatial_norm\.", "spatial.norm."),
    (r"^Temporal_pos_embed$", "temporal.place"),
    (r"^blocks\.", "temporal.blocks."),
    (r"^Temporal_norm\.", "temporal.norm."),
    (r"^weighted_mean\.", "merge."),
    (r"^head_coord\.", "to_coordinates."),
    (r"^head_sigma\.", "to_sigma."),
)
_FLOW = re.compile(r"^flow\.(mask|[st]\.\d+\.\d+\.(weight|bias))$")


def is_official_dsta(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of an official DSTA checkpoint."""
    return "Temporal_pos_embed" in state and any(name.startswith("preact.") for name in state)


def infer_dsta(state: Mapping[str, Tensor]) -> DSTAConfig:
    """The network of an official checkpoint: ResNet-50, 192 x 256, as many frames as it has time embeddings.

    Raises ValueError when they make no odd number.
    """
    places = state["Temporal_pos_embed"]
    if places.ndim != 3:
        raise ValueError(f"Temporal_pos_embed is {tuple(places.shape)}, expected (1, frames, 32)")
    return DSTAConfig(frames=int(places.shape[1]))


def from_official_dsta(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename; the flow is dropped. Names that are not known are kept, so that a strict load reports them."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if _FLOW.match(name):
            continue
        if name == "Temporal_pos_embed" and value.ndim == 3 and len(value) == 1:
            value = value[0]  # ours has no batch axis, like the spatial one
        for pattern, replacement in _RENAMES:
            ours = re.sub(pattern, replacement, name)
            if ours != name:
                break
        else:
            ours = name
        out[ours] = value
    return out


def official_flow(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The flow of an official checkpoint under RealNVP's names, to go on training; empty where there is none."""
    return {name.removeprefix("flow."): value for name, value in state.items() if _FLOW.match(name)}
