"""Conversion between the values of the stages and the arrays of a segment file (folder.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..people.appearance import APPEARANCE_SIZE, appearances_of
from ..skeleton import JOINT_NAMES, NUM_JOINTS
from ..types import Detections, Frame, FrameResult, Person, TrackedBoxes
from .folder import Arrays, Entry


def seen_entry(frame: Frame, found: Detections) -> Entry:
    """The people detected in a frame: boxes (N, 4), scores (N,), appearances (N, APPEARANCE_SIZE); 0 for none."""
    appearances = np.zeros((len(found), APPEARANCE_SIZE), np.float32)
    for number, appearance in enumerate(appearances_of(found.boxes, frame.pixels)):
        if appearance is not None:
            appearances[number] = appearance
    return replace(_entry(frame, boxes=found.boxes, scores=found.scores, appearances=appearances), cut=frame.cut)


def seen_of(entry: Entry) -> tuple[Detections, list[NDArray[np.float32] | None]]:
    """Back from `seen_entry`; an appearance sums to 1, so one of zeros is none."""
    values = entry.values
    appearances = [appearance if appearance.any() else None for appearance in values["appearances"]]
    return Detections(values["boxes"], values["scores"]), appearances


def tracks_entry(seen: Entry, tracked: TrackedBoxes) -> Entry:
    """The people of a frame with identities: boxes, scores, ids (N,), expected (N,) (not detected in this frame),
    filled (N,) (in a gap of the track), between (N,) (the detector did not run on it)."""
    place = np.arange(len(tracked))
    expected, filled = place >= len(tracked) - tracked.predicted, place >= len(tracked) - tracked.filled
    between = np.full(len(tracked), tracked.between)
    values: Arrays = {"boxes": tracked.boxes, "scores": tracked.scores, "ids": tracked.track_ids}
    values |= {"expected": expected, "filled": filled, "between": between}
    return Entry(seen.index, seen.pts, seen.damaged, values, seen.cut)


def tracks_of(entry: Entry) -> TrackedBoxes:
    """Back from `tracks_entry`."""
    values = entry.values
    expected, between = int(values["expected"].sum()), bool(values["between"].any())
    filled = int(values["filled"].sum())
    return TrackedBoxes(values["boxes"], values["scores"], values["ids"], expected, between, entry.cut, filled)


def people_entry(result: FrameResult) -> Entry:
    """The people of a frame with their joints: boxes, scores, ids, keypoints (N, J, 3), interpolated (N,)."""
    people = result.people
    return _entry(
        result,
        boxes=np.array([person.bbox for person in people], np.float32).reshape(-1, 4),
        scores=np.array([person.score for person in people], np.float64),
        ids=np.array([person.track_id for person in people], np.int64),
        interpolated=np.array([person.interpolated for person in people], np.bool_),
        keypoints=np.array([p.keypoints for p in people] or np.zeros((0, NUM_JOINTS, 3)), np.float32),
    )


def result_of(entry: Entry, frame: Frame, joints: tuple[str, ...] = JOINT_NAMES) -> FrameResult:
    """Back from `people_entry`. joints: names of everybody's joints."""
    v = entry.values
    rows = zip(
        v["ids"].tolist(), v["boxes"], v["scores"].tolist(), v["keypoints"], v["interpolated"].tolist(), strict=True
    )
    people = tuple(Person(*row, joints) for row in rows)
    return FrameResult(frame.index, frame.pts, frame.time, people, frame.damaged)


def _entry(frame: Frame | FrameResult, **values: NDArray[np.generic]) -> Entry:
    return Entry(frame.index, frame.pts, frame.damaged, values)
