"""People between the frames that a detector looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli import Detections, Frame, TrackedBoxes
from dcpose_cli.people.interpolation import corrected, detection_places, doubtful, interpolate, interpolate_frames


def people(*rows, predicted=0, between=False):
    """rows: (id, x); boxes 20 wide, 50 high, score 0.9."""
    boxes = np.array([[x, 10, 20, 50] for _, x in rows], np.float32).reshape(-1, 4)
    ids = np.array([identity for identity, _ in rows], np.int64)
    return TrackedBoxes(boxes, np.full(len(rows), 0.9, np.float32), ids, predicted, between)


def frames(count):
    return [Frame(i, i, i / 10, np.zeros((4, 4, 3), np.uint8)) for i in range(count)]


@pytest.mark.parametrize("every", [1, 2, 5, 7, 30])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_every_chunk_is_looked_at_evenly_from_its_first_frame_on(every, count):
    places = sorted(detection_places([False] * count, every))
    assert places[0] == 0
    assert places[-1] < count
    assert len(places) == max(1, round(count / every))
    gaps = np.diff([*places, count])
    assert gaps.max() - gaps.min() <= 1


def test_the_first_frame_of_a_scene_is_always_looked_at():
    cuts = [place in (3, 4, 11) for place in range(16)]
    assert sorted(detection_places(cuts, 8)) == [0, 3, 4, 8, 11]
    assert sorted(detection_places(cuts[:3], 1)) == [0, 1, 2]


def test_nobody_moves_across_a_cut():
    def follow(frame):
        return people((0, 10.0 * frame.index)) if frame.index < 4 else replace(people((1, 500)), cut=frame.index == 4)

    found = list(interpolate_frames([(frame, frame.index in (0, 2, 4, 6)) for frame in frames(7)], follow))
    assert [(who.track_ids.tolist(), who.boxes[:, 0].tolist()) for _, who in found[1:5]] == [
        ([0], [10.0]),
        ([0], [20.0]),
        ([0], [20.0]),  # stands still until the scene ends
        ([1], [500.0]),
    ]


def test_after_the_last_searched_frame_before_a_cut_people_are_merely_expected():
    """Whether joints are there decides, since the cut may be somewhat earlier; at the end of the video they stay."""

    def follow(frame):
        return replace(people((frame.index // 5, 50)), cut=frame.index == 5)

    found = list(interpolate_frames([(frame, frame.index in (0, 3, 5, 7)) for frame in frames(9)], follow))
    assert [who.predicted for _, who in found] == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert [len(who) for _, who in found] == [1] * 9


def test_who_comes_into_an_empty_scene_is_expected_for_half_of_the_way():
    def follow(frame):
        return people() if frame.index == 0 else people((0, 50))

    found = list(interpolate_frames([(frame, frame.index in (0, 4)) for frame in frames(5)], follow))
    assert [(len(who), who.predicted) for _, who in found] == [(0, 0), (0, 0), (0, 0), (1, 1), (1, 0)]


@pytest.mark.parametrize("looks", [[0], [0, 5, 10], [3, 4, 9, 20], list(range(21))])
def test_every_frame_comes_once_with_people_who_move_evenly(looks):
    asked = []

    def follow(frame):
        asked.append(frame.index)
        return people((3, 2.0 * frame.index))

    stream = frames(21)
    found = list(interpolate_frames([(frame, frame.index in looks) for frame in stream], follow))
    assert [frame for frame, _ in found] == stream
    assert asked == looks
    for frame, who in found:
        where = np.clip(frame.index, looks[0], looks[-1])  # outside of what was looked at, they stand still
        assert who.boxes[0, 0] == pytest.approx(2.0 * where, abs=1e-4)
        assert who.between == (frame.index not in looks)


def test_frames_that_nobody_looked_at_have_nobody_in_them():
    found = list(interpolate_frames([(frame, False) for frame in frames(3)], lambda frame: people((1, 0))))
    assert [len(who) for _, who in found] == [0, 0, 0]
    assert list(interpolate_frames([], lambda frame: people())) == []


def test_few_frames_are_held():
    taken = 0

    def items():
        nonlocal taken
        for frame in frames(60):
            taken += 1
            yield frame, frame.index % 6 == 0

    for number, _ in enumerate(interpolate_frames(items(), lambda frame: people())):
        assert taken - number <= 7


def test_who_was_seen_once_is_expected_for_half_of_the_way():
    before, after = people((1, 0), (2, 100)), people((1, 10), (3, 60))
    early, late = interpolate(before, after, 0.25), interpolate(before, after, 0.75)
    assert early.track_ids.tolist() == [1, 2]
    assert late.track_ids.tolist() == [1, 3]
    assert early.predicted == late.predicted == 1
    assert early.boxes[:, 0].tolist() == [2.5, 100]
    assert late.boxes[:, 0].tolist() == [7.5, 60]


def test_who_was_predicted_stays_predicted():
    found = interpolate(people((1, 0), (2, 50), predicted=1), people((2, 60), (1, 0)), 0.5)
    assert found.track_ids.tolist() == [1, 2]
    assert found.predicted == 1
    assert interpolate(people(), people(), 0.5).boxes.shape == (0, 4)


def points(x, score=0.8):
    """Joints in the middle of a box of `people` at x."""
    out = np.tile(np.array([x + 10, 35, score], np.float32), (17, 1))
    out[:, 1] = np.linspace(12, 58, 17)
    return out


def test_doubts():
    tracked = [people((1, 0)), people((1, 0), between=True), people((1, 0), between=True), people((1, 0), between=True)]
    weak, away, fine = points(0, 0.3), points(0), points(0)
    away[9, 0] = 60
    assert doubtful(tracked, np.stack([fine, fine, weak, away])).tolist() == [False, False, True, True]
    unsure = away.copy()
    unsure[9, 2] = 0.1  # a joint that says nothing says nothing about the box
    assert not doubtful(tracked, np.stack([weak, fine, fine, unsure]))[3]
    assert doubtful([people()], np.zeros((0, 17, 3), np.float32)).tolist() == []


def test_corrected_boxes_are_those_that_overlap_and_each_serves_once():
    who = people((1, 0), (2, 4), (3, 200), between=True)
    found = Detections(np.array([[2, 10, 20, 50], [300, 10, 20, 50]], np.float32), np.array([0.7, 0.6], np.float32))
    better = corrected(who, np.array([True, True, True]), found)
    assert better.boxes[:, 0].tolist() == [2, 4, 200]
    assert better.scores.tolist() == pytest.approx([0.7, 0.9, 0.9])
    assert better.track_ids.tolist() == [1, 2, 3]
    untouched = corrected(who, np.array([False, True, False]), found)
    assert untouched.boxes[:, 0].tolist() == [0, 2, 200]
    assert corrected(who, np.array([True, True, True]), Detections.empty()).boxes[:, 0].tolist() == [0, 4, 200]
