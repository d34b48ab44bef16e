"""Frames that wait take the identities that a later frame tells; identities stay distinct."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people.gaps import filled
from dcpose_cli.people.revision import revised
from dcpose_cli.types import Reassignment, TrackedBoxes


def people(
    *rows: tuple[int, float],
    predicted: int = 0,
    cut: bool = False,
    between: bool = False,
    said: tuple[Reassignment, ...] = (),
) -> TrackedBoxes:
    """rows: (identity, x) of boxes 20 wide and 50 high; the last `predicted` were not detected."""
    boxes = np.array([[x, 10, 20, 50] for _, x in rows], np.float32).reshape(-1, 4)
    ids = np.array([identity for identity, _ in rows], np.int64)
    return TrackedBoxes(boxes, np.full(len(rows), 0.9, np.float32), ids, predicted, between, cut, reassigned=said)


def places(frame: TrackedBoxes) -> dict[int, float]:
    return dict(zip(frame.track_ids.tolist(), frame.boxes[:, 0].tolist(), strict=True))


def result(stream: list[TrackedBoxes], longest: int, **options: bool) -> list[tuple[dict[int, float], int]]:
    """Per frame: {identity: x}, and how many stand in gaps."""
    return [(places(who), who.filled) for _, who in filled(enumerate(stream), longest, **options)]


def test_only_the_frames_that_are_said_get_the_other_identity() -> None:
    frames = [people((0, 10)), people((0, 11), (2, 90)), people((0, 12), (1, 50), predicted=1)]
    found = revised(frames, [Reassignment(0, 1, 2)])
    assert [places(frame) for frame in found] == [{0: 10}, {1: 11, 2: 90}, {1: 12}]
    assert [frame.predicted for frame in found] == [0, 0, 0]


def test_nobody_gets_an_identity_that_another_one_has() -> None:
    frames = [people((0, 10), (1, 50))]
    assert [places(frame) for frame in revised(frames, [Reassignment(0, 1, 1)])] == [{0: 10, 1: 50}]


def test_no_frame_before_a_cut_is_revised() -> None:
    frames = [people((0, 10)), people((0, 11), cut=True), people((0, 12))]
    assert [places(frame) for frame in revised(frames, [Reassignment(0, 1, 3)])] == [{0: 10}, {1: 11}, {1: 12}]


def test_between_two_people_stands_nobody() -> None:
    """Of frames that were not searched, those between two revised ones are revised."""
    step = people((0, 12), between=True)
    frames = [people((0, 10)), step, people((0, 14)), step, people((0, 18)), step]
    found = revised(frames, [Reassignment(0, 1, 2)])
    assert [places(frame) for frame in found] == [{0: 10}, {}, {1: 14}, {1: 12}, {1: 18}, {}]


def test_the_gaps_of_both_are_filled_as_if_it_had_been_known_at_once() -> None:
    """The box of two people is the first one's until frame 4 says that it was the second one's since frame 2."""
    said = (Reassignment(0, 1, 2),)
    late = [people((0, 0), (1, 40)), people((0, 20)), people((0, 30)), people((0, 32)), people((1, 34), said=said)]
    known = [people((0, 0), (1, 40)), people((0, 20)), people((1, 30)), people((1, 32)), people((1, 34))]
    rest = [people((1, 36)), people((0, 70), (1, 38))]
    for fill in (True, False):
        assert result([*late, *rest], 6, fill=fill) == result([*known, *rest], 6, fill=fill)
    assert [frame for frame, _ in result([*late, *rest], 6)][1:4] == [{0: 20, 1: 35}, {1: 30, 0: 30}, {1: 32, 0: 40}]


def test_frames_that_were_passed_on_stay_as_they_are() -> None:
    said = (Reassignment(0, 1, 9),)
    stream = [people((1, 50)), *[people((0, 10))] * 5, people((1, 10), said=said)]
    assert [frame for frame, _ in result(stream, 2, fill=False)] == [{1: 50}, *[{0: 10}] * 3, *[{1: 10}] * 3]
    assert list(filled(enumerate(stream), 0)) == list(enumerate(stream))  # a live source waits for nothing
    assert stream[-1].detected().reassigned == said  # as with --no-fill


@pytest.mark.parametrize("seed", range(20))
def test_identities_are_distinct_whatever_is_said(seed: int) -> None:
    random = np.random.default_rng(seed)
    stream = []
    for _ in range(60):
        ids = random.permutation(5)[: random.integers(0, 5)].tolist()
        source, target, count = random.permutation(5)[0], random.permutation(5)[0], int(random.integers(1, 9))
        said = (Reassignment(int(source), int(target), count),) if source != target and random.random() < 0.3 else ()
        guessed = int(random.integers(0, len(ids) + 1))
        rows = [(identity, float(random.integers(0, 300))) for identity in ids]
        stream.append(people(*rows, predicted=guessed, cut=bool(random.random() < 0.05), said=said))
    for longest in (1, 4, 12):
        frames = [who for _, who in filled(enumerate(stream), longest)]
        assert all(len(set(who.track_ids.tolist())) == len(who) for who in frames)
        assert all(not who.reassigned for who in frames)
