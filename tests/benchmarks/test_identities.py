"""The benchmark of identities: its scores on cases worked by hand, and the crowd, which follows from its seed alone."""

from __future__ import annotations

import sys
from pathlib import Path

import motmetrics
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import identities
from crowd import HEIGHT, WIDTH, crowd
from identities import followed, report, score, settings

from dcpose_cli.stages import Stream
from dcpose_cli.types import Detections, Observation


def boxes(**lefts):
    """People by name (a, b: 0, 1, ...) and the left side of their box."""
    return {ord(name) - ord("a"): np.array([x, 0, 40, 100], np.float32) for name, x in lefts.items()}


def figures(table):
    row = motmetrics.metrics.create().compute(table, metrics=list(identities.METRICS)).iloc[0]
    return tuple(float(row[name]) for name in identities.METRICS)


TRUTH = [boxes(a=0, b=200)] * 4


def test_other_names_are_no_mistake():
    assert figures(score(TRUTH, [boxes(d=0, c=200)] * 4)) == (1.0, 0, 0, 0, 0, 8)


def test_exchanged_identities_count():
    idf1, switches, *rest = figures(score(TRUTH, [boxes(a=0, b=200)] * 2 + [boxes(a=200, b=0)] * 2))
    assert (idf1, switches, rest) == (0.5, 2, [0, 0, 0, 8])


def test_misses_and_surplus_count():
    idf1, *rest = figures(score(TRUTH, [boxes(a=0, c=400)] * 4))
    assert (idf1, rest) == (0.5, [0, 0, 4, 4, 8])
    assert figures(score(TRUTH, [boxes(a=30, b=200)] * 4))[3:5] == (4, 4)  # overlap below one half


def test_interrupted_tracks_count_as_fragments():
    lost = [boxes(a=0, b=200), boxes(b=200), boxes(a=0, b=200), boxes(b=200)]
    assert figures(score(TRUTH, lost))[1:4] == (0, 1, 2)  # lost twice, found again once
    renamed = [boxes(a=0, b=200), boxes(b=200), boxes(c=0, b=200), boxes(c=0, b=200)]
    assert figures(score(TRUTH, renamed))[1:4] == (1, 1, 1)


def test_hidden_people_and_their_boxes_take_no_part():
    clear, covered = [boxes(a=0)] * 4, [boxes(b=200)] * 4
    assert figures(score(clear, TRUTH, covered)) == (1.0, 0, 0, 0, 0, 4)
    assert figures(score(clear, clear, covered)) == (1.0, 0, 0, 0, 0, 4)
    # A box that fits the visible person better belongs to that one, wherever the hidden one is.
    assert figures(score(clear, [boxes(a=2)] * 4, [boxes(b=10)] * 4)) == (1.0, 0, 0, 0, 0, 4)


def test_tracking_as_in_the_product(capsys):
    """Two people who stand, one of them not detected for two frames: the gap is filled, or not, as asked."""
    frames = []
    for number in range(20):
        found = np.array([[0, 0, 40, 100], [200, 0, 40, 100]], np.float32)[: 1 if number in (10, 11) else 2]
        detections = Detections(found, np.full(len(found), 0.9, np.float32))
        frames.append(Observation(number / 25, False, True, detections, [None] * len(found)))
    clip = Stream(320, 240, 25.0), frames
    truth = [boxes(a=0, b=200)] * 20
    tables = [score(truth, followed(clip, settings("dcpose", fill=fill))) for fill in (True, False)]
    assert [figures(table)[1:5] for table in tables] == [(0, 0, 0, 0), (0, 1, 2, 0)]
    report("both", tables, ["filled", "gaps"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows[3:]] == [["filled", "100.0"], ["gaps", "97.4"], ["OVERALL", "98.7"]]


@pytest.fixture(scope="module")
def people():
    """Three people in one colour each, of two pictures."""
    pictures = []
    for colour in ((200, 30, 30), (30, 30, 200), (30, 160, 30)):
        picture = np.zeros((256, 90, 4), np.uint8)
        picture[:, 20:70] = (*colour, 255)
        pictures.append([picture, np.ascontiguousarray(picture[:, ::-1])])
    return pictures


def test_a_crowd_follows_from_its_seed(people):
    first, again, other = (list(crowd(people, seed, 6)) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.image, two.image)
        assert (one.boxes, one.visible) == (two.boxes, two.visible)
    assert any(one.boxes != two.boxes for one, two in zip(first, other, strict=True))


def test_a_crowd_is_within_the_picture(people):
    frames = list(crowd(people, 1, 6))
    assert set().union(*(frame.boxes for frame in frames)) == set(range(5))  # two people come twice
    for frame in frames:
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        for x, y, width, height in frame.boxes.values():
            assert x >= 0
            assert y >= 0
            assert x + width <= WIDTH
            assert y + height <= HEIGHT
        assert all(0 <= share <= 1 for share in frame.visible.values())
