"""What is drawn on a frame is encoded as before; the rest of a large frame stays as it was decoded."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from dcpose_cli.pixels import ArrayPixels
from dcpose_cli.video import VideoWriter, probe
from dcpose_cli.video.colour import ToRgb, ToYuv420, plane_samples
from dcpose_cli.video.orientation import Orientation
from dcpose_cli.video.painting import Drawn, Painter
from dcpose_cli.video.planes import PlanePixels

PARTS = [(300, 200, 420, 371), (0, 900, 33, 960), (1270, 5, 1300, 40)]


def decoded(matrix=1, limits=1, pix_fmt="yuv420p"):
    """A frame of 1280x960 with soft colours and grain."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:960, :1280]
    image = np.stack([60 + rows / 10, 60 + columns / 12, 200 - rows / 12], axis=2) + rng.integers(-8, 9, (960, 1280, 1))
    frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")
    frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=limits, interpolation=0x42002)
    frame.colorspace, frame.color_range = matrix, limits
    return frame


def draw(canvas):
    for x0, y0, x1, y1 in PARTS:
        canvas[y0:y1, x0:x1] = (250, 40, 30)
        canvas[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] //= 2


def planes(frame):
    return [plane_samples(plane).astype(int) for plane in frame.planes]


def painted(frame, orientation=None, parts=PARTS):
    shown = PlanePixels(frame, orientation or Orientation(), ToRgb())
    image = shown.rgb().copy()
    draw(image)
    return planes(Painter()(Drawn(shown, parts, draw))), planes(ToYuv420()(image))


def test_only_what_is_drawn_on_is_converted():
    frame = decoded()
    found, whole = painted(frame)
    drawn = np.zeros((960, 1280), bool)
    for x0, y0, x1, y1 in PARTS:
        drawn[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = True
    for step, mine, theirs, before in zip((1, 2, 2), found, whole, planes(frame), strict=True):
        inside = drawn[::step, ::step]
        np.testing.assert_array_equal(mine[inside], theirs[inside])
        far = np.ones_like(inside)
        for x0, y0, x1, y1 in PARTS:
            far[max(0, y0 - 32) // step : (y1 + 32) // step, max(0, x0 - 32) // step : (x1 + 32) // step] = False
        np.testing.assert_array_equal(mine[far], before[far])
        assert np.abs(mine - theirs).max() <= 2


@pytest.mark.parametrize(
    ("frame", "orientation"),
    [
        (decoded(matrix=5), None),
        (decoded(limits=2), None),
        (decoded(pix_fmt="yuv422p"), None),
        (decoded(pix_fmt="yuv420p10le"), None),
        (decoded(), Orientation(flip_y=True)),
    ],
    ids=["BT.601", "full range", "4:2:2", "10 bits", "upside down"],
)
def test_frames_that_are_not_as_they_are_encoded_are_converted_whole(frame, orientation):
    for mine, theirs in zip(*painted(frame, orientation), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_frame_that_is_drawn_on_all_over_is_converted_whole():
    for mine, theirs in zip(*painted(decoded(), parts=[(0, 0, 1280, 700)]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_arrays_are_not_written_to():
    image = np.full((480, 640, 3), 90, np.uint8)
    frame = Painter()(Drawn(ArrayPixels(image), [(5, 5, 60, 60)], lambda canvas: canvas[5:60, 5:60].fill(255)))
    assert (image == 90).all()
    assert planes(frame)[0][30, 30] > 200


def test_frames_of_the_decoder_keep_what_they_show_and_the_encoder_chooses_their_type():
    frame = decoded()
    frame.pict_type = 1
    before = planes(frame)
    shown = PlanePixels(frame, Orientation(), ToRgb())
    made = Painter()(Drawn(shown, PARTS, draw))
    made.pts, made.time_base = 3, Fraction(1, 25)
    assert all(np.array_equal(a, b) for a, b in zip(planes(frame), before, strict=True))
    assert made.pict_type == 0
    assert not np.shares_memory(plane_samples(made.planes[0]), plane_samples(frame.planes[0]))


@pytest.mark.parametrize(("size", "effort"), [((1920, 1080), b"cabac=1 "), ((2560, 1600), b"cabac=0 ")])
def test_large_frames_are_encoded_with_less_effort(clips, size, effort):
    """x264 writes its settings into the stream."""
    info = replace(probe(clips.make()), width=size[0], height=size[1])
    with VideoWriter(clips.folder / "out.mp4", info, audio_from=None) as out:
        out.write(np.zeros((size[1], size[0], 3), np.uint8), 0)
    assert effort in (clips.folder / "out.mp4").read_bytes()


def test_large_frames_are_encoded_to_the_same_bytes_again(clips):
    info = replace(probe(clips.make()), width=2560, height=1600)
    rng = np.random.default_rng(2)
    grain = rng.integers(0, 256, (1600, 2600, 1), np.uint8).repeat(3, axis=2)
    sums = set()
    for number in range(3):
        with VideoWriter(clips.folder / f"{number}.mp4", info, audio_from=None) as out:
            for pts in range(6):
                out.write(np.ascontiguousarray(grain[:, 5 * pts :][:, :2560]), pts)
        sums.add(out.sha256)
    assert len(sums) == 1
