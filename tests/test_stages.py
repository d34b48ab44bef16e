"""Each stage by itself, on lists: what goes in, what comes out, and that it depends on the frames alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from weakref import WeakSet

import numpy as np
import pytest

from dcpose_cli import Detections, Frame, PoseEstimator, TrackedBoxes
from dcpose_cli.chunks import CHUNK_FRAMES, detected_ahead
from dcpose_cli.pixels import ArrayPixels
from dcpose_cli.segments import SegmentFolder, SegmentLog
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.stages import Stream, detect, estimate, keypoints_of, stored_observations, track, with_windows
from dcpose_cli.types import Observation
from dcpose_cli.window import mark_cuts, windows

KEY = {"input": {"sha256": "a"}}
STREAM = Stream(64, 48, 25.0)


def frames(count, cuts=()):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (count, 48, 64, 3), np.uint8)
    return [Frame(i, 2 * i, 2 * i / 50, image, cut=i in cuts) for i, image in enumerate(images)]


class Finder:
    """One person per image, at a place that depends on its pixels."""

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        places = [float(image.rgb()[::5, ::5].mean()) % 7 for image in images]
        return [Detections(np.array([[x, 4, 20, 30]], np.float32), np.array([0.9], np.float32)) for x in places]


class Poses:
    """A network that marks each joint with the window's frames."""

    reach = 1
    joints = JOINT_NAMES

    def poses(self, images, rows, boxes, margins, pixel_aspect, tracks):
        self.tracks = tracks
        out = np.zeros((len(boxes), 17, 3), np.float32)
        out[:, :, 2] = 0.9
        out[:, :3, 0] = [[images[place].rgb().sum() % 1000 for place in row] for row in rows]
        out[:, 3, :2] = margins
        return out


@pytest.fixture(scope="module")
def settings(tiny_folder):
    """Resolved settings that run the detector on every fourth frame."""
    detector = SimpleNamespace(name="none", sha256="0" * 64)
    return PoseEstimator(tiny_folder, "cpu", detector=detector, detect_every=4).resolve()


def test_the_detector_runs_on_every_nth_frame_and_at_cuts(settings):
    find = Finder()
    stream = frames(16, cuts={6})
    observed = list(detect(stream, STREAM, settings, find))
    assert [frame for frame, _ in observed] == stream
    searched = [frame.index for frame, seen in observed if seen.searched]
    assert searched == [0, 4, 6, 8, 12]
    assert find.images == len(searched)
    assert [len(seen.detections) for _, seen in observed] == [int(index in searched) for index in range(16)]
    assert [frame.index for frame, seen in observed if seen.cut] == [6]


def counted(count, alive):
    """Frames that are made when they are asked for; those that somebody holds are in `alive`."""
    for index in range(count):
        pixels = ArrayPixels(np.full((48, 64, 3), index, np.uint8))
        alive.add(pixels)
        frame = Frame(index, 2 * index, index / 25, pixels)
        del pixels
        yield frame
        del frame


def test_frames_that_were_detected_in_are_let_go_of(settings):
    alive = WeakSet()
    left = [
        len(alive) - (CHUNK_FRAMES - frame.index % CHUNK_FRAMES)
        for frame, _ in detect(counted(3 * CHUNK_FRAMES, alive), STREAM, settings, Finder())
    ]
    assert left == [1] * 2 * CHUNK_FRAMES + [0] * CHUNK_FRAMES  # the first frame of the next chunk


