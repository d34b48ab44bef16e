"""People who are seen for a moment only do not count; everybody else does from the first frame on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.people.confirmation import confirmed, frames_ahead
from dcpose_cli.types import TrackedBoxes


def people(*ids: int, predicted: int = 0, between: bool = False, cut: bool = False) -> TrackedBoxes:
    boxes = np.array([[10 * i, 0, 8, 20] for i in ids], np.float32).reshape(-1, 4)
    return TrackedBoxes(boxes, np.full(len(ids), 0.5, np.float32), np.array(ids, np.int64), predicted, between, cut)


def ids_of(stream: list[TrackedBoxes], ahead: int) -> list[list[int]]:
    found = list(confirmed(enumerate(stream), ahead))
    assert [item for item, _ in found] == list(range(len(stream)))
    return [out.track_ids.tolist() for _, out in found]


def test_a_moment_is_not_enough_and_the_rest_is_there_from_the_start():
    stream = [people(4), people(4, 7), people(4, 7), people(4), people(4, 9), people(4), people(4, 9), people(4, 9)]
    assert ids_of(stream, 3) == [[0], [0], [0], [0], [0, 1], [0], [0, 1], [0, 1]]


def test_weak_detections_confirm_nobody():
    """A place that looks like a person once, and a little like one afterwards."""
    strong, weak = people(3), replace(people(3), scores=np.full(1, 0.2, np.float32))
    assert [len(who) for _, who in confirmed(enumerate([strong, *[weak] * 8]), 4, 0.3)] == [0] * 9
    assert [len(who) for _, who in confirmed(enumerate([strong] * 3 + [weak] * 6), 4, 0.3)] == [1] * 9


def test_boxes_and_scores_stay_with_their_people():
    stream = [people(2, 5)] + [people(5)] * 4
    (_, first), *_ = confirmed(enumerate(stream), 3)
    assert first.boxes.tolist() == [[50, 0, 8, 20]]
    assert len(first.scores) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_in_a_clip_of_few_frames_few_detections_do(count):
    assert ids_of([people(3)] * count, 8) == [[0]] * count


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_short_scene_asks_for_as_many_detections_as_it_has_frames(count):
    """Between two long ones, and at the end; ids of one scene are not those of another."""
    long = [people(1)] * 8
    short = [people(2, cut=True), *[people(2)] * (count - 1)]
    after = [people(3, cut=True), *[people(3)] * 7]
    assert ids_of([*long, *short, *after], 8) == [[0]] * 8 + [[1]] * count + [[2]] * 8
    assert ids_of([*long, *short], 8) == [[0]] * 8 + [[1]] * count
    assert ids_of([*short, *after], 8) == [[0]] * count + [[1]] * 8


def test_in_a_short_scene_who_is_seen_less_than_it_lasts_does_not_count():
    stream = [*[people(1)] * 8, people(2, cut=True), people(2, 3), people(4, cut=True), *[people(4)] * 7]
    assert ids_of(stream, 8) == [[0]] * 8 + [[1]] * 2 + [[2]] * 8


def test_in_a_short_scene_only_frames_with_a_detection_are_asked_for():
    stream = [*[people(1)] * 8, people(2, cut=True), *[people(2, between=True)] * 3, people(3, cut=True)]
    assert ids_of(stream, 8) == [[0]] * 8 + [[1]] * 4 + [[2]]


def test_a_long_scene_after_a_short_one_asks_for_all_detections():
    stream = [people(1, cut=True), people(2, cut=True), people(2, 3), *[people(2)] * 9]
    assert ids_of(stream, 8) == [[0]] + [[1]] * 11


def test_who_comes_in_the_last_frames_does_not_count():
    assert ids_of([people(1)] * 6 + [people(1, 2)] * 2, 3) == [[0]] * 8


def test_expected_people_stay_and_are_no_evidence():
    stream = [people(1)] * 4 + [people(1, predicted=1)] * 2 + [people(6, 1, predicted=2)] * 4
    assert ids_of(stream, 3) == [[0]] * 10
    *_, (_, last) = confirmed(enumerate(stream), 3)
    assert last.predicted == 1


def test_frames_nobody_looked_at_are_no_evidence_either():
    looks = [people(0, between=place % 4 != 0) for place in range(12)]
    assert ids_of(looks, 8) == [[0]] * 12
    once = [people(0, 3), *[people(0, 3, between=True)] * 2, people(0, between=True), *looks[4:]]
    assert ids_of(once, 8) == [[0]] * 12


@pytest.mark.parametrize("missed", [4, 8])
def test_one_searched_frame_without_a_detection_does_not_lose_a_whole_scene(missed):
    """Three of twelve frames are searched; the second person is found in two of them."""
    scene = [people(2, *[3] * (place != missed), between=place % 4 != 0, cut=place == 0) for place in range(12)]
    after = [people(4, cut=True), *[people(4)] * 7]
    found = ids_of([*[people(1)] * 8, *scene, *after], 8)[8:20]
    assert found == [[1] if place == missed else [1, 2] for place in range(12)]


def test_where_every_frame_is_searched_a_short_scene_asks_for_all_of_them():
    stream = [*[people(1)] * 8, people(2, 3, cut=True), people(2), people(2, 3), people(4, cut=True), *[people(4)] * 7]
    assert ids_of(stream, 8)[8:11] == [[1]] * 3


def test_without_looking_ahead_everybody_counts_and_keeps_the_id():
    assert ids_of([people(5), people(7, 5)], 0) == [[5], [7, 5]]


def test_no_more_is_waited_for_than_said():
    taken = []

    def stream():
        for number in range(10):
            taken.append(number)
            yield number, people(0)

    for number, _ in confirmed(stream(), 4):
        assert len(taken) == min(10, number + 5)


def test_frames_ahead_follow_the_frame_rate():
    assert [frames_ahead(fps) for fps in (1, 25, 60)] == [0, 8, 18]
