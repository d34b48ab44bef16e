"""No identity is handed to somebody else: looks, size and the camera decide where boxes alone would not."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people.appearance import APPEARANCE_SIZE, likeness
from dcpose_cli.people.association import AssociationTracker
from dcpose_cli.people.motion import common_shift
from dcpose_cli.types import Detections, Reassignment

FPS = 25
#: x, score and looks of a detection; boxes are 40 wide and 100 high.
Seen = tuple[float, float, np.ndarray]


def looks(value: float) -> np.ndarray:
    """An appearance whose likeness to `looks(1)` is `value`."""
    out = np.zeros(APPEARANCE_SIZE, np.float32)
    out[5], out[200] = value**2, 1 - value**2
    return out


def step(tracker: AssociationTracker, time: float, *seen: Seen, height: float = 100) -> list[int]:
    """Identities of the detections, which are all in tracks, in their order."""
    boxes = np.array([[x, 100, 40, height] for x, _, _ in seen], np.float32).reshape(-1, 4)
    found = Detections(boxes, np.array([score for _, score, _ in seen], np.float32))
    tracked = tracker.follow(found, [look for _, _, look in seen], (1280, 360), time=time)
    return tracked.track_ids[: len(tracked) - tracked.predicted].tolist()


def standing(tracker: AssociationTracker, *seen: Seen, frames: int = 12, fps: float = FPS) -> float:
    """These people stand still; the time of the next frame."""
    for number in range(frames):
        step(tracker, number / fps, *seen)
    return frames / fps


def away(tracker: AssociationTracker, now: float, seconds: float) -> float:
    """Nobody is seen for so long; the time of the next frame."""
    for number in range(round(seconds * FPS)):
        step(tracker, now + number / FPS)
    return now + round(seconds * FPS) / FPS


def test_looks_have_the_likeness_they_are_made_for() -> None:
    assert likeness(looks(1), looks(0.5)) == pytest.approx(0.5)


@pytest.mark.parametrize(("value", "same"), [(0.5, False), (0.9, True)])
def test_who_suddenly_looks_different_in_a_crowd_is_somebody_else(value: float, same: bool) -> None:
    """0.5 is enough for somebody who was covered a while, and too little from one frame to the next."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)))
    identities = step(tracker, now, (112, 0.9, looks(value)), (76, 0.9, looks(0.3)))
    assert (0 in identities) == same


@pytest.mark.parametrize(("value", "identity"), [(0.55, 1), (0.7, 0)])
def test_who_appears_where_somebody_was_lost_must_look_like_them(value: float, identity: int) -> None:
    tracker = AssociationTracker(FPS)
    now = away(tracker, standing(tracker, (100, 0.9, looks(1))), 0.4)
    assert step(tracker, now, (104, 0.9, looks(value))) == [identity]


def test_who_was_covered_and_missed_for_a_moment_is_known_by_the_last_looks() -> None:
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)))
    half_covered = looks(0.45)
    assert step(tracker, now, (100, 0.9, half_covered)) == [0]
    now = away(tracker, now + 1 / FPS, 0.08)
    assert step(tracker, now, (100, 0.9, half_covered)) == [0]