@pytest.mark.parametrize("stored", [False, True], ids=["estimated", "stored"])
def test_frames_whose_people_are_known_are_let_go_of(settings, tmp_path, stored):
    folder = SegmentFolder(tmp_path / "parts", KEY)

    def held():
        alive = WeakSet()
        one = TrackedBoxes(np.array([[4, 4, 20, 30]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
        pairs = with_windows(((frame, one) for frame in counted(3 * CHUNK_FRAMES, alive)), 1, 1)
        log = SegmentLog(folder, "people")
        for frame, _ in estimate(pairs, STREAM, settings, Finder(), Poses(), log):
            yield len(alive) - (CHUNK_FRAMES - frame.index % CHUNK_FRAMES)
        log.finish()

    if stored:
        assert len(list(held())) == 3 * CHUNK_FRAMES
    # The first frame of the next chunk, and the one behind it, which is in its window.
    assert max(held()) == 2


def test_stored_observations_are_those_that_were_passed_on(settings, tmp_path):
    """A machine that has the segment files tracks what a straight run tracks; the detector is not asked again."""
    find, stream = Finder(), frames(20, cuts={6})
    folder = SegmentFolder(tmp_path / "parts", KEY)
    log = SegmentLog(folder, "seen")
    straight = [seen for _, seen in detect(stream, STREAM, settings, find, log)]
    log.finish()
    entries = folder.read(0, "seen")
    stored = [seen for _, seen in stored_observations(entries, STREAM, settings, Fraction(1, 50))]
    before = find.images
    again = [seen for _, seen in detect(stream, STREAM, settings, find, SegmentLog(folder, "seen"))]
    assert find.images == before
    for others in (stored, again):
        for one, other in zip(straight, others, strict=True):
            assert (one.time, one.cut, one.searched) == (other.time, other.cut, other.searched)
            np.testing.assert_array_equal(one.detections.boxes, other.detections.boxes)
            np.testing.assert_array_equal(one.appearances, other.appearances)


def people(*ids):
    count = len(ids)
    return TrackedBoxes(np.full((count, 4), 8, np.float32), np.full(count, 0.9, np.float32), np.array(ids, np.int64))


@pytest.mark.parametrize("together", [1, 16])
@pytest.mark.parametrize("every", [1, 4])
def test_without_filling_nobody_is_where_no_detection_is_near(settings, together, every):
    """Live, too, and not between two frames in which nobody was detected."""

    def observed():
        for number in range(40):
            searched = number % every == 0
            boxes = np.array([[10, 4, 20, 30]] * (searched and not 14 <= number < 22), np.float32).reshape(-1, 4)
            found = Detections(boxes, np.full(len(boxes), 0.9, np.float32))
            yield number, Observation(number / 25, False, searched, found, [None] * len(boxes))

    stream = replace(STREAM, together=together)
    people = dict(track(observed(), stream, replace(settings, fill=False)))
    empty = range(14, 22) if every == 1 else range(15, 23)
    assert [number for number, who in people.items() if not len(who)] == list(empty)


def frames_of_somebody(settings, missed, *, count=40, every=1, cut=None, stream=STREAM):
    """{identity: frames that have them}, of somebody who walks and is not detected in the frames `missed`."""

    def observed():
        for number in range(count):
            begins = cut if cut is not None and number >= cut else 0
            searched = (number - begins) % every == 0
            boxes = np.array([[0.3 * number, 4, 20, 30]] * (searched and number not in missed), np.float32)
            found = Detections(boxes.reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))
            yield number, Observation(number / 25, number == cut, searched, found, [None] * len(found))

    frames = {}
    for number, who in track(observed(), stream, settings):
        for identity in who.track_ids.tolist():
            frames.setdefault(identity, []).append(number)
    return frames


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (range(11, 40), [*range(11)]),
        (range(11, 15), [*range(40)]),
        ([*range(11, 15), *range(20, 40)], [*range(20)]),
        (range(37, 40), [*range(37)]),
    ],
    ids=["ends", "missed for a moment", "missed for a moment and ends", "missed at the end of the clip"],
)
def test_a_track_ends_with_its_last_detection(settings, missed, expected):
    assert frames_of_somebody(settings, missed) == {0: expected}


