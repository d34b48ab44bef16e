"""People where no detection was: those the tracker expects are kept if enough of the joints in their box are their own,
those in a gap of their track always."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..skeleton import JOINT_NAMES
from ..skeleton.sets import detail_joints
from ..types import Frame, FrameResult, Person, TrackedBoxes

#: Somebody is where the tracker expects them if so many joints of their own have at least this score.
EXPECTED_SCORE: Final = 0.3
EXPECTED_JOINTS: Final = 2
#: Joints nearer to each other than this share of the box's height are one joint.
SAME_JOINT: Final = 0.08


def frame_result(
    frame: Frame, people: TrackedBoxes, keypoints: NDArray[np.float32], joints: tuple[str, ...] = JOINT_NAMES
) -> FrameResult:
    """The people of a frame with their joints. keypoints: (N, J, 3), in the order of `people`; joints: their names."""
    body = [place for place in range(len(joints)) if place not in detail_joints(joints)]
    detected = len(people) - people.predicted
    persons = []
    for number, points in enumerate(keypoints):
        is_filled = number >= len(people) - people.filled
        if number >= detected:
            points = _own_joints(points, float(people.boxes[number, 3]), keypoints[:detected])
            if not is_filled and (points[body, 2] >= EXPECTED_SCORE).sum() < EXPECTED_JOINTS:
                continue
        score, box = float(people.scores[number]), people.boxes[number]
        interpolated = is_filled or (number >= detected and not people.between)
        persons.append(Person(int(people.track_ids[number]), box, score, points, interpolated, joints))
    return FrameResult(frame.index, frame.pts, frame.time, tuple(persons), frame.damaged)


def _own_joints(points: NDArray[np.float32], height: float, others: NDArray[np.float32]) -> NDArray[np.float32]:
    """The joints of somebody who was only expected, without those that are another's: (J, 3), absent ones 0.

    Behind somebody else the network tends to find the joints of the person in front. height: of the box, pixels.
    others: (N, J, 3).
    """
    apart = np.linalg.norm(others[:, :, :2] - points[None, :, :2], axis=2)
    shared = (apart < SAME_JOINT * height).any(axis=0)
    return np.where(shared[:, None], np.float32(0), points)
