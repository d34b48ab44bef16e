"""Of the people whom a tracker expects in a frame, those who may be hidden there.

Where frames wait for later ones, a gap is filled as soon as somebody is detected again. Whoever is missed in full view
is gone until then; a box there would stand on empty ground. Behind somebody else they may still stand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from ..types import TrackedBoxes
from .boxes import areas, pairwise_intersection

#: Somebody may be hidden where so much of the box expected of them lies in that of somebody detected.
HIDDEN_SHARE: Final = 0.8


class Hidden:
    """Call it with the people of each frame in which people were looked for, in the order of time.

    It returns those who were detected, and those expected who may have been hidden since they were detected last.
    """

    def __init__(self) -> None:
        self._gone: set[int] = set()

    def __call__(self, people: TrackedBoxes) -> TrackedBoxes:
        """See the class."""
        detected = len(people) - people.predicted
        seen, missed = people.boxes[:detected], people.boxes[detected:]
        covered = pairwise_intersection(missed, seen).max(axis=1, initial=0) / np.maximum(areas(missed), 1e-6)
        identities = people.track_ids[detected:]
        self._gone -= set(people.track_ids[:detected].tolist())
        self._gone |= set(identities[covered < HIDDEN_SHARE].tolist())
        stay = [row for row, identity in enumerate(identities.tolist(), detected) if identity not in self._gone]
        kept = [*range(detected), *stay]
        return replace(
            people,
            boxes=people.boxes[kept],
            scores=people.scores[kept],
            track_ids=people.track_ids[kept],
            predicted=len(stay),
        )
