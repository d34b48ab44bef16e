"""Exchanged arms and exchanged people: in the exact joints of the sample clips, and where nothing is exchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.results.exchanges import ARMS, MEETING_SECONDS, Exchanges
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

CLIPS = ("plaza", "sprint", "portrait")


@pytest.fixture(scope="module")
def samples(root):
    """The exact joints and boxes of the sample clips, at 25 frames per second."""
    return {name: list(exact(root / "sample_videos" / f"{name}.json")) for name in CLIPS}


def exact(path):
    data = json.loads(path.read_text())
    slots = [JOINT_NAMES.index(name) for name in data["joints"]]
    for index, frame in enumerate(data["frames"]):
        people = []
        for person in frame["persons"]:
            points = np.zeros((17, 3), np.float32)
            points[slots] = person["keypoints"]
            points[:, 2] /= 2
            people.append(Person(person["track_id"], np.array(person["bbox"], np.float32), 0.9, points))
        yield FrameResult(index, index, index / 25, tuple(people))


def found(frames):
    """(frame, track) of exchanged arms and of exchanged people."""
    exchanges, arms, people = Exchanges(), [], []
    for frame in frames:
        here = exchanges.add(frame)
        arms += [(frame.index, track) for track in sorted(here[0])]
        people += [(frame.index, track) for track in sorted(here[1])]
    return arms, people


def with_arms(frames, track, chosen):
    """The arms of a track exchanged in some frames."""
    both = ARMS.T.ravel().tolist()

    def exchanged(person):
        points = person.keypoints.copy()
        points[both] = points[ARMS.T[::-1].ravel()]
        return replace(person, keypoints=points)

    for frame in frames:
        people = [exchanged(p) if p.track_id == track and frame.index in chosen else p for p in frame.people]
        yield replace(frame, people=tuple(people))


def with_ids(frames, ids, begin):
    """Tracks exchanged from a frame on. ids: {track: the other one}."""
    for frame in frames:
        people = [replace(p, track_id=ids.get(p.track_id, p.track_id)) for p in frame.people]
        yield replace(frame, people=tuple(people)) if frame.index >= begin else frame


@pytest.mark.parametrize("name", CLIPS)
def test_nothing_is_exchanged_in_exact_joints(samples, name):
    """People walk, sprint, dance, swing their arms past each other, and cross in front of each other twice."""
    assert found(samples[name]) == ([], [])


@pytest.mark.parametrize(("name", "track"), [("plaza", 1), ("plaza", 2), ("portrait", 1)])
@pytest.mark.parametrize("length", [1, 4])
def test_exchanged_arms_show_where_they_begin_and_end(samples, name, track, length):
    hits = 0
    for begin in range(30, 40):
        arms, people = found(with_arms(samples[name], track, range(begin, begin + length)))
        assert set(arms) <= {(begin, track), (begin + length, track)}
        assert people == []
        hits += bool(arms)
    assert hits >= 8


@pytest.mark.parametrize(
    ("name", "pair", "overlap"), [("plaza", {1: 2, 2: 1}, (46, 56)), ("sprint", {1: 2, 2: 1}, (45, 55))]
)
def test_people_exchanged_in_an_overlap_show_when_they_part(samples, name, pair, overlap):
    for begin in range(overlap[0], overlap[1] + 1):
        _, people = found(with_ids(samples[name], pair, begin))
        frames = {index for index, _ in people}
        assert {track for _, track in people} == pair.keys()
        assert max(frames) > overlap[1]
        assert frames - {max(frames)} <= {begin}


def walkers(speed, *, ids=lambda _: (0, 1), heights=(200, 200), stop=0.0, frames=160):
    """Two people who walk towards each other at `speed` pixels per second, meet at 1 s, stop for `stop` s and go on."""
    points = np.zeros((17, 3), np.float32)
    for index in range(frames):
        time = index / 25
        way = speed * (min(time, 1) + max(0, time - 1 - stop) - 1)
        boxes = [
            np.array([500 + x - 40, 300 - h, 80, h], np.float32) for x, h in zip((way, -way), heights, strict=True)
        ]
        people = (Person(track, box, 0.9, points) for track, box in zip(ids(time), boxes, strict=True))
        yield FrameResult(index, index, time, tuple(people))


def test_people_who_cross_keep_their_ids():
    assert found(walkers(150)) == ([], [])
    assert found(walkers(150, heights=(160, 210))) == ([], [])


@pytest.mark.parametrize("heights", [(200, 200), (160, 210)])
def test_ids_exchanged_where_both_boxes_are_one(heights):
    _, people = found(walkers(150, ids=lambda time: (0, 1) if time < 1 else (1, 0), heights=heights))
    frames = sorted({index for index, _ in people})
    assert people == [(index, track) for index in frames for track in (0, 1)]
    assert 1.2 < frames[-1] / 25 < 1.6
    assert frames[:-1] == ([25] if heights[0] != heights[1] else [])  # at once where boxes have other heights


def test_after_a_long_overlap_nothing_is_said():
    later = MEETING_SECONDS + 1
    assert found(walkers(150, stop=later)) == ([], [])
    assert found(walkers(150, ids=lambda time: (0, 1) if time < 2 else (1, 0), stop=later)) == ([], [])


def test_an_exchange_of_people_side_by_side_shows_at_once():
    def frames():
        points = np.zeros((17, 3), np.float32)
        for index in range(50):
            boxes = (np.array([x, 100, 80, 200], np.float32) for x in (200 + index, 260 + index))
            ids = (3, 5) if index < 30 else (5, 3)
            yield FrameResult(
                index, index, index / 25, tuple(Person(t, b, 0.9, points) for t, b in zip(ids, boxes, strict=True))
            )

    assert found(frames()) == ([], [(30, 3), (30, 5)])


def test_unsure_joints_and_pauses_say_nothing(samples):
    def weak(frames):
        for frame in frames:
            people = [replace(p, keypoints=p.keypoints * np.array([1, 1, 0.25], np.float32)) for p in frame.people]
            yield replace(frame, people=tuple(people))

    swapped = list(with_arms(samples["plaza"], 1, range(30, 33)))
    assert found(swapped)[0]
    assert found(weak(swapped))[0] == []
    # A pause of a third of a second where the exchange begins, and where it ends.
    assert found(frame for frame in swapped if frame.index not in {*range(22, 30), *range(33, 41)})[0] == []
