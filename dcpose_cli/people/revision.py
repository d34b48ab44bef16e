"""Identities of frames that are not passed on yet, put right by what a later frame tells (types.Reassignment).

Who is left where two people met is known some frames later. Until then the box bears the wrong identity; here it gets
the right one, and the other person has a gap there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..types import Reassignment, TrackedBoxes


def revised(frames: Sequence[TrackedBoxes], reassigned: Sequence[Reassignment]) -> list[TrackedBoxes]:
    """The people of successive frames after a later frame, the next one, reassigned boxes.

    Somebody who was expected in a frame gives way to the detection. Between a frame that is revised and one that is not
    (`between`), nobody stands for the former owner: that box lies between two people.
    """
    out = list(frames)
    for one in reassigned:
        left = one.frames
        inner = False  # whether the frame after this one is revised, too
        for place in range(len(out) - 1, -1, -1):
            people = out[place]
            if people.between:
                out[place] = without(people, one.source) if not (inner and left) else _renamed(people, one)
                continue
            if not left:
                break
            out[place], left, inner = _renamed(people, one), left - 1, True
            if people.cut:
                break
    return out


def _renamed(people: TrackedBoxes, one: Reassignment) -> TrackedBoxes:
    """With the box of `source` as that of `target`; unchanged where `target` was detected or `source` was not."""
    detected = people.track_ids[: len(people) - people.predicted]
    if one.source not in detected or one.target in detected:
        return people
    people = without(people, one.target)
    identities = np.where(people.track_ids == one.source, one.target, people.track_ids)
    return replace(people, track_ids=identities)


def without(people: TrackedBoxes, identity: int) -> TrackedBoxes:
    """The others of a frame."""
    kept = people.track_ids != identity
    return replace(
        people,
        boxes=people.boxes[kept],
        scores=people.scores[kept],
        track_ids=people.track_ids[kept],
        predicted=int(kept[len(people) - people.predicted :].sum()),
        filled=int(kept[len(people) - people.filled :].sum()),
    )
