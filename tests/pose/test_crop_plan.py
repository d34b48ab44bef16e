"""Crops of one's own, and crops that neighbouring windows share."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from dcpose_cli.pose.crop_plan import MOST_ASIDE, MOST_SCALED, own_crops, shared_crops
from dcpose_cli.pose.crop_shape import CropShape

SIZE = (144, 192)


def walk(count, step, width=30.0, height=80.0):
    """Windows and boxes of somebody who walks `step` pixels a frame."""
    at = np.arange(count)
    windows = np.stack([at, np.maximum(at - 1, 0), np.minimum(at + 1, count - 1)], axis=1)
    boxes = np.stack([at * step, at * 0.0, at * 0 + width, at * 0 + height], axis=1).astype(np.float32)
    return windows, boxes


def crops_of(plan):
    """What each window sees: (frame, box) per place."""
    return [[(int(plan.frames[c]), tuple(plan.boxes[c])) for c in row] for row in plan.rows]


def test_own_crops_cut_every_frame_with_the_window_s_box():
    windows, boxes = walk(5, 3.0)
    plan = own_crops(windows, boxes, CropShape(SIZE))
    assert not plan.shared
    assert crops_of(plan) == [[(f, tuple(box)) for f in row] for row, box in zip(windows.tolist(), boxes, strict=True)]
    # All current frames first: the order in which the published network takes them.
    assert plan.frames.tolist() == windows.T.ravel().tolist()


@pytest.mark.parametrize("step", [0.0, 0.3, 2.0, 9.0])
def test_shared_boxes_fit_their_frames_and_windows_see_the_right_frames(step):
    windows, boxes = walk(40, step)
    plan = shared_crops(windows, boxes, np.zeros(40, np.int64), CropShape(SIZE))
    assert sorted(plan.order.tolist()) == list(range(40))
    for number, seen in enumerate(crops_of(plan)):
        assert [frame for frame, _ in seen] == windows[number].tolist()
        assert len({box for _, box in seen}) == 1
        assert near(boxes[number], seen[0][1])


@pytest.mark.parametrize("growth", [1.0, 1.01, 1.05])
def test_shared_boxes_are_as_large_as_the_person(growth):
    windows, boxes = walk(40, 0.0)
    boxes[:, 2:] *= growth ** np.arange(40)[:, None]
    plan = shared_crops(windows, boxes, np.zeros(40, np.int64), CropShape(SIZE))
    assert all(near(box, seen[0][1]) for box, seen in zip(boxes, crops_of(plan), strict=True))
    # The largest may be MOST_SCALED squared times the smallest: 1.01 ** 15, 1.05 ** 3.
    lengths = {1.0: [40], 1.01: [16, 16, 8], 1.05: [4] * 10}[growth]
    assert [len(list(run)) for _, run in groupby(seen[0][1] for seen in crops_of(plan))] == lengths


def near(own, shared):
    """Whether a shared box, which has the crop's aspect, fits the box of a window."""
    (x, y, w, h), (sx, sy, sw, sh) = own, shared
    grown = np.array([max(w, h * 0.75), max(w, h * 0.75) / 0.75])
    aside = np.abs([x + w / 2 - sx - sw / 2, y + h / 2 - sy - sh / 2]) / grown
    scaled = sw / grown[0]
    assert sw / sh == pytest.approx(0.75)
    return aside.max() <= MOST_ASIDE + 1e-3 and 1 / MOST_SCALED - 1e-3 <= scaled <= MOST_SCALED + 1e-3


def test_who_stands_still_is_seen_once_a_frame_and_who_runs_more_often():
    counts = []
    for step in (0.0, 1.0, 4.0, 50.0):
        windows, boxes = walk(16, step)
        counts.append(len(shared_crops(windows, boxes, np.zeros(16, np.int64), CropShape(SIZE)).frames))
    assert counts[0] == 16
    assert counts == sorted(counts)
    assert counts[-1] == 3 * 16 - 2  # nothing to share but the missing neighbours at both ends


def test_people_do_not_share_with_one_another():
    windows, boxes = walk(6, 0.0)
    both = np.repeat(windows, 2, axis=0), np.repeat(boxes, 2, axis=0)
    tracks = np.tile([4, 9], 6)
    plan = shared_crops(*both, tracks, CropShape(SIZE))
    assert len(plan.frames) == 12
    assert plan.order.tolist() == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]
    assert not set(plan.rows[::2].ravel()) & set(plan.rows[1::2].ravel())


def test_nobody():
    plan = shared_crops(
        np.zeros((0, 3), np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), CropShape(SIZE)
    )
    assert plan.boxes.shape == (0, 4)
    assert plan.rows.shape == (0, 3)


def test_windows_that_share_crops_see_all_of_the_person_in_trimmed_ones():
    windows, boxes = walk(40, 2.0)
    shape = CropShape((176, 224), margin=0.1)
    plan = shared_crops(windows, boxes, np.zeros(40, np.int64), shape)
    assert plan.shared
    for window, box in enumerate(boxes):
        (size,) = {tuple(plan.sizes[crop].tolist()) for crop in plan.rows[window]}
        assert size == plan.size(window)
        assert 64 < size[0] < 176
        assert size[1] == 224
        shown = plan.boxes[plan.rows[window, 0]]
        scale = 176 / (shown[2] * 1.25)
        aside = abs((box[0] + box[2] / 2) - (shown[0] + shown[2] / 2))
        assert (box[2] / 2 + aside + 0.1 * box[3]) * scale <= size[0] / 2 + 1e-3


@pytest.mark.parametrize("share", [False, True])
def test_parts_are_of_one_size_and_hold_every_window_once(share):
    windows, boxes = walk(30, 0.5)
    boxes[::3, 2:] = (80, 30)
    shape, tracks = CropShape((176, 224), margin=0.1), np.arange(30) % 3
    plan = shared_crops(windows, boxes, tracks, shape) if share else own_crops(windows, boxes, shape)
    seen = []
    while len(seen) < 30:
        part = plan.next_part(len(seen), 8).tolist()
        assert 1 <= len(part) <= 8
        assert len({plan.size(window) for window in part}) == 1
        seen += part
    assert sorted(seen) == list(range(30))
    assert len({plan.size(window) for window in range(30)}) > 1
