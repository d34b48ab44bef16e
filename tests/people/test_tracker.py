"""Identities: distinct in every frame, stable across crossings and gaps, isolated between trackers."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.people.appearance import APPEARANCE_SIZE, appearances_of
from dcpose_cli.people.association import AssociationTracker as Tracker
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.people.tracker import TRACKERS, new_tracker
from dcpose_cli.types import Detections, TrackedBoxes


def people(*rows: tuple[float, float, float, float], scores: tuple[float, ...] = ()) -> Detections:
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores or [0.9] * len(boxes), np.float32))


def update(tracker: Tracker, found: Detections, image: np.ndarray | None, **more: object) -> TrackedBoxes:
    size = None if image is None else (image.shape[1], image.shape[0])
    return tracker.follow(found, appearances_of(found.boxes, image), size, **more)


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
        tracked = update(tracker, detections, None)
        for walker, identity in zip(order, tracked.track_ids, strict=True):
            given[walker].add(int(identity))
    assert sorted(map(sorted, given.values())) == [[0], [1]]


def test_detections_come_back_unchanged_in_their_order_if_they_are_strong() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker(25, start_score=0.3, keep_score=0.1)
    for _ in range(30):
        count = int(rng.integers(0, 6))
        boxes = rng.uniform(0, 300, (count, 4)).astype(np.float32)
        boxes[:, 2:] = boxes[:, 2:] / 5 + 5
        scores = rng.uniform(0.05, 1, count).astype(np.float32)
        tracked = update(tracker, Detections(boxes, scores), None)
        rows = [int(np.flatnonzero((boxes == box).all(axis=1))[0]) for box in tracked.boxes[: count and len(tracked)]]
        assert rows == sorted(rows)
        assert set(np.flatnonzero(scores >= 0.3)) <= set(rows)
        np.testing.assert_array_equal(tracked.scores, scores[rows])
        assert tracked.track_ids.dtype == np.int64
        assert (tracked.track_ids >= 0).all()


def test_weak_detections_continue_tracks_and_start_none() -> None:
    """Nobody comes and goes at the threshold: 0.6.0 had one, and lost whoever fell below it."""
    tracker = Tracker(30, start_score=0.3, keep_score=0.1)
    found = [
        update(tracker, people((10 + 2 * i, 20, 40, 90), scores=(score,)), None).track_ids.tolist()
        for i, score in enumerate([0.2, 0.2, 0.4, 0.2, 0.12, 0.29, 0.31, 0.05])
    ]
    assert found == [[], [], [0], [0], [0], [0], [0], []]


def test_someone_sure_then_unsure_then_sure_again_stays_the_same() -> None:
    tracker = Tracker(30)
    scores = [0.9] * 5 + [0.3] * 10 + [0.9] * 5
    ids = [update(tracker, people((10 + i, 20, 40, 90), scores=(s,)), None).track_ids[0] for i, s in enumerate(scores)]
    assert set(ids) == {0}


def test_ids_count_from_zero_in_order_of_appearance_for_each_tracker() -> None:
    first, second = Tracker(30), Tracker(30)
    a = update(first, people((0, 0, 30, 80), (100, 0, 30, 80)), None)
    b = update(second, people((0, 0, 30, 80)), None)
    c = update(first, people((0, 0, 30, 80), (100, 0, 30, 80), (200, 0, 30, 80)), None)
    assert sorted(a.track_ids) == [0, 1]
    assert b.track_ids.tolist() == [0]
    assert c.track_ids.tolist() == [*a.track_ids, 2]


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("seed", range(6))
def test_identities_are_distinct_in_every_frame_whatever_happens(name: str, seed: int) -> None:
    """Random walks of four people who hide and come back; 0.6.0 gave one identity twice in 159 of 24,000 frames."""
    if name == "bytetrack":
        pytest.importorskip("trackers", reason="the extra dcpose[trackers] is not installed")
    rng = np.random.default_rng(seed)
    tracker = new_tracker(name, 25, start_score=0.3, keep_score=0.1, match_iou=0.1, memory=4.0)
    clothes = rng.dirichlet(np.full(APPEARANCE_SIZE, 0.05), 4).astype(np.float32)
    places, speeds, hidden = rng.uniform(100, 300, (4, 2)), rng.normal(0, 6, (4, 2)), np.zeros(4, int)
    known: set[int] = set()
    for frame in range(400):
        hidden = np.where(hidden > 0, hidden - 1, np.where(rng.random(4) < 0.05, rng.integers(1, 30, 4), 0))
        speeds = 0.95 * speeds + rng.normal(0, 2, (4, 2)) + 0.002 * (200 - places)
        places += speeds
        seen = rng.permutation(np.flatnonzero(hidden == 0))
        boxes = np.concatenate([places[seen], np.tile([40, 90], (len(seen), 1))], 1) + rng.normal(0, 2, (len(seen), 4))
        found = Detections(boxes.astype(np.float32), rng.uniform(0.05, 1, len(seen)).astype(np.float32))
        cut = frame % 150 == 149
        tracked = tracker.follow(found, list(clothes[seen]), (400, 400), time=frame / 25, cut=cut)
        identities = tracked.track_ids.tolist()
        assert len(set(identities)) == len(identities) == len(tracked.boxes)
        assert not cut or known.isdisjoint(identities[: len(tracked) - tracked.predicted])
        known.update(identities)
    assert len(known) >= 4


def test_a_lost_track_is_found_by_one_person_only() -> None:
    """0.6.0 gave the identity of a lost track to a newcomer, and to the first person again when the track was found."""
    tracker, grey = Tracker(25), picture(None, GREY)
    for frame in range(12):
        update(tracker, people((100 + frame, 60, 40, 120)), grey)
    for _ in range(3):
        update(tracker, Detections.empty(), grey)
    for shift in (30, 4, 0):
        both = update(tracker, people((112 + shift, 60, 40, 120), (112 - shift, 62, 40, 118)), grey)
        assert len(set(both.track_ids.tolist())) == len(both.track_ids)


@pytest.mark.parametrize("every", [1, 4])
def test_the_clock_is_the_time_of_the_frames(every: int) -> None:
    """A person out of sight is remembered for seconds, however seldom frames come (0.6.0 counted frames)."""
    for away, identity in ((3.5, 0), (4.5, 1)):
        tracker = Tracker(25.0)
        box, times = (50, 60, 40, 120), np.arange(0, 1, every / 25)
        for time in times:
            update(tracker, people(box), picture(box, RED), time=float(time))
        back = update(tracker, people(box), picture(box, RED), time=float(times[-1]) + away)
        assert back.track_ids.tolist() == [identity]


def test_times_that_stand_still_do_no_harm() -> None:
    tracker = Tracker(25)
    for time in (0.0, 0.0, 0.0, -5.0, 1e9, 1e9):
        tracked = update(tracker, people((50, 60, 40, 120)), None, time=time)
        assert np.isfinite(tracked.boxes).all()


def test_someone_hidden_for_a_second_while_walking_comes_back_without_appearance() -> None:
    tracker = Tracker(25)
    for frame in range(20):
        update(tracker, people((40 + 5 * frame, 60, 40, 120)), None)
    for _ in range(23):
        update(tracker, Detections.empty(), None)
    assert update(tracker, people((40 + 5 * 43, 60, 40, 120)), None).track_ids.tolist() == [0]


def test_a_part_of_somebody_does_not_take_over_the_track() -> None:
    """A second box appears on half of a person, whose own box then shrinks to that half for a moment."""
    tracker = Tracker(25)
    for _ in range(10):
        update(tracker, people((100, 50, 100, 200)), None)
    update(tracker, people((100, 50, 100, 200), (150, 50, 50, 190), scores=(0.9, 0.4)), None)
    assert update(tracker, people((150, 50, 52, 200)), None).track_ids.tolist()[:1] == [0]


def test_changing_light_ends_no_track_where_nobody_else_is() -> None:
    tracker = Tracker(25)
    found = [
        update(tracker, people((50, 60, 40, 120)), picture((50, 60, 40, 120), colour)).track_ids.tolist()
        for colour in (RED, BLUE, GREY, BLUE, RED)
    ]
    assert found == [[0]] * 5


def test_a_second_tracker_keeps_two_walkers_apart() -> None:
    pytest.importorskip("trackers", reason="the extra dcpose[trackers] is not installed")
    tracker = new_tracker("bytetrack", 30, start_score=0.3, keep_score=0.1, match_iou=0.1, memory=1.0)
    given: dict[int, set[int]] = {0: set(), 1: set()}
    for frame, (detections, order) in enumerate(crossing(2, range(0))):
        tracked = tracker.follow(detections, [None] * len(detections), None, time=frame / 30, cut=False)
        for box, identity in zip(tracked.boxes, tracked.track_ids.tolist(), strict=True):
            row = int(np.flatnonzero((detections.boxes == box).all(axis=1))[0])
            given[order[row]].add(identity)
    assert sorted(map(sorted, given.values())) == [[0], [1]]


def test_unknown_and_missing_trackers_are_usage_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"start_score": 0.3, "keep_score": 0.1, "match_iou": 0.1, "memory": 4.0}
    with pytest.raises(UsageError, match="no tracker 'sort'; use dcpose or bytetrack"):
        new_tracker("sort", 25, **options)
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(UsageError, match=r"dcpose\[trackers\]"):
        new_tracker("bytetrack", 25, **options)


def test_empty_frames_and_impossible_rates_are_fine() -> None:
    for fps in (0.0, -1.0, float("nan"), 1e9, 30.0):
        tracker = Tracker(fps)
        assert len(update(tracker, Detections.empty(), None)) == 0
        assert update(tracker, people((0, 0, 10, 30)), None).track_ids.tolist() == [0]


def test_after_a_cut_nobody_is_known_and_no_id_returns() -> None:
    tracker = Tracker(30)
    update(tracker, people((0, 0, 30, 80)), None)
    after = update(tracker, people((0, 0, 30, 80)), None, cut=True)
    assert after.track_ids.tolist() == [1]
    assert after.cut


def test_two_runs_are_the_same() -> None:
    runs = []
    for _ in range(2):
        tracker = Tracker(30)
        runs.append([update(tracker, d, None).track_ids.tolist() for d, _ in crossing(3)])
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
        update(tracker, people((50, 60, 40, 120)), picture((50, 60, 40, 120), RED))
    for _ in range(60):
        update(tracker, Detections.empty(), picture(None, RED))
    back = (150, 60, 40, 120)
    assert update(tracker, people(back), picture(back, colour)).track_ids.tolist() == [identity]


def test_clothes_do_not_help_who_stays_away_too_long_or_comes_back_too_far() -> None:
    tracker = Tracker(10)
    update(tracker, people((0, 60, 20, 40)), picture((0, 60, 20, 40), RED))
    far = (290, 60, 20, 40)
    assert update(tracker, people(far), picture(far, RED)).track_ids.tolist() == [1]
    for _ in range(100):
        update(tracker, Detections.empty(), picture(None, RED))
    assert update(tracker, people(far), picture(far, RED)).track_ids.tolist() == [2]
    assert len(tracker._tracks) == 1


def walker(frame: int) -> tuple[int, int, int, int]:
    return (40 + 4 * frame, 60, 20, 60)


def test_someone_missed_for_a_moment_is_expected_where_they_were_going() -> None:
    tracker = Tracker(30)
    for frame in range(15):
        tracked = update(tracker, people(walker(frame)), picture(walker(frame), RED))
        assert tracked.predicted == 0
    empty = picture(None, RED)
    for missed in range(9):
        tracked = update(tracker, Detections.empty(), empty)
        assert (tracked.predicted, tracked.track_ids.tolist()) == (1, [0])
        ahead = tracked.boxes[0, 0] - walker(14)[0]
        assert 0 < ahead <= 4 * (missed + 1)
        assert 0 < tracked.scores[0] < 0.9
    assert len(update(tracker, Detections.empty(), empty)) == 0  # a third of a second is over


def test_nobody_is_expected_who_was_hardly_seen_or_has_left() -> None:
    tracker = Tracker(30)
    for frame in range(5):
        update(tracker, people(walker(frame)), picture(walker(frame), RED))
    assert len(update(tracker, Detections.empty(), picture(None, RED))) == 0
    leaving = Tracker(30)
    for frame in range(20):
        box = (-10 - frame, 60, 30, 60)
        update(leaving, people(box), picture(None, RED))
    assert len(update(leaving, Detections.empty(), picture(None, RED))) == 0


def test_a_detected_box_in_the_same_place_is_enough() -> None:
    tracker = Tracker(30)
    for _ in range(20):
        update(tracker, people((40, 60, 20, 60), (42, 62, 20, 60)), picture((40, 60, 20, 60), RED))
    assert update(tracker, people((40, 60, 20, 60)), picture((40, 60, 20, 60), RED)).predicted == 0


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
            out.append(update(tracker, detector.detect([image])[0], image))
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
            tracked = update(tracker, boxes, frame.to_ndarray(format="rgb24"))
            for person, identity in zip(seen, tracked.track_ids[: len(seen)], strict=True):
                given.setdefault(person["track_id"], set()).add(int(identity))
    assert len(given) == 3
    assert all(len(ids) == 1 for ids in given.values())
    assert len(set.union(*given.values())) == 3


def test_who_parts_in_the_other_ones_clothes_gets_the_id_back():
    """Two walk towards each other and turn back; motion takes one for the other."""
    tracker = Tracker(25)
    red, blue = (np.zeros(APPEARANCE_SIZE, np.float32) for _ in range(2))
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
