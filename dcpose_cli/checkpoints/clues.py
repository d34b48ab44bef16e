"""What a foreign checkpoint says of how it was trained: crop size, joint order and decoding.

Sources: the configuration that OpenMMLab keeps as text in `meta`, and the name of the file. Nothing is guessed: what
neither says is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..skeleton.sets import JOINT_SETS

_NAME_SIZE: Final = re.compile(r"(?<![0-9])(\d{2,4})x(\d{2,4})(?![0-9])")
#: Width and height of the crop: `data_cfg` of releases 0.x, the codec of 1.x.
_META_SIZE: Final = re.compile(r"\b(?:image_size|input_size)['\"]?\s*[=:]\s*(?:np\.array\()?[\[(]\s*(\d+)\s*,\s*(\d+)")
_CLUES_TO_SETS: Final = tuple((one.name, re.compile(one.meta), one.word) for one in JOINT_SETS.values() if one.meta)
_UDP: Final = re.compile(r"use_udp['\"]?\s*[=:]\s*True|\bUDPHeatmap\b")
_DARK: Final = re.compile(
    r"\bunbiased(?:_encoding)?['\"]?\s*[=:]\s*True|post_process['\"]?\s*[=:]\s*['\"]unbiased['\"]"
)
_PLAIN: Final = re.compile(r"\bMSRAHeatmap\b|TopDownGenerateTarget\b|post_process['\"]?\s*[=:]\s*['\"]default['\"]")
#: Data sets with 17 joints that are not those of COCO or PoseTrack, as file names spell them.
_OTHERS: Final = re.compile(r"(?:^|[^a-z])(h36m|ap-?10k|macaque)(?![a-z])", re.IGNORECASE)
_MOST_TEXT: Final = 1 << 20
_MOST_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class Clues:
    """input_size: crop width and height. joints: a joint set. decoding: of DECODERS. None: not said.

    other_data: a data set whose joints are none of ours; "" when none is named.
    """

    input_size: tuple[int, int] | None = None
    joints: str | None = None
    decoding: str | None = None
    other_data: str = ""


def clues_of(name: str, meta: Any = None) -> Clues:
    """What the name of a file and the `meta` of its container say.

    Raises ValueError when the two say different crop sizes.
    """
    text = "\n".join(_texts(meta))[:_MOST_TEXT]
    written, named = _meta_size(text), _name_size(name)
    if written and named and written != named:
        raise ValueError(f"its name says a crop of {_size(named)}, its configuration {_size(written)}")
    lower = name.lower()
    other = _OTHERS.search(lower)
    return Clues(
        input_size=written or named,
        joints=_joints(text, lower),
        decoding=_meta_decoding(text) or _name_decoding(lower),
        other_data=other[1] if other else "",
    )


def _joints(text: str, name: str) -> str | None:
    for joints, pattern, _ in _CLUES_TO_SETS:
        if pattern.search(text):
            return joints
    return next((joints for joints, _, word in _CLUES_TO_SETS if word in name), None)


def _name_size(name: str) -> tuple[int, int] | None:
    """Published names say height x width; the longer side of a person's crop is its height."""
    sizes = {(min(a, b), max(a, b)) for a, b in ((int(m[1]), int(m[2])) for m in _NAME_SIZE.finditer(name))}
    return sizes.pop() if len(sizes) == 1 else None


def _meta_size(text: str) -> tuple[int, int] | None:
    sizes = {(int(m[1]), int(m[2])) for m in _META_SIZE.finditer(text)}
    return sizes.pop() if len(sizes) == 1 else None


def _meta_decoding(text: str) -> str | None:
    for decoding, pattern in (("udp", _UDP), ("dark", _DARK), ("quarter", _PLAIN)):
        if pattern.search(text):
            return decoding
    return None


def _name_decoding(name: str) -> str | None:
    return next((way for way in ("udp", "dark") if re.search(rf"(?:^|[^a-z]){way}(?:[^a-z]|$)", name)), None)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in a container's `meta`, each after its key."""
    if isinstance(value, str):
        yield value
    elif depth < _MOST_DEPTH and isinstance(value, Mapping):
        for key, one in value.items():
            if isinstance(one, str):
                yield f"{key}={one!r}" if len(one) < 100 else one
            else:
                yield from _texts(one, depth + 1)
    elif depth < _MOST_DEPTH and isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one, depth + 1)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