def test_boxes_of_somebody_missed_for_a_moment_lie_between_the_detections(settings):
    def observed():
        for number in range(40):
            boxes = np.array([[0.3 * number, 4, 20, 30]] * (number not in range(11, 15)), np.float32).reshape(-1, 4)
            found = Detections(boxes, np.full(len(boxes), 0.9, np.float32))
            yield number, Observation(number / 25, False, True, found, [None] * len(boxes))

    people = [who for _, who in track(observed(), STREAM, settings)]
    assert [who.boxes[0, 0] for who in people] == pytest.approx([0.3 * number for number in range(40)], abs=1e-4)
    assert [number for number, who in enumerate(people) if who.filled] == [11, 12, 13, 14]


@pytest.mark.parametrize(
    ("every", "missed", "last"),
    [
        (4, range(17, 40), 18),  # until halfway to frame 20, where the detector finds nobody
        (3, range(16, 40), 16),
        (4, range(33, 40), 34),
        (4, range(37, 40), 39),  # searched last in frame 36, where they were
        (16, range(1, 40), 8),
    ],
)
def test_a_track_ends_before_the_next_frame_that_was_searched(settings, every, missed, last):
    assert frames_of_somebody(settings, missed, every=every) == {0: [*range(last + 1)]}


def test_a_person_missed_in_one_searched_frame_stays(settings):
    assert frames_of_somebody(settings, [20], every=4) == {0: [*range(40)]}


@pytest.mark.parametrize(("every", "missed", "last"), [(1, range(17, 24), 16), (4, range(17, 24), 18), (4, [], 23)])
def test_a_scene_ends_as_a_clip_does(settings, every, missed, last):
    assert frames_of_somebody(settings, missed, every=every, cut=24) == {0: [*range(last + 1)], 1: [*range(24, 40)]}


@pytest.mark.parametrize(("fill", "every", "last"), [(True, 1, 22), (True, 4, 22), (False, 1, 14)])
def test_whoever_is_lost_behind_somebody_is_expected_there_for_a_moment(settings, fill, every, last):
    """From frame 15 on the one in front hides the one who stands behind them."""

    def observed():
        for number in range(40):
            boxes = [[20, 2, 30, 44], [24, 8, 16, 30]][: 2 if number < 15 else 1]
            found = np.array(boxes if number % every == 0 else [], np.float32).reshape(-1, 4)
            seen = Detections(found, np.full(len(found), 0.9, np.float32))
            yield number, Observation(number / 25, False, number % every == 0, seen, [None] * len(found))

    people = [who for _, who in track(observed(), STREAM, replace(settings, fill=fill))]
    assert [number for number, who in enumerate(people) if 1 in who.track_ids] == [*range(last + 1)]
    assert all(0 in who.track_ids for who in people)


def test_a_live_source_expects_people_for_a_moment(settings):
    """No later frame is waited for, so whether a missed person is in a gap or gone is not known."""
    live = replace(STREAM, together=1)
    assert frames_of_somebody(settings, range(17, 40), stream=live) == {0: [*range(25)]}
    assert frames_of_somebody(replace(settings, fill=False), range(17, 40), stream=live) == {0: [*range(17)]}


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_scenes_of_few_frames_have_their_people(settings, every, count):
    """Two frames between hard cuts are too few for a track that needs three detections."""
    cuts = (20, 20 + count, 20 + 2 * count)

    def observed():
        box = np.array([[10, 4, 20, 30]], np.float32)
        for number in range(40):
            begins = max((cut for cut in cuts if cut <= number), default=0)
            searched = (number - begins) % every == 0
            found = Detections(box[:searched], np.full(int(searched), 0.9, np.float32))
            yield number, Observation(number / 25, number in cuts, searched, found, [None] * int(searched))

    who = dict(track(observed(), STREAM, settings))
    assert [who[number].track_ids.tolist() for number in (0, *cuts)] == [[0], [1], [2], [3]]
    assert all(len(people) == 1 for number, people in who.items() if number < 40 - every)


