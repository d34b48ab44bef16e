"""Which people are kept: every selector alone, together, and what cannot be meant."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli import UsageError
from dcpose_cli.config import Selection
from dcpose_cli.selection import options_of, require_threshold, roi_of, select, selection_of
from dcpose_cli.types import FrameResult, Person


def person(track, x, y, width, height):
    return Person(track, np.array([x, y, width, height], np.float32), 0.9, np.zeros((17, 3), np.float32))


def frames():
    """Picture of 200 x 100, ten frames. Track 0: all frames, small, left. 1: five frames, large, right. 2: four frames
    in the middle. 3: one frame in the very middle."""
    out = []
    for i in range(10):
        people = [person(0, 10, 20, 10, 30)]
        people += [person(1, 140, 10, 50, 80)] if i < 5 else []
        people += [person(2, 90, 25, 20, 50)] if 4 <= i < 8 else []
        people += [person(3, 95, 40, 10, 20)] if i == 9 else []
        out.append(FrameResult(i, i, i / 25, tuple(people)))
    return out


def ids(selection, size=(200, 100)):
    return [[p.track_id for p in frame.people] for frame in select(frames(), selection, size)]


def where(track, kept):
    return [[track] if i in kept else [] for i in range(10)]


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(tracks=(2,)), where(2, range(4, 8))),
        (Selection(largest=True), where(1, range(5))),
        (Selection(longest=True), where(0, range(10))),
        (Selection(center=True), where(2, range(4, 8))),
        (Selection(roi=(80, 0, 40, 100)), [[]] * 4 + [[2]] * 4 + [[], [3]]),
        (Selection(min_height=50), [[1]] * 4 + [[1, 2]] + [[2]] * 3 + [[], []]),
        (Selection(max_people=1), [[1]] * 5 + [[2]] * 3 + [[0], [0]]),
        (Selection(max_people=2), [[0, 1]] * 4 + [[1, 2]] + [[0, 2]] * 3 + [[0], [0, 3]]),
        (Selection(tracks=(0, 2), largest=True), where(2, range(4, 8))),
        (Selection(roi=(0, 0, 120, 100), longest=True), where(0, range(10))),
    ],
)
def test_selectors(selection, kept):
    assert ids(selection) == kept


def test_everybody_by_default():
    assert ids(Selection()) == [[p.track_id for p in frame.people] for frame in frames()]
    assert Selection().everybody
    assert not Selection(tracks=(0,)).everybody


def test_what_needs_the_whole_video():
    assert not any(s.needs_all for s in (Selection(), Selection(tracks=(1,), roi=(0, 0, 1, 1))))
    assert all(
        s.needs_all
        for s in (
            *(Selection(**{name: True}) for name in ("largest", "longest", "center")),
            *(Selection(max_people=2), Selection(min_height=9)),
        )
    )


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (Selection(tracks=(7, 8)), "no track 7, 8 in the result; there are 0, 1, 2, 3"),
        (Selection(tracks=(2, 8)), "no track 8 in the result; there are 0, 1, 2, 3"),
        (Selection(roi=(0, 0, 0, 5)), "width and height"),
        (Selection(roi=(0, 0, float("nan"), 5)), "width and height"),
        (Selection(roi=(500, 500, 5, 5)), "nobody in the result is chosen by --roi 500,500,5,5"),
        (Selection(min_height=500), "nobody in the result is chosen by --min-height 500"),
        (Selection(min_height=-1), "--min-height"),
        (Selection(max_people=0), "--max-people"),
        (Selection(largest=True, longest=True), "exclude each other"),
    ],
)
def test_what_cannot_be_meant(selection, says):
    with pytest.raises(UsageError, match=says):
        ids(selection)


@pytest.mark.parametrize("least", [float("nan"), float("inf"), float("-inf")])
def test_least_confidence_that_is_no_number(least):
    require_threshold(None)
    require_threshold(-1.0)
    with pytest.raises(UsageError, match="--kpt-thr must be a number"):
        require_threshold(least)


def test_the_middle_needs_a_size():
    with pytest.raises(UsageError, match="size of the picture"):
        ids(Selection(center=True), None)


def test_options_there_and_back():
    values = {"tracks": [3, 5], "roi": "1,2.5,3,4", "largest": True, "longest": False, "center": False,
              "max_people": 2, "min_height": None}  # fmt: skip
    selection = selection_of(values)
    assert selection == Selection(tracks=(3, 5), roi=(1, 2.5, 3, 4), largest=True, max_people=2)
    assert options_of(selection) == "--track 3 --track 5 --roi 1,2.5,3,4 --largest --max-people 2"
    assert selection.header() == {"tracks": [3, 5], "roi": [1, 2.5, 3, 4], "largest": True, "max_people": 2}
    for text in ("1,2,3", "a,b,c,d", "1,2,3,4,5", ""):
        with pytest.raises(UsageError, match="--roi must be x,y,width,height"):
            roi_of(text)
