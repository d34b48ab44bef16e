"""Gaps inside a track: filled between two detections, up to a length, and never across a cut."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people.appearance import APPEARANCE_SIZE
from dcpose_cli.people.gaps import HELD_PIXELS, filled, gap_frames
from dcpose_cli.types import Detections, TrackedBoxes


def people(*rows, predicted=0, cut=False, between=False):
    """rows: (identity, x); boxes 20 wide, 50 high, score 0.9."""
    boxes = np.array([[x, 10, 20, 50] for _, x in rows], np.float32).reshape(-1, 4)
    ids = np.array([identity for identity, _ in rows], np.int64)
    return TrackedBoxes(boxes, np.full(len(rows), 0.9, np.float32), ids, predicted, between, cut)


def result(stream, longest, **options):
    """Per frame: {identity: x}, and how many are predicted and filled."""
    found = list(filled(enumerate(stream), longest, **options))
    assert [number for number, _ in found] == list(range(len(stream)))
    return [
        (dict(zip(who.track_ids.tolist(), who.boxes[:, 0].tolist(), strict=True)), who.predicted, who.filled)
        for _, who in found
    ]


def test_boxes_in_a_gap_lie_on_the_way():
    stream = [people((0, 0)), people(), people((5, 200)), people(), people((0, 40))]
    assert result(stream, 3) == [
        ({0: 0}, 0, 0),
        ({0: 10}, 1, 1),
        ({5: 200, 0: 20}, 1, 1),
        ({0: 30}, 1, 1),
        ({0: 40}, 0, 0),
    ]


@pytest.mark.parametrize(("gap", "count"), [(3, 3), (4, 0)])
def test_a_gap_is_filled_whole_or_not_at_all(gap, count):
    stream = [people((0, 0)), *[people()] * gap, people((0, 8))]
    assert sum(who[2] for who in result(stream, 3)) == count


def test_no_gap_reaches_over_a_cut():
    stream = [people((0, 0)), people(), people(cut=True), people((0, 8))]
    assert [who for who, _, _ in result(stream, 5)] == [{0: 0}, {}, {}, {0: 8}]


def test_filled_people_replace_expected_ones():
    stream = [people((0, 0)), people((0, 77), predicted=1), people((0, 20)), people((0, 99), predicted=1)]
    assert result(stream, 3) == [({0: 0}, 0, 0), ({0: 10}, 1, 1), ({0: 20}, 0, 0), ({0: 99}, 1, 0)]


def test_without_filling_only_detected_people_are_left():
    stream = [people((0, 0)), people((0, 77), predicted=1), people((0, 20)), people((0, 99), predicted=1)]
    assert result(stream, 3, fill=False) == [({0: 0}, 0, 0), ({}, 0, 0), ({0: 20}, 0, 0), ({}, 0, 0)]
    between = [people((0, 0)), people((0, 5), predicted=1, between=True), people()]
    assert result(between, 3, fill=False)[1] == ({0: 5}, 1, 0)


def test_no_more_frames_are_held_than_said():
    taken = []

    def stream():
        for number in range(20):
            taken.append(number)
            yield number, people()

    for number, _ in filled(stream(), 4):
        assert len(taken) == min(20, number + 5)
    live = [people((0, 0)), people((0, 5), predicted=1)]
    assert list(filled(enumerate(live), 0)) == list(enumerate(live))


def test_a_second_is_looked_ahead_and_memory_is_bounded():
    assert gap_frames(25, 640, 360) == 25
    assert gap_frames(60, 1920, 1080) == 60
    for width, height in ((3840, 2160), (7680, 4320), (20000, 20000)):
        assert gap_frames(60, width, height) * width * height <= max(HELD_PIXELS, width * height)


def weak(*xs):
    """Detections of score 0.2 at these places."""
    boxes = np.array([[x, 10, 20, 50] for x in xs], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(xs), 0.2, np.float32))


def continued_back(stream, seen, back=3, **options):
    """As `result`, of frames with these detections."""
    pairs = zip(seen, stream, strict=True)
    found = filled(pairs, 4, back=back, detections=lambda detections: detections, **options)
    return [
        (dict(zip(who.track_ids.tolist(), who.boxes[:, 0].tolist(), strict=True)), who.predicted, who.filled)
        for _, who in found
    ]


def test_a_track_begins_with_the_weak_detections_before_it():
    stream = [people(), people(), people(), people(), people((0, 40))]
    seen = [weak(24), weak(28), weak(), weak(36, 300), weak(40)]
    expected = [({}, 0, 0), ({0: 28}, 0, 0), ({0: 32}, 1, 1), ({0: 36}, 0, 0), ({0: 40}, 0, 0)]
    assert continued_back(stream, seen) == expected
    assert continued_back(stream, seen, fill=False) == [*expected[:2], ({}, 0, 0), *expected[3:]]
    assert continued_back(stream, seen, back=0) == [({}, 0, 0)] * 4 + expected[4:]


def test_a_track_does_not_begin_with_somebody_else():
    seen = [weak(40), weak(40), weak(40, 37)]
    assert continued_back([people((3, 38)), people((3, 38)), people((3, 38), (0, 60))], seen)[1] == ({3: 38}, 0, 0)
    far = continued_back([people(), people((0, 60))], [weak(20), weak(60)])
    assert far[0] == ({}, 0, 0)


def test_a_track_does_not_begin_before_a_cut():
    stream = [people(), people(cut=True), people((0, 40))]
    assert continued_back(stream, [weak(40)] * 3) == [({}, 0, 0), ({0: 40}, 0, 0), ({0: 40}, 0, 0)]
    assert continued_back([people(), people((0, 40), cut=True)], [weak(40)] * 2)[0] == ({}, 0, 0)


def test_who_is_expected_before_the_track_returns_is_the_one_who_was_detected():
    stream = [people((0, 50), predicted=1), people((0, 40))]
    assert continued_back(stream, [weak(41), weak(40)]) == [({0: 41}, 0, 0), ({0: 40}, 0, 0)]


def test_a_track_does_not_begin_with_somebody_who_looks_different():
    """Two people stand so close that the detections of one overlap the first box of the other."""
    red, blue = np.zeros((2, APPEARANCE_SIZE), np.float32)
    red[5], blue[200] = 1, 1
    looks = [[blue], [None], [red, blue], [red]]
    seen = [weak(40), weak(40), weak(40, 44), weak(41)]
    stream = [people(), people(), people(), people((0, 41))]
    items = zip(zip(seen, looks, strict=True), stream, strict=True)
    found = filled(items, 4, back=3, detections=lambda item: item[0], appearances=lambda item: item[1])
    places = [dict(zip(who.track_ids.tolist(), who.boxes[:, 0].tolist(), strict=True)) for _, who in found]
    assert places == [{}, {0: 40}, {0: 40}, {0: 41}]


@pytest.mark.parametrize(("value", "begins"), [(0.9, True), (0.5, False)])
def test_a_track_does_not_begin_with_a_box_that_looks_more_like_the_person_beside(value, begins):
    def look(share):
        out = np.zeros(APPEARANCE_SIZE, np.float32)
        out[5], out[200] = share, 1 - share
        return out

    seen = [weak(30, 43), weak(30, 45)]
    looks = [[look(0.3), look(value)], [look(0.3), look(1)]]
    stream = [people((1, 30)), people((1, 30), (0, 45))]
    items = zip(zip(seen, looks, strict=True), stream, strict=True)
    found = filled(items, 4, back=3, detections=lambda item: item[0], appearances=lambda item: item[1])
    first = next(found)[1]
    assert (0 in first.track_ids.tolist()) == begins


def heights(*values):
    """Frames with one person of these heights, 20 wide; None: nobody."""
    boxes = [np.array([] if h is None else [[40, 10, 20, h]], np.float32).reshape(-1, 4) for h in values]
    return [TrackedBoxes(b, np.full(len(b), 0.9, np.float32), np.zeros(len(b), np.int64)) for b in boxes]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((50, 80, 78, 56), (50, 52, 54, 56)),
        ((50, 80, 80, 80, 50), (50, 80, 80, 80, 50)),
        ((50, None, 80, 56), (50, 52, 54, 56)),
    ],
    ids=["a spike", "longer than one", "with a gap"],
)
def test_boxes_that_are_too_high_for_a_moment_are_interpolated(given, expected):
    found = [who for _, who in filled(enumerate(heights(*given)), 4, spikes=2)]
    assert [who.boxes[:, 3].tolist() for who in found] == [[pytest.approx(h)] for h in expected]
    assert [who.filled for who in found] == [int(h != g) for h, g in zip(expected, given, strict=True)]


def test_without_filling_boxes_stay_as_detected():
    found = [who for _, who in filled(enumerate(heights(50, 80, 50)), 4, spikes=2, fill=False)]
    assert [who.boxes[0, 3] for who in found] == [50, 80, 50]
