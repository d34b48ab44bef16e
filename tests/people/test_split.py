"""Where one box became two, the person keeps the box that looks like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from dcpose_cli.people.appearance import APPEARANCE_SIZE, Appearance
from dcpose_cli.people.split import IDLE_FRAMES, Split, Splits


@dataclass(eq=False)
class Someone:
    identity: int
    appearance: Appearance | None


def look(share: float) -> Appearance:
    """Colours of two people, mixed; 0 and 1 are those of either."""
    out = np.zeros(APPEARANCE_SIZE, np.float32)
    out[5], out[200] = 1 - share, share
    return out


#: The owner looks like `look(0)`, has the box at 124 and is expected at 112; the free box is at 100.
OWNER = Someone(0, look(0))
LEFT, FREE, PLACE = (124.0, 40.0, 100.0), (100.0, 40.0, 100.0), (112.0, 40.0, 100.0)


def find(
    splits: Splits,
    left: Appearance | None,
    free: Appearance | None,
    *,
    box: tuple[float, float, float] = FREE,
    place: tuple[float, float, float] = PLACE,
    missed: tuple[Someone, ...] = (),
) -> list[Split]:
    """Of a frame with the owner's detection and a free one. box, place: x, width and height."""
    boxes = np.array([[x, 50, w, h] for x, w, h in (LEFT, box)], np.float32)
    places = np.array([[place[0], 50, *place[1:]], [np.nan] * 4])
    return splits.find(boxes, [left, free], [OWNER, None], places, missed)


def test_the_free_box_is_the_owners_at_once_where_that_is_clear() -> None:
    assert find(Splits(), look(0.5), look(0)) == [Split(1, 0, 0)]
    assert find(Splits(), look(0.1), look(0)) == []
    assert find(Splits(), look(0), look(0.3)) == []


def test_evidence_is_summed_up_and_says_since_when() -> None:
    splits = Splits()
    found = [find(splits, look(0.1), look(0)) for _ in range(4)]
    assert found == [[], [], [], [Split(1, 0, 3)]]


@pytest.mark.parametrize(("frames", "kept"), [(IDLE_FRAMES, True), (IDLE_FRAMES + 1, False)])
def test_evidence_lasts_while_the_second_box_is_missing_for_a_moment(frames: int, kept: bool) -> None:
    splits = Splits()
    for _ in range(3):
        find(splits, look(0.1), look(0))
    for _ in range(frames):
        find(splits, look(0.1), look(0), box=(600, 40, 100))
    assert find(splits, look(0.1), look(0)) == ([Split(1, 0, 3 + frames)] if kept else [])


@pytest.mark.parametrize(
    "box",
    [(118.0, 40.0, 100.0), (165.0, 40.0, 100.0), (100.0, 40.0, 70.0)],
    ids=["of the same person", "far away", "of another height"],
)
def test_other_boxes_are_no_second_one(box: tuple[float, float, float]) -> None:
    assert find(Splits(), look(0.5), look(0), box=box) == []


def test_a_box_away_from_where_the_owner_is_expected_is_somebody_else() -> None:
    assert find(Splits(), look(0.5), look(0), place=(150, 40, 100)) == []
    assert find(Splits(), look(0.5), look(0), place=(np.nan, np.nan, np.nan)) == []


def test_who_looks_more_like_a_missed_person_is_them() -> None:
    seen = look(0.1)
    assert find(Splits(), look(0.6), seen, missed=(Someone(1, look(0.6)),)) == [Split(1, 0, 0)]
    assert find(Splits(), look(0.6), seen, missed=(Someone(1, look(0.1)),)) == []


def test_unknown_looks_say_nothing() -> None:
    assert find(Splits(), None, look(0)) == []
    assert find(Splits(), look(0.5), None) == []
