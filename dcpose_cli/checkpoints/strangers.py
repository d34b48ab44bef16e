"""Names for foreign checkpoints that cannot be imported, so that a refusal says what a file is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Beginnings of tensor names -> what has them, the surest first.
_KINDS: Final = (
    (("head.cls_x.", "head.mlp_head_x.", "keypoint_head.mlp_head_x.", "head.gau."), "SimCC or RTMPose"),
    (("backbone.patch_embed.", "backbone.embeddings.patch", "patch_embed.", "vit."), "ViTPose or another transformer"),
    (("bbox_head.", "roi_head.", "rpn_head."), "a detector of MMDetection"),
    (("model.0.conv.", "model.model."), "a YOLO network (for detectors there is --detector)"),
    (("keypoint_head.fc", "head.fc", "head.loss_module"), "a network that predicts coordinates (regression)"),
    (("keypoint_head.offset", "head.heatmap_conv_layers", "head.offset"), "DEKR or another bottom-up network"),
    (("fc.", "classifier.", "backbone.fc."), "an image classifier"),
)
#: Numbers of maps that are not one for each joint.
NOT_JOINTS: Final = frozenset({34, 51})
#: Maps of a heatmap head -> what has so many.
_OUTPUTS: Final = {
    14: "CrowdPose or AI Challenger",
    15: "JHMDB",
    16: "MPII",
    20: "AnimalPose",
    21: "a hand",
    23: "COCO with feet",
    34: "associative embedding, a bottom-up network",
    51: "UDP with offset regression, three maps for each of 17 joints",
    68: "a face",
    98: "a face",
}


def kind_of_stranger(names: Iterable[str]) -> str:
    """What a checkpoint with these tensor names probably is; "" when nothing is known."""
    known = list(names)
    for beginnings, what in _KINDS:
        if any(name.startswith(beginnings) for name in known):
            return what
    return ""


def data_with_outputs(count: int) -> str:
    """What has so many heatmaps, in brackets after a space; "" when nothing is known."""
    return f" ({_OUTPUTS[count]})" if count in _OUTPUTS else ""
