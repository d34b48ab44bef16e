"""How numbers are written in every format: finite, rounded, no negative zero."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..types import Person

COORDINATE_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class WrittenPerson:
    """One person as it is written.

    joints: (x, y, confidence) in pixels for each of Person.joints, None where one was not predicted. bbox: xywh.
    """

    track_id: int
    bbox: list[float]
    score: float
    joints: list[tuple[float, float, float] | None]


def written(person: Person) -> WrittenPerson:
    """The rounded numbers of a person. Raises ValueError when the keypoints are not one row for each of its joints."""
    if person.keypoints.shape != (len(person.joints), 3):
        raise ValueError(f"keypoints must be ({len(person.joints)}, 3), not {person.keypoints.shape}")
    return WrittenPerson(
        track_id=int(person.track_id),
        bbox=[rounded(value, COORDINATE_DECIMALS) for value in person.bbox.tolist()],
        score=rounded(person.score, SCORE_DECIMALS),
        joints=[_joint(*joint) for joint in person.keypoints.tolist()],
    )


def _joint(x: float, y: float, score: float) -> tuple[float, float, float] | None:
    absent = (x == 0 and y == 0 and score <= 0) or not all(map(math.isfinite, (x, y, score)))
    if absent:
        return None
    return rounded(x, COORDINATE_DECIMALS), rounded(y, COORDINATE_DECIMALS), rounded(score, SCORE_DECIMALS)


def present(keypoints: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints were predicted: (..., 3) -> (...) bool; the same rule as for what is written."""
    x, y, score = keypoints[..., 0], keypoints[..., 1], keypoints[..., 2]
    there: NDArray[np.bool_] = np.isfinite(keypoints).all(axis=-1) & ~((x == 0) & (y == 0) & (score <= 0))
    return there


def rounded(value: float, decimals: int) -> float:
    """A finite JSON number: NaN and infinity become 0, and so does minus zero."""
    return round(float(value), decimals) + 0.0 if math.isfinite(value) else 0.0


def compact_json(value: Any) -> str:
    """JSON without spaces and without NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write_lists(out: IO[bytes], lists: Mapping[str, Iterable[Any]], head: Mapping[str, Any]) -> None:
    """One JSON object: the members of `head`, then each list with an entry per line, in flat memory."""
    before = "{"
    for key, value in head.items():
        out.write(f"{before}{compact_json(key)}:{compact_json(value)}".encode())
        before = ",\n"
    for key, entries in lists.items():
        out.write(f"{before}{compact_json(key)}:".encode())
        write_list(out, entries)
        before = ",\n"
    out.write(b"}\n")


def write_list(out: IO[bytes], entries: Iterable[Any]) -> None:
    """One JSON list with an entry per line."""
    out.write(b"[")
    for number, entry in enumerate(entries):
        out.write(((",\n" if number else "\n") + compact_json(entry)).encode())
    out.write(b"]")
