"""Frames whose pixels are not square, as the detector sees them."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people.proportions import MOST_PIXELS, displayed, displayed_size, in_proportion
from dcpose_cli.types import Detections


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(1, (480, 360)), (4 / 3, (640, 360)), (2, (960, 360)), (8 / 9, (480, 405)), (0.5, (480, 720))],
)
def test_no_side_is_scaled_down(aspect, size):
    assert displayed_size(480, 360, aspect) == size


@pytest.mark.parametrize("aspect", [0.01, 0.3, 3, 100])
def test_a_frame_never_grows_much(aspect):
    width, height = displayed_size(480, 360, aspect)
    assert width * height <= MOST_PIXELS * 480 * 360 * 1.01
    assert width / height == pytest.approx(480 * aspect / 360, rel=0.01)


@pytest.mark.parametrize("aspect", [4 / 3, 0.5, 4.0])
def test_people_are_seen_undistorted_and_boxed_in_stored_pixels(aspect):
    """Something that is displayed as a square."""
    shown_size = displayed_size(480, 360, aspect)
    box = np.array([120, 90, 48, 48 * aspect], np.float32)
    x, y, w, h = (round(value) for value in box.tolist())
    image = np.zeros((360, 480, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    seen = []

    def find(images):
        people = []
        for shown in (pixels.rgb() for pixels in images):
            ys, xs = np.nonzero(shown[..., 0] > 127)
            found = xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1
            seen.append((shown.shape[1::-1], found[2] / found[3]))
            people.append(Detections(np.array([found], np.float32), np.array([0.5], np.float32)))
        return people

    found = in_proportion(find, aspect)([image, image])
    assert [size for size, _ in seen] == [shown_size] * 2
    assert [ratio for _, ratio in seen] == pytest.approx([1, 1], rel=0.03)
    for people in found:
        np.testing.assert_allclose(people.boxes, [box], atol=2)
        assert people.scores.tolist() == [0.5]


def test_square_pixels_cost_nothing():
    image = np.zeros((4, 6, 3), np.uint8)
    assert displayed(image, 1) is image
    assert in_proportion(len, 1) is len
