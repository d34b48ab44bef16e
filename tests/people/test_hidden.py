"""Who is expected in a frame without a detection: behind somebody, and not on empty ground."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people.hidden import Hidden
from dcpose_cli.types import TrackedBoxes


def people(*rows, predicted=0):
    """rows: (identity, x); boxes 20 wide, 50 high."""
    boxes = np.array([[x, 10, 20, 50] for _, x in rows], np.float32).reshape(-1, 4)
    ids = np.array([identity for identity, _ in rows], np.int64)
    return TrackedBoxes(boxes, np.full(len(rows), 0.9, np.float32), ids, predicted)


def ids(found):
    assert len(found.boxes) == len(found.scores) == len(found.track_ids)
    return found.track_ids.tolist(), found.predicted


@pytest.mark.parametrize(("place", "stays"), [(200, True), (203, True), (206, False), (77, False)])
def test_somebody_behind_another_stays(place, stays):
    found = Hidden()(people((5, 200), (0, place), predicted=1))
    assert ids(found) == (([5, 0], 1) if stays else ([5], 0))


def test_whoever_would_have_been_seen_is_gone_until_detected():
    hidden = Hidden()
    behind = people((5, 200), (0, 202), predicted=1)
    frames = [people((5, 200), (0, 202)), behind, people((5, 200), (0, 100), predicted=1), behind]
    assert [ids(hidden(frame)) for frame in frames] == [([5, 0], 0), ([5, 0], 1), ([5], 0), ([5], 0)]
    assert ids(hidden(people((0, 202)))) == ([0], 0)
    assert ids(hidden(behind)) == ([5, 0], 1)


def test_people_who_are_only_expected_hide_nobody():
    assert ids(Hidden()(people((0, 200), (1, 200), predicted=2))) == ([], 0)


def test_nobody_and_boxes_without_area():
    assert ids(Hidden()(TrackedBoxes.empty())) == ([], 0)
    flat = people((5, 200), (0, 205), predicted=1)
    flat.boxes[1, 2:] = 0
    assert ids(Hidden()(flat)) == ([5], 0)
