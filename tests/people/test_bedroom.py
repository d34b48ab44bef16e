"""Two jumping children, one of whom is hidden behind the other for a third of the clip, through the whole product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from dcpose_cli import PoseEstimator
from dcpose_cli.people.boxes import iou
from dcpose_cli.types import Person

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(1800)]


def test_two_ids_last_most_of_the_clip_and_are_never_exchanged(shared: Path) -> None:
    estimator = PoseEstimator(detector=str(shared / "weights" / "yolov8n.pt"), device="cpu")
    frames = list(estimator.video(shared / "videos" / "sam2_bedroom.mp4"))
    lengths = Counter(person.track_id for frame in frames for person in frame.people)
    assert len(frames) == 200
    assert len(lengths) == 2
    assert min(lengths.values()) >= 0.6 * len(frames)
    # Where their boxes are apart the boy is left of the girl, from the first frame to the last.
    order = [by_place(frame.people) for frame in frames if len(frame.people) == 2 and are_apart(*frame.people)]
    assert len(order) >= 0.5 * len(frames)
    assert len(set(order)) == 1


def are_apart(one: Person, other: Person) -> bool:
    return float(iou(one.bbox, other.bbox[None])[0]) < 0.25


def by_place(people: Sequence[Person]) -> tuple[int, ...]:
    """Identities from left to right."""
    return tuple(person.track_id for person in sorted(people, key=lambda person: person.bbox[0] + person.bbox[2] / 2))
