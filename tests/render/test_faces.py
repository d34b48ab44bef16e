"""Faces: what the circle covers, that it is coarse inside and untouched outside, and that it stays for a moment."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.render.faces import HOLD_SECONDS, FaceBlur, head_circle
from dcpose_cli.types import FrameResult, Person

TEXTURE = np.random.default_rng(3).integers(0, 255, (200, 160, 3), np.uint8)


def standing(track=0, head=((60, 40), (60, 60), (60, 22)), score=0.05):
    """A person 40 x 150 whose nose, head_bottom and head_top are at `head`, at low confidence."""
    keypoints = np.zeros((17, 3), np.float32)
    for slot, place in enumerate(head):
        keypoints[slot] = (*place, score)
    return Person(track, np.array([40, 20, 40, 150], np.float32), 0.9, keypoints)


def frame(*people, time=0.0):
    return FrameResult(0, 0, time, people)


def test_the_circle_covers_every_head_joint_at_any_confidence():
    for head in (((60, 40), (60, 60), (60, 22)), ((80, 40), (60, 60), (40, 22)), ((60, 40), (60, 41), (60, 39))):
        person = standing(head=head)
        x, y, radius = head_circle(person)
        assert all(np.hypot(px - x, py - y) < radius for px, py in head)
        assert radius >= 0.07 * 150


def test_without_head_joints_the_top_of_the_box_counts():
    person = Person(0, np.array([40, 20, 40, 150], np.float32), 0.9, np.zeros((17, 3), np.float32))
    x, y, radius = head_circle(person)
    assert (x, y) == (60, 20 + 0.125 * 150)
    assert radius > 15


def test_inside_is_coarse_and_outside_is_untouched():
    image = TEXTURE.copy()
    person = standing()
    out = FaceBlur()(image, frame(person))
    assert (image == TEXTURE).all()
    x, y, radius = head_circle(person)
    rows, columns = np.ogrid[:200, :160]
    distance = np.hypot(columns - x, rows - y)
    assert (out[distance > radius + 1] == image[distance > radius + 1]).all()
    inside = out[int(y - radius / 2) : int(y + radius / 2), int(x - radius / 2) : int(x + radius / 2)].astype(float)
    before = TEXTURE[int(y - radius / 2) : int(y + radius / 2), int(x - radius / 2) : int(x + radius / 2)].astype(float)
    assert np.abs(np.diff(inside, axis=0)).mean() < 0.1 * np.abs(np.diff(before, axis=0)).mean()


def test_somebody_missing_stays_hidden_for_a_moment():
    blur, person = FaceBlur(), standing()
    first = blur(TEXTURE, frame(person))
    assert (blur(TEXTURE, frame(time=0.8 * HOLD_SECONDS)) == first).all()
    assert (blur(TEXTURE, frame(time=1.2 * HOLD_SECONDS)) == TEXTURE).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9, -500])
def test_impossible_places_do_no_harm(bad):
    person = standing(head=((bad, 40), (60, bad), (60, 22)))
    assert FaceBlur()(TEXTURE, frame(person)).shape == TEXTURE.shape
