"""Doubtful people: by frame and by second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dcpose_cli.results import PoseTrackWriter, read_posetrack
from dcpose_cli.results.quality import LOW_CONFIDENCE, Figures, Reason, doubts, figures_of, per_second
from dcpose_cli.sides import LEFT, RIGHT
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person


def walker(time, confidence=0.8):
    """Somebody who walks on the spot in profile, 200 pixels tall, without ears."""
    points = np.zeros((17, 3), np.float32)
    points[:, :2] = np.random.default_rng(1).uniform(0, 60, (17, 2))
    swing = np.sin(2 * np.pi * time)
    for part, reach, y in (("knee", 20, 150), ("ankle", 40, 195)):
        for sign, side in ((1, "left"), (-1, "right")):
            points[JOINT_NAMES.index(f"{side}_{part}"), :2] = 50 + sign * reach * swing, y
    points[:, 2] = confidence
    points[3:5] = 0
    return points


def clip(*, swapped=(), low=(), filled=(), absent=(), frames=100):
    """Track 4 at 25 frames per second; a second track 7, always sure, in the frames from 50 on."""
    out = []
    for index in range(frames):
        points = walker(index / 25, 0.2 if index in low else 0.8)
        if index in swapped:
            points[LEFT + RIGHT] = points[RIGHT + LEFT]
        box = np.array([0, 0, 100, 200], np.float32)
        people = [] if index in absent else [Person(4, box, 0.9, points, index in filled)]
        people += [Person(7, box, 0.9, walker(index / 25))] if index >= 50 else []
        out.append(FrameResult(index, index, index / 25, tuple(people)))
    return out


def test_every_frame_keeps_its_place_and_its_doubts():
    frames = clip(swapped=range(30, 33), low=range(60, 63), filled=(80, 81), absent=(90,))
    found = list(doubts(frames))
    assert [frame for frame, _ in found] == frames
    flags = {
        reason: [frame.index for frame, people in found if people and reason in people[0].reasons] for reason in Reason
    }
    assert {reason: frames for reason, frames in flags.items() if frames} == {
        Reason.LEG_SWAP: [30, 31, 32],
        Reason.LOW_CONFIDENCE: [60, 61, 62],
        Reason.FILLED_GAP: [80, 81],
    }
    assert {len(people) for _, people in found[50:90]} == {2}
    assert not any(people[1].reasons for _, people in found[50:90])


def test_confidence_is_that_of_the_predicted_joints():
    _, (doubt,) = next(iter(doubts(clip(frames=1))))
    assert round(doubt.confidence, 6) == 0.8  # the ears, which nobody predicts, do not count
    nobody = FrameResult(0, 0, 0.0, (Person(0, np.ones(4, np.float32), 0.5, np.zeros((17, 3), np.float32)),))
    assert next(iter(doubts([nobody])))[1][0].confidence == 0


def test_seconds_of_every_track():
    seconds = per_second(clip(swapped=range(30, 33), low=range(55, 75), filled=(80,), absent=range(76, 79)))
    assert [(s.second, s.track_id, s.frames) for s in seconds] == [
        *((0, 4, 25), (1, 4, 25), (2, 4, 25), (2, 7, 25), (3, 4, 22), (3, 7, 25)),
    ]
    assert LOW_CONFIDENCE <= 0.32  # the mean of track 4 in second 2
    assert {(s.second, s.track_id): s.reasons for s in seconds if s.reasons} == {
        (1, 4): {Reason.LEG_SWAP},
        (3, 4): {Reason.FILLED_GAP},
    }
    low = per_second(clip(low=range(50, 75)))
    assert [(s.second, s.track_id) for s in low if s.reasons] == [(2, 4)]


def test_figures_of_a_known_result():
    """100 frames, 4 s: track 4 lost in frames 20 to 22 and filled in 80 and 81, track 7 from frame 50 on."""
    frames = clip(absent=range(20, 23), filled=(80, 81), low=range(50, 75), swapped=range(30, 33))
    found = figures_of(frames)
    poses = 97 + 50
    assert found == Figures(
        frames=100,
        people=2,
        coverage=0.97,
        confidence=round((72 * 0.8 + 25 * 0.2 + 50 * 0.8) / poses, 4),
        gaps=2,
        interpolated=round(2 / poses, 4),
        doubtful_seconds=3,  # the second second (swap), the third (low) and the fourth (filled)
    )
    doubtful = {s.second for s in per_second(frames) if s.reasons}
    assert doubtful == {1, 2, 3}


def test_figures_of_nothing():
    assert figures_of([]) == Figures()
    assert figures_of([FrameResult(0, 0, 0.0)]) == Figures(frames=1)


def test_a_gap_is_counted_once_however_it_is_filled():
    for filled, absent in ((range(20, 30), ()), ((), range(20, 30)), (range(20, 25), range(25, 30))):
        assert figures_of(clip(filled=filled, absent=absent)).gaps == 1
    # Before the first detection and after the last one there is no gap.
    assert figures_of(clip(absent=[*range(10), *range(90, 100)], filled=(10, 11))).gaps == 0


def test_exchanged_arms_and_exchanged_people_are_doubtful_seconds():
    """The arms of track 4 are exchanged in frames 30 to 32; tracks 4 and 7 exchange their ids from frame 80 on."""
    frames = []
    for frame in clip():
        people = list(frame.people)
        if 30 <= frame.index < 33:
            points = people[0].keypoints.copy()
            points[[5, 7, 9, 6, 8, 10]] = points[[6, 8, 10, 5, 7, 9]]
            people[0] = replace(people[0], keypoints=points)
        if len(people) == 2:
            people[1] = replace(people[1], bbox=people[1].bbox + np.array([60, 0, 0, 30], np.float32))
        if frame.index >= 80:
            people = [replace(person, track_id=11 - person.track_id) for person in people]
        frames.append(replace(frame, people=tuple(people)))
    marked = {(s.second, s.track_id): s.reasons & {Reason.ARM_SWAP, Reason.PERSON_SWAP} for s in per_second(frames)}
    assert {key: reasons for key, reasons in marked.items() if reasons} == {
        (1, 4): {Reason.ARM_SWAP},
        (3, 4): {Reason.PERSON_SWAP},
        (3, 7): {Reason.PERSON_SWAP},
    }
    assert figures_of(frames).doubtful_seconds == 2


def test_a_run_and_its_file_have_the_same_figures(tmp_path):
    """Confidences that differ from their four written decimals by nearly half a unit of the last one."""
    header = {"time_base": "1/25", "fps": "25/1", "width": 100, "height": 200}
    frames = [
        replace(
            frame, people=tuple(replace(p, keypoints=p.keypoints + np.float32([0, 0, 4.9e-5])) for p in frame.people)
        )
        for frame in clip(low=range(50, 75))
    ]
    with PoseTrackWriter(tmp_path / "r.json", header) as writer:
        for frame in frames:
            writer.write(frame)
    assert figures_of(frames) == figures_of(read_posetrack(tmp_path / "r.json").frames)
