"""Where two people met, appearance tells over several frames who is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from dcpose_cli.people.appearance import APPEARANCE_SIZE, Appearance, likeness
from dcpose_cli.people.correction import Meetings
from dcpose_cli.types import Reassignment


@dataclass(eq=False)
class Someone:
    identity: int
    appearance: Appearance | None


def look(share: float) -> Appearance:
    """Colours of two people, mixed; 0 and 1 are those of either."""
    out = np.zeros(APPEARANCE_SIZE, np.float32)
    out[5], out[200] = 1 - share, share
    return out


def frames_until_exchange(seen: Appearance | None, front: Someone, hidden: Someone, *, met: bool = True) -> int | None:
    """Number of the frame that gives the one detection to the hidden person, None in the first 50."""
    meetings = Meetings()
    for number in range(50):
        owners: list[Someone | None] = [front]
        meetings.correct(owners, [seen], [hidden], np.array([[met]]))
        if owners == [hidden]:
            return number
    return None


def test_who_is_left_is_known_at_once_or_after_some_frames() -> None:
    front, hidden = Someone(0, look(0)), Someone(1, look(1))
    assert frames_until_exchange(look(0.9), front, hidden) == 0
    assert frames_until_exchange(look(0.54), front, hidden) == 2
    assert frames_until_exchange(look(0.4), front, hidden) is None
    assert frames_until_exchange(look(0.9), front, hidden, met=False) is None


def test_people_who_look_the_same_are_not_exchanged() -> None:
    front, hidden = Someone(0, look(0.5)), Someone(1, look(0.52))
    seen = look(0.55)
    assert likeness(seen, hidden.appearance) > likeness(seen, front.appearance)
    assert frames_until_exchange(seen, front, hidden) is None


@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_nothing_is_exchanged_where_looks_are_unknown(unknown: int) -> None:
    looks: list[Appearance | None] = [look(1), look(0), look(1)]
    looks[unknown] = None
    assert frames_until_exchange(looks[0], Someone(0, looks[1]), Someone(1, looks[2])) is None


def test_a_detection_goes_to_one_of_several_missed_people() -> None:
    front, like, liker = Someone(0, look(0)), Someone(1, look(0.8)), Someone(2, look(1))
    owners: list[Someone | None] = [front, None]
    Meetings().correct(owners, [look(1), look(1)], [like, liker], np.ones((2, 2), bool))
    assert owners == [liker, None]


def test_the_box_was_the_missed_ones_since_the_evidence_began_to_rise() -> None:
    front, hidden = Someone(0, look(0)), Someone(1, look(1))
    meetings = Meetings()
    said = []
    for seen in (0.2, 0.3, 0.54, 0.54, 0.54, 0.9):  # two frames speak for the owner
        owners: list[Someone | None] = [front]
        said.append(meetings.correct(owners, [look(seen)], [hidden], np.ones((1, 1), bool)))
    assert said == [(), (), (), (), (Reassignment(0, 1, 2),), ()]


def test_what_is_clear_at_once_says_nothing_of_the_frames_before() -> None:
    owners: list[Someone | None] = [Someone(0, look(0))]
    assert Meetings().correct(owners, [look(0.9)], [Someone(1, look(1))], np.ones((1, 1), bool)) == ()


def test_evidence_against_somebody_ends_with_the_box_they_lose() -> None:
    """A second missed person, for whom less speaks, does not take the owner's next box by it."""
    front, like, liker = Someone(0, look(0)), Someone(1, look(1)), Someone(2, look(0.9))
    meetings = Meetings()
    found = []
    for met in ([True, False], [True, True], [True, False]):  # in the second frame the box goes to the liker one
        owners: list[Someone | None] = [front]
        meetings.correct(owners, [look(0.54)], [like, liker], np.array([met]))
        found.append(owners[0])
    assert found == [front, liker, front]