@pytest.mark.parametrize("every", [1, 5])
def test_two_frames_of_another_place_have_their_own_people(settings, every):
    """From pictures to tracks: the scene before comes back, and nobody of the two frames goes on in it."""
    rng = np.random.default_rng(2)
    plain = rng.integers(0, 60, (6, 8, 1)).repeat(8, axis=0).repeat(8, axis=1).repeat(3, axis=2).astype(np.uint8)
    other = (255 - rng.integers(0, 60, (6, 8, 1)).repeat(8, axis=0).repeat(8, axis=1).repeat(3, axis=2)).astype(
        np.uint8
    )

    def find(images):
        boxes = [
            [[4, 4, 20, 30]] if image.rgb().mean() < 128 else [[40, 4, 20, 30], [6, 6, 20, 30]] for image in images
        ]
        return [Detections(np.array(box, np.float32), np.full(len(box), 0.9, np.float32)) for box in boxes]

    stream = [Frame(k, k, k / 25, other if k in (10, 11) else plain) for k in range(22)]
    wanted = replace(settings, detect_every=every)
    found = [
        who.track_ids.tolist() for _, who in track(detect(mark_cuts(stream), STREAM, wanted, find), STREAM, wanted)
    ]
    assert found == [[0]] * 10 + [[1, 2]] * 2 + [[3]] * 10
    lit = [replace(frame, image=np.full_like(plain, 255)) if frame.index in (10, 11) else frame for frame in stream]
    blind = [
        who.track_ids.tolist() for _, who in track(detect(mark_cuts(lit), STREAM, wanted, nobody(find)), STREAM, wanted)
    ]
    assert blind == [[0]] * 22


def nobody(find):
    """A detector that finds nobody in a white picture."""

    def found(images):
        people = find(images)
        return [
            Detections.empty() if image.rgb().min() == 255 else who for image, who in zip(images, people, strict=True)
        ]

    return found


def test_windows_keep_their_people():
    tracked = [(frame, people(frame.index)) for frame in frames(5)]
    pairs = list(with_windows(iter(tracked), 1, 1))
    assert [(window.current.index, found.track_ids.tolist()) for window, found in pairs] == [
        (index, [index]) for index in range(5)
    ]
    assert pairs[0][0].previous is tracked[0][0]


def test_joints_of_given_boxes_are_those_of_their_windows():
    """Windows with nobody, one and two people; images that several windows show are given once."""
    chunk = list(windows(frames(4)))
    boxes = [np.zeros((count, 4), np.float32) for count in (1, 0, 2, 1)]
    found = keypoints_of(chunk, boxes, Poses())
    assert [len(points) for points in found] == [1, 0, 2, 1]
    sums = [int(frame.image.sum() % 1000) for frame in frames(4)]
    assert found[2][0, :3, 0].tolist() == found[2][1, :3, 0].tolist() == sums[1:4]
    assert found[0][0, :3, 0].tolist() == [sums[0], sums[0], sums[1]]
    assert found[0][0, 3, :2].tolist() == [1, 1]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("ids", [(3,), (3, 4, 5)])
def test_windows_share_crops_where_the_settings_say_so(settings, ids, shared):
    pairs = [(window, people(*ids)) for window in windows(frames(3))]
    pose = Poses()
    results = list(estimate(iter(pairs), STREAM, replace(settings, share_crops=shared), Finder(), pose))
    assert [result.index for _, result in results] == [0, 1, 2]
    assert [[p.track_id for p in result.people] for _, result in results] == [list(ids)] * 3
    assert (pose.tracks.tolist() if shared else pose.tracks) == (list(ids) * 3 if shared else None)


@pytest.mark.parametrize(("size", "frames"), [((640, 480), 8), ((1920, 1080), 8), ((3840, 2160), 6), ((7680, 4320), 2)])
def test_two_chunks_of_large_frames_wait_for_the_network(size, frames):
    assert detected_ahead(*size) == frames
