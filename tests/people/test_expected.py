"""Who is only expected is kept by joints of their own."""

from __future__ import annotations

import numpy as np

from dcpose_cli import Detections, Frame, TrackedBoxes
from dcpose_cli.people.expected import frame_result
from dcpose_cli.people.interpolation import corrected
from dcpose_cli.skeleton.sets import JOINT_SETS, result_joints


def test_someone_expected_keeps_only_joints_of_their_own():
    """Who is only expected, behind somebody else, does not get the other's joints, and goes with too few left."""
    frame = Frame(0, 0, 0.0, np.zeros((48, 64, 3), np.uint8))
    tracked = TrackedBoxes(
        np.array([[0, 0, 20, 40], [5, 5, 20, 40]], np.float32),
        np.array([0.9, 0.5], np.float32),
        np.array([3, 4]),
        predicted=1,
    )
    front = np.stack([np.arange(17) * 2.0, np.arange(17) * 2.0, np.full(17, 0.8)], axis=1).astype(np.float32)
    behind = front.copy()
    behind[[15, 16], 0] += 30  # two joints elsewhere
    seen = frame_result(frame, tracked, np.stack([front, behind])).people
    assert [person.track_id for person in seen] == [3, 4]
    assert (seen[1].keypoints[:15] == 0).all()
    np.testing.assert_array_equal(seen[1].keypoints[15:], behind[15:])
    behind[15] = front[15]
    seen = frame_result(frame, tracked, np.stack([front, behind])).people
    assert [person.track_id for person in seen] == [3]
    np.testing.assert_array_equal(seen[0].keypoints, front)


def test_who_fills_a_gap_is_marked_in_frames_between_detections_too():
    frame = Frame(0, 0, 0.0, np.zeros((48, 64, 3), np.uint8))
    boxes = np.array([[0, 0, 20, 40], [30, 0, 20, 40]], np.float32)
    tracked = TrackedBoxes(boxes, np.array([0.9, 0.5], np.float32), np.array([3, 4]), 2, between=True, filled=1)
    tracked = corrected(tracked, np.array([True, True]), Detections.empty())
    points = np.zeros((2, 17, 3), np.float32)
    points[0, :, 2] = 0.9
    seen = frame_result(frame, tracked, points).people
    assert [(person.track_id, person.interpolated) for person in seen] == [(3, False), (4, True)]


def test_points_of_faces_and_fingers_do_not_keep_somebody():
    """A hundred unsure points would always find two that are sure."""
    joints = result_joints(JOINT_SETS["wholebody"].channels)
    boxes = np.array([[0, 0, 20, 40], [60, 0, 20, 40]], np.float32)
    tracked = TrackedBoxes(boxes, np.array([0.9, 0.5], np.float32), np.array([3, 4]), predicted=1)
    points = np.zeros((2, len(joints), 3), np.float32)
    points[0, :, 2] = 0.9
    points[1] = (70, 20, 0.1)
    for name in joints[25:]:
        points[1, joints.index(name)] = (70, 20, 0.9)
    frame = Frame(0, 0, 0.0, np.zeros((48, 64, 3), np.uint8))
    assert [person.track_id for person in frame_result(frame, tracked, points, joints).people] == [3]
    points[1, [joints.index(name) for name in ("left_heel", "left_knee")], 2] = 0.9
    people = frame_result(frame, tracked, points, joints).people
    assert [person.track_id for person in people] == [3, 4]
    assert all(person.joints == joints for person in people)
