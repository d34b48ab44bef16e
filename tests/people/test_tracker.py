"""Identities: stable across crossings, isolated between trackers, and given to every detection."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.people.tracker import LOOK_SIZE, Tracker
from dcpose_cli.types import Detections, TrackedBoxes


def people(*rows: tuple[float, float, float, float], scores: tuple[float, ...] = ()) -> Detections:
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores or [0.9] * len(boxes), np.float32))


def crossing(seed: int, hidden: range = range(25, 35)) -> list[tuple[Detections, list[int]]]:
    """Two walkers who meet in frame 30, the farther one unseen meanwhile: detections and who they are."""
    rng = np.random.default_rng(seed)
    out = []
    for frame in range(60):
        walkers = [(20 + 8 * frame, 100, 60, 170), (500 - 8 * frame, 92, 56, 160)]
        seen = [0] if frame in hidden else [0, 1]
        order = rng.permutation(seen).tolist()
        jitter = rng.normal(0, 2, (len(order), 4))
        out.append((people(*(np.array(walkers[w]) + j for w, j in zip(order, jitter, strict=True))), order))
    return out


@pytest.mark.parametrize("seed", range(8))
def test_two_walkers_who_cross_keep_their_ids(seed: int) -> None:
    tracker = Tracker(30)
    given: dict[int, set[int]] = {0: set(), 1: set()}
    for detections, order in crossing(seed):
        tracked = tracker.update(detections, None)
        for walker, identity in zip(order, tracked.track_ids, strict=True):
            given[walker].add(int(identity))
    assert sorted(map(sorted, given.values())) == [[0], [1]]


def test_every_detection_comes_back_unchanged_with_an_id() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker(25)
    for _ in range(30):
        count = int(rng.integers(0, 6))
        boxes = rng.uniform(0, 300, (count, 4)).astype(np.float32)
        boxes[:, 2:] = boxes[:, 2:] / 5 + 5
        scores = rng.uniform(0.05, 1, count).astype(np.float32)
        tracked = tracker.update(Detections(boxes, scores), None)
        assert isinstance(tracked, TrackedBoxes)
        np.testing.assert_array_equal(tracked.boxes, boxes)
        np.testing.assert_array_equal(tracked.scores, scores)
        assert tracked.track_ids.dtype == np.int64
        assert len(set(tracked.track_ids.tolist())) == count
        assert (tracked.track_ids >= 0).all()


def test_weak_detections_have_steady_ids_too() -> None:
    tracker = Tracker(30)
    ids = [tracker.update(people((10 + 2 * i, 20, 40, 90), scores=(0.2,)), None).track_ids.tolist() for i in range(20)]
    assert ids == [[0]] * 20


def test_someone_sure_then_unsure_then_sure_again_stays_the_same() -> None:
    tracker = Tracker(30)
    scores = [0.9] * 5 + [0.3] * 10 + [0.9] * 5
    ids = [tracker.update(people((10 + i, 20, 40, 90), scores=(s,)), None).track_ids[0] for i, s in enumerate(scores)]
    assert set(ids) == {0}


def test_ids_count_from_zero_in_order_of_appearance_for_each_tracker() -> None:
    first, second = Tracker(30), Tracker(30)
    a = first.update(people((0, 0, 30, 80), (100, 0, 30, 80)), None)
    b = second.update(people((0, 0, 30, 80)), None)
    c = first.update(people((0, 0, 30, 80), (100, 0, 30, 80), (200, 0, 30, 80)), None)
    assert sorted(a.track_ids) == [0, 1]
    assert b.track_ids.tolist() == [0]
    assert c.track_ids.tolist() == [*a.track_ids, 2]


def test_empty_frames_and_impossible_rates_are_fine() -> None:
    for fps in (0.0, -1.0, float("nan"), 1e9, 30.0):
        tracker = Tracker(fps)
        assert len(tracker.update(Detections.empty(), None)) == 0
        assert tracker.update(people((0, 0, 10, 30)), None).track_ids.tolist() == [0]


def test_after_a_cut_nobody_is_known_and_no_id_returns() -> None:
    tracker = Tracker(30)
    tracker.update(people((0, 0, 30, 80)), None)
    tracker.reset()
    assert tracker.update(people((0, 0, 30, 80)), None).track_ids.tolist() == [1]


def test_two_runs_are_the_same() -> None:
    runs = []
    for _ in range(2):
        tracker = Tracker(30)
        runs.append([tracker.update(d, None).track_ids.tolist() for d, _ in crossing(3)])
    assert runs[0] == runs[1]


RED, BLUE, GREY = (200, 30, 30), (30, 30, 200), (128, 128, 128)


def picture(box: tuple[int, int, int, int] | None, colour: tuple[int, int, int]) -> np.ndarray:
    image = np.full((240, 320, 3), GREY, np.uint8)
    if box is not None:
        x, y, w, h = box
        image[y : y + h, x : x + w] = colour
    return image


@pytest.mark.parametrize(("colour", "identity"), [(RED, 0), (BLUE, 1)])
def test_someone_hidden_for_two_seconds_is_known_by_the_clothes(colour: tuple[int, int, int], identity: int) -> None:
    tracker = Tracker(30)
    for _ in range(10):
        tracker.update(people((50, 60, 40, 120)), picture((50, 60, 40, 120), RED))
    for _ in range(60):
        tracker.update(Detections.empty(), picture(None, RED))
    back = (150, 60, 40, 120)
    assert tracker.update(people(back), picture(back, colour)).track_ids.tolist() == [identity]


def test_clothes_do_not_help_who_stays_away_too_long_or_comes_back_too_far() -> None:
    tracker = Tracker(10)
    tracker.update(people((0, 60, 20, 40)), picture((0, 60, 20, 40), RED))
    far = (290, 60, 20, 40)
    assert tracker.update(people(far), picture(far, RED)).track_ids.tolist() == [1]
    for _ in range(100):
        tracker.update(Detections.empty(), picture(None, RED))
    assert tracker.update(people(far), picture(far, RED)).track_ids.tolist() == [2]
    assert len(tracker._seen) == 1
    assert len(tracker._ids) <= 1


def walker(frame: int) -> tuple[int, int, int, int]:
    return (40 + 4 * frame, 60, 20, 60)


def test_someone_missed_for_a_moment_is_expected_where_they_were_going() -> None:
    tracker = Tracker(30)
    for frame in range(15):
        tracked = tracker.update(people(walker(frame)), picture(walker(frame), RED))
        assert tracked.predicted == 0
    empty = picture(None, RED)
    for missed in range(9):
        tracked = tracker.update(Detections.empty(), empty)
        assert (tracked.predicted, tracked.track_ids.tolist()) == (1, [0])
        ahead = tracked.boxes[0, 0] - walker(14)[0]
        assert 0 < ahead <= 4 * (missed + 1)
        assert 0 < tracked.scores[0] < 0.9
    assert len(tracker.update(Detections.empty(), empty)) == 0  # a third of a second is over


def test_nobody_is_expected_who_was_hardly_seen_or_has_left() -> None:
    tracker = Tracker(30)
    for frame in range(5):
        tracker.update(people(walker(frame)), picture(walker(frame), RED))
    assert len(tracker.update(Detections.empty(), picture(None, RED))) == 0
    leaving = Tracker(30)
    for frame in range(20):
        box = (-10 - frame, 60, 30, 60)
        leaving.update(people(box), picture(None, RED))
    assert len(leaving.update(Detections.empty(), picture(None, RED))) == 0


def test_a_detected_box_in_the_same_place_is_enough() -> None:
    tracker = Tracker(30)
    for _ in range(20):
        tracker.update(people((40, 60, 20, 60), (42, 62, 20, 60)), picture((40, 60, 20, 60), RED))
    assert tracker.update(people((40, 60, 20, 60)), picture((40, 60, 20, 60), RED)).predicted == 0


@pytest.mark.slow
@pytest.mark.shared
def test_two_jumping_children_keep_their_ids(shared: Path, bedroom: list[TrackedBoxes]) -> None:
    """The girl is always in view. The boy kneels left of her until frame 24, is hidden behind her, and is seen left
    of her again from frame 112."""
    girl, boy = Counter(), Counter()
    for number, tracked in enumerate(bedroom):
        large = np.flatnonzero(tracked.boxes[:, 3] > 150)
        if not 25 <= number < 112:
            large = large[np.argsort(-(tracked.boxes[large, 0] + tracked.boxes[large, 2] / 2))]
        else:
            large = large[np.argsort(-tracked.boxes[large, 3])][:1]
        for counter, row in zip((girl, boy), large, strict=False):
            counter[int(tracked.track_ids[row])] += 1
    (girl_id, girl_frames), (boy_id, boy_frames) = girl.most_common(1)[0], boy.most_common(1)[0]
    assert girl_id != boy_id
    assert girl_frames >= 0.95 * len(bedroom)
    assert boy_frames >= 0.9 * boy.total()
    assert boy.total() >= 0.45 * len(bedroom)
    assert girl[boy_id] == 0
    assert boy[girl_id] == 0


@pytest.fixture(scope="module")
def bedroom(shared: Path) -> list[TrackedBoxes]:
    import av

    detector = PersonDetector(shared / "weights" / "yolov8n.pt", imgsz=416, half=True)
    tracker = Tracker(30)
    out = []
    with av.open(shared / "videos" / "sam2_bedroom.mp4") as clip:
        for frame in clip.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            out.append(tracker.update(detector.detect([image])[0], image))
    return out


@pytest.mark.shared
def test_people_of_a_sample_clip_are_never_mixed_up(shared: Path) -> None:
    """With the true boxes of two people who cross, and of one who enters and leaves."""
    import av

    truth = json.loads((shared / "samples" / "plaza.json").read_text())["frames"]
    tracker = Tracker(25)
    given: dict[int, set[int]] = {}
    with av.open(shared / "samples" / "plaza.mp4") as clip:
        for frame, entry in zip(clip.decode(video=0), truth, strict=True):
            seen = [p for p in entry["persons"] if p["visible_fraction"] > 0.3]
            boxes = people(*(p["bbox"] for p in seen))
            tracked = tracker.update(boxes, frame.to_ndarray(format="rgb24"))
            for person, identity in zip(seen, tracked.track_ids[: len(seen)], strict=True):
                given.setdefault(person["track_id"], set()).add(int(identity))
    assert len(given) == 3
    assert all(len(ids) == 1 for ids in given.values())
    assert len(set.union(*given.values())) == 3


def test_who_parts_in_the_other_ones_clothes_gets_the_id_back():
    """Two walk towards each other and turn back; motion takes one for the other."""
    tracker = Tracker(25)
    red, blue = (np.zeros(LOOK_SIZE, np.float32) for _ in range(2))
    red[5], blue[200] = 1, 1

    def step(*people):
        boxes = np.array([[x, 100, 40, 100] for x, _ in people], np.float32)
        found = Detections(boxes, np.full(len(people), 0.9, np.float32))
        return tracker.follow(found, [look for _, look in people], (640, 360)).track_ids[: len(people)].tolist()

    for at in range(60, 139, 6):  # towards each other, until both stand in one place
        assert step((at, red), (278 - at, blue)) == [0, 1]
    for at in range(132, 90, -6):  # both turn back, where motion expects them to walk on
        last = step((at, red), (278 - at, blue))
    assert last == [0, 1]
    assert step((84, red), (194, blue)) == [0, 1]
