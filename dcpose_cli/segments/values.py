"""Conversion between the values of the stages and the arrays of a segment file (folder.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..people.tracker import LOOK_SIZE, looks_of
from ..skeleton import NUM_JOINTS
from ..types import Detections, Frame, FrameResult, Person, TrackedBoxes
from .folder import Arrays, Entry


def seen_entry(frame: Frame, found: Detections) -> Entry:
    """The people detected in a frame and their looks: boxes (N, 4), scores (N,), looks (N, 432); 0 for no look."""
    looks = np.zeros((len(found), LOOK_SIZE), np.float32)
    for number, look in enumerate(looks_of(found.boxes, frame.image)):
        if look is not None:
            looks[number] = look
    return replace(_entry(frame, boxes=found.boxes, scores=found.scores, looks=looks), cut=frame.cut)


def seen_of(entry: Entry) -> tuple[Detections, list[NDArray[np.float32] | None]]:
    """Back from `seen_entry`; a look sums to 1, so one of zeros is none."""
    values = entry.values
    looks = [look if look.any() else None for look in values["looks"]]
    return Detections(values["boxes"], values["scores"]), looks


def tracks_entry(seen: Entry, tracked: TrackedBoxes) -> Entry:
    """The people of a frame with identities: boxes, scores, ids (N,), expected (N,) (not detected in this frame),
    between (N,) (nobody looked for them in it)."""
    expected = np.arange(len(tracked)) >= len(tracked) - tracked.predicted
    between = np.full(len(tracked), tracked.between)
    values: Arrays = {"boxes": tracked.boxes, "scores": tracked.scores, "ids": tracked.track_ids}
    values |= {"expected": expected, "between": between}
    return Entry(seen.index, seen.pts, seen.damaged, values, seen.cut)


def tracks_of(entry: Entry) -> TrackedBoxes:
    """Back from `tracks_entry`."""
    values = entry.values
    expected, between = int(values["expected"].sum()), bool(values["between"].any())
    return TrackedBoxes(values["boxes"], values["scores"], values["ids"], expected, between, entry.cut)


def people_entry(result: FrameResult) -> Entry:
    """The people of a frame with their joints: boxes, scores, ids, keypoints (N, 17, 3)."""
    people = result.people
    return _entry(
        result,
        boxes=np.array([person.bbox for person in people], np.float32).reshape(-1, 4),
        scores=np.array([person.score for person in people], np.float64),
        ids=np.array([person.track_id for person in people], np.int64),
        keypoints=np.array([person.keypoints for person in people], np.float32).reshape(-1, NUM_JOINTS, 3),
    )


def result_of(entry: Entry, frame: Frame) -> FrameResult:
    """Back from `people_entry`."""
    v = entry.values
    rows = zip(v["ids"].tolist(), v["boxes"], v["scores"].tolist(), v["keypoints"], strict=True)
    people = tuple(Person(track, box, score, points) for track, box, score, points in rows)
    return FrameResult(frame.index, frame.pts, frame.time, people, frame.damaged)


def _entry(frame: Frame | FrameResult, **values: NDArray[np.generic]) -> Entry:
    return Entry(frame.index, frame.pts, frame.damaged, values)
