"""Identities put right by appearance: how much better an exchange fits, and who is left where two people met.

Motion decides while people are in one place, and is often wrong there: one box then reaches over both. How much more it
looks like the one who is missed is summed up over the frames, so that no single one decides.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import Reassignment
from .appearance import Appearance, likeness

#: Least likeness of a detection to the person whose identity it gets by appearance.
LEAST_LIKENESS: Final = 0.6
#: A detection goes to the missed one when the likenesses by which it leads sum up to this; each frame counts less by
#: the drift, so that people who look the same are not exchanged.
MET_LEAD: Final = 0.1
MET_DRIFT: Final = 0.02


class Looks(Hashable, Protocol):
    """Somebody with an identity. appearance: as learnt while nobody covered them."""

    identity: int
    appearance: Appearance | None


T = TypeVar("T", bound=Looks)


def exchange_gain(
    number: int,
    track: T,
    appearances: Sequence[Appearance | None],
    owners: Sequence[T | None],
    clear: Collection[int],
) -> float:
    """How much more alike people get when a detection gets this track, and its owner, if any, the other one.

    number: of the detection. clear: the detections that decide; 0 where another one would be exchanged.
    """
    mine = owners[number]
    value = likeness(appearances[number], track.appearance)
    if mine is None or value is None or value < LEAST_LIKENESS:
        return 0.0
    gain = value - (likeness(appearances[number], mine.appearance) or 0.0)
    if track in owners:
        other = owners.index(track)
        if other not in clear:
            return 0.0
        gain += likeness(appearances[other], mine.appearance) or 0.0
        gain -= likeness(appearances[other], track.appearance) or 0.0
    return gain


class Meetings:
    """Who is in one place with whom, and what has spoken for an exchange until now. For one scene.

    shared: (N,), of the detections of the last frame, whether a missed person may be where they are.
    """

    def __init__(self) -> None:
        self.shared: NDArray[np.bool_] = np.zeros(0, np.bool_)
        #: (identity of the owner, of the missed one) -> sum of the evidence, and in how many frames it was above 0.
        self._evidence: dict[tuple[int, int], tuple[float, int]] = {}

    def correct(
        self,
        owners: list[T | None],
        appearances: Sequence[Appearance | None],
        missed: Sequence[T],
        met: NDArray[np.bool_],
    ) -> tuple[Reassignment, ...]:
        """Gives detections, in place, to the missed people whom they look like. To be called once per frame.

        owners: of the N detections, None where there is none. missed: the M people without a detection. met: (N, M),
        whether a detection is where a missed one may be. Returns what that says of the frames before: since the
        evidence began to rise the box was the missed one's.
        """
        self.shared = np.asarray(met.any(axis=1), np.bool_)
        evidence: dict[tuple[int, int], tuple[float, int]] = {}
        moves: list[tuple[float, int, T]] = []
        for number, place in np.argwhere(met).tolist():
            owner, other = owners[number], missed[place]
            gain = None if owner is None else _gain(appearances[number], owner, other)
            if owner is None or gain is None:
                continue
            pair = owner.identity, other.identity
            before, frames = self._evidence.get(pair, (0.0, 0))
            value = before + gain - MET_DRIFT
            if value <= 0:
                continue
            evidence[pair] = value, frames + 1
            if value > MET_LEAD:
                moves.append((value, number, other))
        moves.sort(key=lambda move: (-move[0], move[1], move[2].identity))
        moved: dict[int, Reassignment] = {}
        for _, number, other in moves:
            owner = owners[number]
            if number not in moved and other not in owners and owner is not None:
                frames = evidence[owner.identity, other.identity][1] - 1
                moved[number] = Reassignment(owner.identity, other.identity, frames)
                owners[number] = other
        # Evidence against an owner is about the box that was lost, and ends with it.
        lost = {one.source for one in moved.values()}
        self._evidence = {p: entry for p, entry in evidence.items() if entry[0] <= MET_LEAD and p[0] not in lost}
        return tuple(one for one in moved.values() if one.frames)


def _gain(seen: Appearance | None, owner: Looks, other: Looks) -> float | None:
    """How much more alike a detection is to another one than to its owner; None where there is nothing to compare."""
    mine, theirs = likeness(seen, owner.appearance), likeness(seen, other.appearance)
    return None if mine is None or theirs is None or theirs < LEAST_LIKENESS else theirs - mine
