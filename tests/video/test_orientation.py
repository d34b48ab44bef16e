"""Turning a stored picture upright, checked pixel by pixel against the definition of the display matrix."""

from __future__ import annotations

import av
import numpy as np
import pytest

from dcpose_cli.video import VideoReader, probe
from dcpose_cli.video.orientation import Orientation


def upright_by_definition(image, matrix):
    """Move every stored pixel (x, y) to (ax + cy, bx + dy), shifted back to the origin."""
    a, b, c, d = matrix
    places = {(a * x + c * y, b * x + d * y): image[y, x] for y in range(len(image)) for x in range(len(image[0]))}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    width, height = max(x for x, _ in places) - left + 1, max(y for _, y in places) - top + 1
    result = np.zeros((height, width, *image.shape[2:]), image.dtype)
    for (x, y), value in places.items():
        result[y - top, x - left] = value
    return result


def test_all_eight(turned):
    degrees, mirrored, matrix = turned
    image = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(3, 5, 3)
    a, b, c, d = matrix
    orientation = Orientation.of_matrix((a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30))
    upright = orientation.apply(image)
    assert np.array_equal(upright, upright_by_definition(image, matrix))
    assert upright.flags.c_contiguous
    assert (orientation.rotation, orientation.mirrored) == (degrees, mirrored)
    flipped = image[:, ::-1] if mirrored else image
    assert np.array_equal(upright, np.rot90(flipped, -degrees // 90))
    if not mirrored:
        assert Orientation.of_angle(degrees) == orientation
    for x, y in ((0, 0), (4, 1), (2, 2)):
        left, top, _ = (orientation.matrix(5, 3) @ (x, y, 1)).astype(int)
        assert np.array_equal(upright[top, left], image[y, x])


def test_crooked_and_empty_matrices():
    assert Orientation.of_matrix((0,) * 9) == Orientation()
    assert Orientation.of_matrix((65000, 3000, 0, -3000, 65000, 0, 0, 0, 1 << 30)) == Orientation()
    assert Orientation.of_angle(-93).rotation == 270


def test_clip_is_read_upright(clips, turned):
    degrees, mirrored, matrix = turned
    path = clips.make(matrix=matrix, frames=3)
    info = probe(path)
    assert (info.rotation, info.mirrored) == (degrees, mirrored)
    assert (info.width, info.height) == ((48, 64) if degrees % 180 else (64, 48))
    with VideoReader(path) as reader:
        frames = list(reader)
    assert len(frames) == 3
    expected = upright_by_definition(clips.picture(0), matrix)
    assert frames[0].image.shape == expected.shape
    assert np.abs(frames[0].image.astype(int) - expected)[4:-4, 4:-4].mean() < 6


def test_unknown_side_data_falls_back_to_the_angle():
    class Odd:
        rotation = -90

        @property
        def side_data(self):
            raise ValueError("99 is not a valid Type")

    assert Orientation.of_frame(Odd()).rotation == 90
    assert Orientation.of_frame(av.VideoFrame(16, 16, "rgb24")) == Orientation()


@pytest.mark.shared
def test_phone_clip(shared):
    info = probe(shared / "videos/odd/decord_rot90.mov")
    assert (info.width, info.height, info.rotation, info.mirrored) == (320, 568, 90, False)