def test_a_weak_box_among_others_says_nothing_of_the_looks() -> None:
    """It is often a part of somebody else: who was lost behind them comes back by the looks before."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)))
    mixed = np.zeros(APPEARANCE_SIZE, np.float32)
    mixed[5], mixed[300] = 0.36, 0.64
    assert step(tracker, now, (102, 0.2, mixed), (130, 0.9, looks(0.3))) == [0, 1]
    for number in range(1, 6):
        assert step(tracker, now + number / FPS, (130 + 10 * number, 0.9, looks(0.3))) == [1]
    assert step(tracker, now + 6 / FPS, (104, 0.9, looks(0.74)), (190, 0.9, looks(0.3))) == [0, 1]


def test_a_camera_that_shakes_moves_everybody() -> None:
    """Somebody is detected in the old place, weakly; that is not the one who stood there."""
    tracker = AssociationTracker(FPS)
    crowd = [(100 + 150 * number, 0.9, looks(1)) for number in range(6)]
    now = standing(tracker, *crowd)
    moved = [(x + 18, score, look) for x, score, look in crowd]
    assert step(tracker, now, *moved, (100, 0.15, looks(1)))[:6] == [0, 1, 2, 3, 4, 5]


def test_one_who_walks_is_not_the_camera() -> None:
    still = np.array([[100 * n, 100, 40, 100] for n in range(6)], np.float64)
    found = still.astype(np.float32)
    found[0, 0] += 15
    assert common_shift(still, found).tolist() == [0, 0, 0, 0]
    found[:, :2] += (9, -4)
    assert common_shift(still, found).tolist() == [9, -4, 0, 0]
    assert common_shift(still[:4], found).tolist() == [0, 0, 0, 0]
    assert common_shift(still, found[:0]).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("height", "identity"), [(60, 1), (90, 0)])
def test_who_comes_back_elsewhere_has_the_size_they_had(height: float, identity: int) -> None:
    tracker = AssociationTracker(FPS)
    now = away(tracker, standing(tracker, (100, 0.9, looks(1))), 0.5)
    assert step(tracker, now, (160, 0.9, looks(0.95)), height=height) == [identity]


@pytest.mark.parametrize(("seconds", "memory"), [(0.04, 0.0), (0.04, 0.03), (1.6, 4.0), (5.0, 4.0)])
def test_nobody_is_forgotten_from_one_frame_to_the_next(seconds: float, memory: float) -> None:
    """However far apart the frames are: time lapse, a large --detect-every, --track-memory 0."""
    tracker = AssociationTracker(1 / seconds, memory=memory)
    both = [(100, 0.9, looks(1)), (300, 0.9, looks(1))]
    assert [step(tracker, seconds * number, *both) for number in range(6)] == [[0, 1]] * 6


def test_a_pause_is_no_step() -> None:
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)))
    assert step(tracker, now + 5, (100, 0.9, looks(1))) == [1]


@pytest.mark.parametrize(("value", "identity"), [(0.75, 2), (0.8, 0)])
def test_who_looks_like_two_missing_people_is_neither(value: float, identity: int) -> None:
    """0.75 and 0.66 alike are too near; 0.8 and 0.6 tell them apart."""
    tracker = AssociationTracker(FPS)
    now = away(tracker, standing(tracker, (100, 0.9, looks(1)), (145, 0.9, looks(0))), 0.4)
    assert step(tracker, now, (58, 0.9, looks(value))) == [identity]


@pytest.mark.parametrize(("value", "same"), [(0.45, False), (0.55, True)])
def test_a_track_does_not_drift_to_the_person_beside(value: float, same: bool) -> None:
    """Step by step, so that no two frames differ much, while somebody else covers the person."""
    tracker = AssociationTracker(FPS)
    beside = (120.0, 0.9, looks(0))
    now = standing(tracker, (100, 0.9, looks(1)))
    for part in np.linspace(1, value, 12):
        identities = step(tracker, now, (100, 0.9, looks(part)), beside)
        now += 1 / FPS
    assert (0 in identities) == same


@pytest.mark.parametrize(("value", "identity"), [(0.9, 0), (0.3, 1)])
def test_of_two_who_met_the_one_is_left_whom_the_box_looks_like(value: float, identity: int) -> None:
    """One box reaches over both, and lies nearer to where the other one was expected."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)), (132, 0.9, looks(0.45)))
    for number in range(6):
        identities = step(tracker, now + number / FPS, (124, 0.9, looks(value)))
    assert identities == [identity]


def test_nobody_learns_the_looks_of_a_box_that_may_hold_somebody_else() -> None:
    """Over ten frames the box of two looks a little more like the missed one: its owner must not become like it."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)), (132, 0.9, looks(0.45)))
    found = [step(tracker, now + number / FPS, (106, 0.9, looks(0.83))) for number in range(10)]
    assert found[0] == [0]
    assert [1] in found


def test_a_later_frame_says_whose_the_box_was() -> None:
    """One box is left, where the first one was expected; in the second frame it is clear whose it is."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)), (132, 0.9, looks(0.45)))
    box = np.array([[106, 100, 40, 100]], np.float32)
    said = []
    for number in range(4):
        found = Detections(box, np.array([0.9], np.float32))
        said.append(tracker.follow(found, [looks(0.8)], (1280, 360), time=now + number / FPS).reassigned)
    assert said == [(), (Reassignment(0, 1, 1),), (), ()]


@pytest.mark.parametrize(("value", "identity"), [(0.99, 0), (0.8, 2)])
def test_who_is_seen_elsewhere_is_no_rival_of_one_who_comes_back(value: float, identity: int) -> None:
    """The box is 0.75 like the missing one and 0.66 like the other, who looks like themselves now or hardly does."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.9, looks(1)), (300, 0.9, looks(0)))
    for number in range(10):
        step(tracker, now + number / FPS, (300, 0.9, looks(0)))
    now += 10 / FPS
    other = looks((1 - value**2) ** 0.5)
    assert step(tracker, now, (58, 0.9, looks(0.75)), (300, 0.9, other)) == [identity, 1]


def test_a_box_that_slides_to_the_person_behind_leaves_the_identity() -> None:
    """One box held two people. It goes on with the one behind, while the first one gets a weak box of their own."""
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.6, looks(1)))
    found = step(tracker, now, (116, 0.6, looks(0.6)), (92, 0.2, looks(0.98)))
    assert found == [1, 0]
    for number in range(1, 5):
        assert step(tracker, now + number / FPS, (118, 0.6, looks(0.6)), (92, 0.2, looks(0.98))) == [1, 0]


def test_a_box_that_slid_away_is_that_of_a_missed_person_who_looks_like_it() -> None:
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.6, looks(1)), (190, 0.6, looks(0.62)))
    for number in range(10):
        step(tracker, now + number / FPS, (100, 0.6, looks(1)))
    assert step(tracker, now + 10 / FPS, (112, 0.6, looks(0.62)), (88, 0.2, looks(1))) == [1, 0]


def test_the_frames_of_a_box_that_slid_away_get_a_new_identity() -> None:
    tracker = AssociationTracker(FPS)
    now = standing(tracker, (100, 0.6, looks(1)))
    boxes = np.array([[112, 100, 40, 100], [96, 100, 40, 100]], np.float32)
    said = []
    for number in range(5):
        found = Detections(boxes, np.array([0.6, 0.2], np.float32))
        seen = [looks(0.9), looks(0.96)]
        said += tracker.follow(found, seen, (1280, 360), time=now + number / FPS).reassigned
    assert said == [Reassignment(0, 1, 2)]
