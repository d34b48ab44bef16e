"""The label `person` as CVAT's label editor takes it ("Raw"): a skeleton with a point per joint.

The drawing is SVG in a square of 100 x 100: a standing person who faces the viewer. Nodes and joints are tied by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

#: Where the joints of the middle and of the left side are drawn (x, y); the right side is the mirror image.
_PLACES: Final = {
    "nose": (50, 11),
    "head_bottom": (50, 19),
    "head_top": (50, 3),
    "ear": (56, 11),
    "eye": (53, 9),
    "shoulder": (62, 23),
    "elbow": (68, 37),
    "wrist": (72, 51),
    "hip": (57, 53),
    "knee": (58, 74),
    "ankle": (59, 96),
}


def label_of(joints: Sequence[str], bones: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """joints: names. bones: pairs of places in `joints`."""
    places = [_place(name) for name in joints]
    lines = [
        f'<line x1="{places[a][0]}" y1="{places[a][1]}" x2="{places[b][0]}" y2="{places[b][1]}" stroke="black" '
        f'data-type="edge" data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        for a, b in bones
    ]
    nodes = [
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x}" cy="{y}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{n}" data-node-id="{n}" data-label-name="{name}"></circle>'
        for n, (name, (x, y)) in enumerate(zip(joints, places, strict=True), start=1)
    ]
    return {
        "name": "person",
        "type": "skeleton",
        "attributes": [],
        "sublabels": [{"name": name, "type": "points", "attributes": []} for name in joints],
        "svg": "".join(lines + nodes),
    }


def _place(joint: str) -> tuple[int, int]:
    side, _, part = joint.partition("_")
    if joint in _PLACES:
        return _PLACES[joint]
    x, y = _PLACES[part]
    return (x, y) if side == "left" else (100 - x, y)
