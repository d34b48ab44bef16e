"""Repetitions of signals whose turns are known."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.events.repetitions import repetitions
from dcpose_cli.events.signals import Piece, known_signal, peaks, pieces, tracks_of
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

HIP, KNEE, ANKLE, WRIST = (JOINT_NAMES.index(f"left_{name}") for name in ("hip", "knee", "ankle", "wrist"))


def body(knee_degrees=170.0, wrist_height=0.0, confidence=0.8):
    """Somebody 200 pixels tall, whose left knee has this angle, and whose left wrist is so far above y = 150."""
    points = np.zeros((17, 3), np.float32)
    points[:, :2] = np.random.default_rng(3).uniform(20, 80, (17, 2))
    points[:, 2] = confidence
    bend = np.radians(180 - knee_degrees)
    points[ANKLE, :2], points[KNEE, :2] = (50, 200), (50, 150)
    points[HIP, :2] = 50 + 50 * np.sin(bend), 150 - 50 * np.cos(bend)
    points[WRIST, :2] = 90, 150 - wrist_height
    return points


def result_of(frames, *, fps=50, times=None, track=0, header=None):
    """frames: arrays of points, None for a frame without the person."""
    box = np.array([0, 0, 100, 200], np.float32)
    out = []
    for index, points in enumerate(frames):
        time = index / fps if times is None else times[index]
        people = () if points is None else (Person(track, box, 0.9, points),)
        out.append(FrameResult(index, index, time, people))
    return PoseTrackResult({"width": 640, "height": 240} | (header or {}), out)


def found_in(result, name):
    return [event for track in tracks_of(result) for event in repetitions(track, known_signal(name))]


def squats(time, count, seconds=2.0, first=0.5):
    """Knee angle: 170 while standing, 80 in the middle of each squat; squat k is from first + k * seconds on."""
    phase = (time - first) / seconds
    inside = (phase >= 0) & (phase < count)
    return np.where(inside, 125 + 45 * np.cos(2 * np.pi * phase), 170)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_squats_by_the_angle_of_the_knee(count):
    time = np.arange(0, 1 + 2 * count, 1 / 50)
    noise = np.random.default_rng(0).normal(0, 2, len(time))
    result = result_of([body(angle) for angle in squats(time, count) + noise])
    events = found_in(result, "left_knee")
    assert [event.time for event in events] == pytest.approx([1.5 + 2 * k for k in range(count)], abs=0.06)
    for number, event in enumerate(events):
        assert (event.kind, event.signal) == ("repetition", "left_knee")
        assert event.value == pytest.approx(80, abs=4)
        assert event.extent == pytest.approx(90, abs=6)
        assert event.start <= 0.6 + 2 * number
        assert event.end >= 2.4 + 2 * number
        assert event.score == pytest.approx(0.8)


def test_lifts_of_a_hand_by_its_height():
    """The hand rests low: a repetition begins and ends below, and its turn is above."""
    time = np.arange(0, 8, 1 / 50)
    phase = (time - 0.5) % 2
    height = np.where(phase < 1, 60 * np.sin(np.pi * phase), 0) * (time > 0.5)
    events = found_in(result_of([body(wrist_height=h) for h in height]), "LeftWrist")
    assert [event.signal for event in events] == ["left_wrist.height"] * 4
    assert [event.time for event in events] == pytest.approx([1, 3, 5, 7], abs=0.03)
    assert [event.extent for event in events] == pytest.approx([60] * 4, abs=3)
    assert [event.value for event in events] == pytest.approx([239 - 150 + 60] * 4, abs=3)  # above the lower edge


def test_times_are_those_of_the_frames():
    """Irregular times, and slow motion: the times of the result count, not the numbers of the frames."""
    generator = np.random.default_rng(1)
    times = np.sort(generator.uniform(0, 9, 500))
    events = found_in(result_of([body(angle) for angle in squats(times, 4)], times=times), "left_knee")
    assert [event.time for event in events] == pytest.approx([1.5, 3.5, 5.5, 7.5], abs=0.05)


def test_small_movements_are_none():
    time = np.arange(0, 10, 1 / 50)
    assert found_in(result_of([body(170 - 6 * np.sin(time) ** 2) for time in time]), "left_knee") == []
    large_and_small = squats(time, 2) - 15 * (time > 6) * np.sin(np.pi * time) ** 2
    events = found_in(result_of([body(angle) for angle in large_and_small]), "left_knee")
    assert [event.time for event in events] == pytest.approx([1.5, 3.5], abs=0.05)


def test_a_cut_movement_is_not_counted():
    time = np.arange(0.5, 5.5, 1 / 50)  # two squats and the way down of a third
    events = found_in(result_of([body(angle) for angle in squats(time, 3)]), "left_knee")
    assert [event.time + 0.5 for event in events] == pytest.approx([1.5, 3.5], abs=0.05)


def test_short_gaps_are_bridged_and_long_ones_end_a_piece():
    time = np.arange(0, 9, 1 / 50)
    frames = [body(angle) for angle in squats(time, 4)]
    for index in range(70, 80):  # 0.2 s around the first turn
        frames[index] = None if index % 2 else body(170, confidence=0.1)
    assert len(found_in(result_of(frames), "left_knee")) == 4
    for index in range(160, 190):  # 0.6 s around the second
        frames[index] = None
    events = found_in(result_of(frames), "left_knee")
    assert [event.time for event in events] == pytest.approx([1.5, 5.5, 7.5], abs=0.1)


def test_joints_that_nobody_has_give_nothing():
    points = body()
    points[KNEE] = 0
    assert found_in(result_of([points] * 100), "left_knee") == []
    assert found_in(result_of([]), "left_knee") == []


def test_names():
    assert known_signal("left_knee") == "left_knee"
    assert known_signal("left_knee.height") == "left_knee"
    assert known_signal("trunk_segment") == "trunk_segment"
    assert known_signal("RWrist") == "right_wrist"
    for name in ("tail", "left_eye", "", "trunk_segment.height"):
        with pytest.raises(UsageError, match="no angle and no joint"):
            known_signal(name)


def test_a_height_and_an_angle_of_the_same_name_differ():
    """Bending the knee lowers nothing but the hip: the knee's height stays."""
    time = np.arange(0, 5, 1 / 50)
    result = result_of([body(angle) for angle in squats(time, 2)])
    assert len(found_in(result, "left_knee")) == 2
    assert found_in(result, "left_hip.height") != []


def test_peaks_lie_between_frames():
    time = np.arange(0, 2, 0.1)
    piece = Piece(time, np.cos(np.pi * (time - 0.537)), 1.0)
    assert peaks(piece, 0.5)[0][0] == pytest.approx(0.537, abs=0.003)
    assert peaks(piece, 0.5)[0][1] == pytest.approx(1, abs=0.002)
    assert peaks(piece, 2.1) == []


def test_pieces_shift_nothing_in_time():
    time = np.arange(0, 3, 1 / 25)
    (piece,) = pieces(time, np.exp(-(((time - 1.48) / 0.1) ** 2)), np.ones(len(time)))
    assert peaks(piece, 0.2)[0][0] == pytest.approx(1.48, abs=0.003)
    assert list(pieces(time[:3], time[:3], time[:3])) == []
