"""Who comes back, by appearance: the lost track that somebody looks like, if they can have come from there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .appearance import Appearance, likeness
from .correction import LEAST_LIKENESS
from .motion import Motion

#: LEAST_LIKENESS brings a lost track back where boxes do not overlap, with this lead: strangers are alike too, by light
#: and background. Who is seen elsewhere and looks so much more like themselves there (ELSEWHERE) is no rival.
LIKENESS_LEAD: Final = 0.1
ELSEWHERE_LEAD: Final = 0.2
#: How far someone may have gone meanwhile: box heights at once, and more per second; and how their height may change.
REACH_HEIGHTS: Final = 0.5
REACH_PER_SECOND: Final = 1.0
SIZE_CHANGE: Final = 1.35


@dataclass(slots=True, eq=False)
class Track:
    """One identity. box: as last detected, xywh. score: of that detection. first: time of the first one, seconds.
    appearance: learnt while nobody covered the person; last: of the last detection. hits: detections up to now."""

    identity: int
    motion: Motion
    box: NDArray[np.float32]
    score: float
    first: float
    appearance: Appearance | None
    last: Appearance | None
    hits: int = 0


def in_reach(box: NDArray[np.float32], track: Track, age: float) -> bool:
    """Whether a track that was seen `age` seconds ago can be in this box, xywh, by its place and its height."""
    low, high = sorted((float(box[3]), float(track.box[3])))
    if high > SIZE_CHANGE * low:
        return False
    reach = (REACH_HEIGHTS + REACH_PER_SECOND * age) * max(float(box[3]), float(track.box[3]))
    gap = (box[:2] + box[2:] / 2) - (track.box[:2] + track.box[2:] / 2)
    return float(np.hypot(*gap)) <= reach


def likeness_to_owners(
    owners: Sequence[Track | None], appearances: Sequence[Appearance | None]
) -> dict[Track, float | None]:
    """How much everybody looks like themselves in this frame. owners: of the detections, None where there is none."""
    pairs = zip(owners, appearances, strict=True)
    return {track: likeness(look, track.appearance) for track, look in pairs if track is not None}


def resembled(
    appearance: Appearance | None,
    tracks: Sequence[Track],
    owners: Sequence[Track | None],
    sure: dict[Track, float | None],
    near: Collection[Track],
) -> Track | None:
    """The lost track that a detection looks like; None where there is none, or another one is nearly as much alike.

    owners: tracks with a detection in this frame. sure: `likeness_to_owners`. near: tracks that can be there.
    """
    ranked = []
    for track in tracks:
        value = likeness(appearance, track.appearance)
        free = track not in owners
        elsewhere = value is not None and (sure.get(track) or 0.0) >= value + ELSEWHERE_LEAD
        if value is not None and not elsewhere and (not free or track in near):
            ranked.append((-value, track.identity, free, track))
    ranked.sort(key=lambda entry: entry[:2])
    if not ranked or not ranked[0][2] or -ranked[0][0] < LEAST_LIKENESS:
        return None
    if len(ranked) > 1 and ranked[1][0] - ranked[0][0] < LIKENESS_LEAD:
        return None
    return ranked[0][3]
