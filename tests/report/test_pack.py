"""Packed results, read back as the page reads them."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from dcpose_cli.report.pack import SCORE_UNIT, pack
from dcpose_cli.types import FrameResult, Person


def unpack(packed, frames):
    raw, at = gzip.decompress(packed.data), 0

    def take(kind, count):
        nonlocal at
        found = np.frombuffer(raw, kind, count, at)
        at += found.nbytes
        return found

    def summed(kind, count):
        return np.cumsum(take(kind, count), dtype=kind)

    def planes(count):
        low, high = take("u1", count).astype(np.uint16), take("u1", count).astype(np.uint16)
        return np.cumsum((high << 8 | low).astype(np.uint16).view(np.int16), dtype=np.int16)

    times, index = take("<f8", frames), summed("<i4", frames)
    where = [summed("<i4", count) for _, count in packed.tracks]
    boxes = [np.stack([planes(count) for _ in range(4)]) for _, count in packed.tracks]
    places = [np.stack([planes(count) for _ in range(34)]) for _, count in packed.tracks]
    scores = [np.stack([take("u1", count) for _ in range(17)]) for _, count in packed.tracks]
    assert at == len(raw)
    return times, index, where, boxes, places, scores


def crowd(seed=1, frames=40, reach=1900.0):
    generator = np.random.default_rng(seed)
    results = []
    for index in range(frames):
        people = []
        for track in generator.permutation(5)[: generator.integers(0, 5)]:
            points = np.concatenate([generator.uniform(-50, reach, (17, 2)), generator.uniform(0, 1, (17, 1))], axis=1)
            points[generator.uniform(size=17) < 0.2] = 0
            box = generator.uniform(0, reach, 4).astype(np.float32)
            people.append(Person(int(track) * 3, box, 0.9, points.astype(np.float32)))
        results.append(FrameResult(index * 2, index, index / 30, tuple(people)))
    return results


@pytest.mark.parametrize("reach", [300.0, 1900.0, 7680.0])
def test_everything_comes_back(reach):
    frames = crowd(reach=reach)
    packed = pack(frames)
    times, index, where, boxes, places, scores = unpack(packed, len(frames))
    np.testing.assert_array_equal(times, [f.time for f in frames])
    np.testing.assert_array_equal(index, [f.index for f in frames])
    seen = 0
    for number, (track, count) in enumerate(packed.tracks):
        rows = [(k, p) for k, f in enumerate(frames) for p in f.people if p.track_id == track]
        assert count == len(rows)
        np.testing.assert_array_equal(where[number], [k for k, _ in rows])
        for row, (_, person) in enumerate(rows):
            seen += 1
            np.testing.assert_allclose(boxes[number][:, row] / packed.scale, person.bbox, atol=0.51 / packed.scale)
            known = person.keypoints[:, 2] > 0
            xy = places[number][:, row].reshape(17, 2) / packed.scale
            np.testing.assert_allclose(xy[known], person.keypoints[known, :2], atol=0.51 / packed.scale)
            rounded = np.maximum(np.rint(person.keypoints[known, 2] * SCORE_UNIT), 1)
            np.testing.assert_array_equal(scores[number][known, row], rounded)
            assert (scores[number][~known, row] == 0).all()
    assert seen == sum(len(f.people) for f in frames)
    assert 1 / packed.scale <= 0.25  # a quarter pixel, up to 8K


def test_nobody_and_nonsense():
    packed = pack([FrameResult(0, 0, 0.0), FrameResult(1, 1, 0.04)])
    assert packed.tracks == []
    unpack(packed, 2)
    wild = Person(1, np.array([np.nan, 0, np.inf, 5], np.float32), 0.5, np.full((17, 3), np.nan, np.float32))
    far = Person(2, np.array([0, 0, 1e20, 5], np.float32), 0.5, np.full((17, 3), 1e20, np.float32))
    packed = pack([FrameResult(0, 0, 0.0, (wild, far, wild))])
    assert packed.tracks == [(1, 1), (2, 1)]
    assert (unpack(packed, 1)[5][0] == 0).all()


def test_the_same_result_gives_the_same_bytes():
    assert pack(crowd()).data == pack(crowd()).data


def test_an_hour_stays_small():
    """Two people at 30 frames/s with the noise of real joints: bytes per hour, from one minute."""
    generator = np.random.default_rng(0)
    frames = []
    for index in range(1800):
        people = []
        for track in range(2):
            points = np.full((17, 3), 0.8, np.float32)
            points[:, :2] = (
                600 + 300 * np.sin(index / 40 + np.arange(34).reshape(17, 2)) + generator.normal(0, 1, (17, 2))
            )
            points[:, 2] += generator.normal(0, 0.05, 17)
            people.append(Person(track, np.array([500, 200, 200, 600], np.float32), 0.9, points))
        frames.append(FrameResult(index, index, index / 30, tuple(people)))
    assert len(pack(frames).data) * 60 < 20e6
