"""Large frames are converted where they are looked at: the same pixels as in the whole frame."""

from __future__ import annotations

from fractions import Fraction
from threading import Thread

import av
import cv2
import numpy as np
import pytest
from av.filter import Graph

from dcpose_cli.pixels import ArrayPixels
from dcpose_cli.video.colour import ToRgb
from dcpose_cli.video.orientation import Orientation
from dcpose_cli.video.planes import PlanePixels, upright_pixels

SIZE = (1280, 960)
FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv422p10le", "yuv444p", "nv12", "p010le", "yuv420p10le", "rgb24", "gray")
ORIENTATIONS = [Orientation(t, x, y) for t in (False, True) for x in (False, True) for y in (False, True)]
PARTS = [(0, 0, 70, 50), (301, 203, 640, 517), (900, 700, 1280, 960), (5, 940, 6, 941), (1100, 3, 2000, 80)]


def picture(size=SIZE, pix_fmt="yuv420p", *, matrix=1, limits=1, transfer=None, soft=False, sited="left"):
    """A decoded frame with colours and grain, and edges if not `soft`. matrix, limits, transfer, sited: what it is
    tagged with."""
    width, height = size
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (height // 40 + 1, width // 40 + 1, 3)).astype(np.uint8)
    if soft:
        image = cv2.resize(coarse // 2 + 64, size, interpolation=cv2.INTER_CUBIC).astype(int)
    else:
        image = np.repeat(np.repeat(coarse, 40, 0), 40, 1)[:height, :width].astype(int)
    image[:, : width // 2] += rng.integers(-20, 21, (height, width // 2, 1))
    frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
    frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=limits, interpolation=0x42002)
    frame.colorspace, frame.color_range = matrix, limits
    if sited is not None:
        frame = tagged(frame, f"setparams=chroma_location={sited}")
    if transfer is not None:
        frame.color_trc, frame.color_primaries = transfer, 9
    return frame


def tagged(frame, params):
    """A frame that has gone through the filter `setparams`."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=Fraction(1, 1000),
    )
    name, _, arguments = params.partition("=")
    graph.link_nodes(source, graph.add(name, arguments), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.pull()


def whole(frame):
    """The RGB of a frame, converted at once by the reformatter, without our parts and bands."""
    to_rgb = ToRgb()
    return to_rgb._converted(frame, frame, 0x2 | 0x40000 | 0x2000, frame.width, frame.height)


def pixels(frame, orientation=None):
    found = upright_pixels(frame, (frame.width, frame.height), orientation or Orientation(), ToRgb())
    assert isinstance(found, PlanePixels)
    return found


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_region_has_the_pixels_of_the_whole_frame(pix_fmt):
    frame = picture(pix_fmt=pix_fmt)
    expected = whole(frame)
    for x0, y0, x1, y1 in PARTS:
        np.testing.assert_array_equal(pixels(frame).region((x0, y0, x1, y1)), expected[y0:y1, x0:x1])
    np.testing.assert_array_equal(pixels(frame).rgb(), expected)


@pytest.mark.parametrize(("matrix", "limits"), [(1, 2), (5, 1), (9, 1), (2, 0)])
def test_matrix_and_range_are_those_of_the_whole_frame(matrix, limits):
    frame = picture(matrix=matrix, limits=limits, soft=True)
    expected = whole(frame)
    shown = pixels(frame)
    np.testing.assert_array_equal(shown.region((200, 300, 500, 480)), expected[300:480, 200:500])
    small = shown.scaled(320, 240).astype(int) - cv2.resize(expected, (320, 240), interpolation=cv2.INTER_AREA)
    assert np.abs(small).max() <= 2


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_frames_stand_upright(orientation):
    frame = picture(soft=True)
    expected = orientation.apply(whole(frame))
    shown = pixels(frame, orientation)
    assert shown.shape == expected.shape
    for x0, y0, x1, y1 in PARTS:
        np.testing.assert_array_equal(shown.region((x0, y0, x1, y1)), expected[y0:y1, x0:x1])
    small = cv2.resize(expected, (expected.shape[1] // 4, expected.shape[0] // 4), interpolation=cv2.INTER_AREA)
    found = shown.scaled(small.shape[1], small.shape[0]).astype(int)
    assert np.abs(found - small).max() <= 2
    thumb, every = shown.thumbnail().astype(int), ArrayPixels(expected).thumbnail()
    assert thumb.shape == every.shape
    assert np.corrcoef(thumb.ravel(), every.ravel())[0, 1] > 0.6


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("size", [(640, 480), (320, 240), (480, 360), (300, 225)])
def test_scaling_planes_is_scaling_the_picture(pix_fmt, size):
    """Within two grey levels, a third of one on average; colours of 4:2:0 differ more where they change at an edge."""
    frame = picture(pix_fmt=pix_fmt, soft=True)
    expected = cv2.resize(whole(frame), size, interpolation=cv2.INTER_AREA).astype(int)
    difference = np.abs(pixels(frame).scaled(*size) - expected)
    assert difference.max() <= 2
    assert difference.mean() <= 0.3


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("part", [(300, 202, 540, 900), (900, 100, 1300, 400), (700, 500, 712, 590)])
def test_an_average_of_a_part_is_that_of_the_picture(pix_fmt, part):
    frame = picture(pix_fmt=pix_fmt, soft=True)
    expected = ArrayPixels(whole(frame)).averaged(part, 16, 48).astype(int)
    assert np.abs(pixels(frame).averaged(part, 16, 48) - expected).max() <= 3


def test_averaged_parts_grow_to_whole_samples_of_colour():
    frame = picture(soft=True)
    found = pixels(frame).averaged((301, 203, 539, 899), 16, 48)
    np.testing.assert_array_equal(found, pixels(frame).averaged((300, 202, 540, 900), 16, 48))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_averages_stand_upright(orientation):
    frame = picture(soft=True)
    expected = ArrayPixels(orientation.apply(whole(frame))).averaged((300, 200, 540, 700), 16, 48).astype(int)
    assert np.abs(pixels(frame, orientation).averaged((300, 200, 540, 700), 16, 48) - expected).max() <= 3


def test_little_or_no_scaling_is_done_in_rgb():
    frame = picture()
    expected = cv2.resize(whole(frame), (1000, 750), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(pixels(frame).scaled(1000, 750), expected)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_tone_mapped_in_parts_too(transfer):
    frame = picture(pix_fmt="yuv420p10le", matrix=9, transfer=transfer)
    to_rgb = ToRgb()
    shown = upright_pixels(frame, SIZE, Orientation(), to_rgb)
    expected = whole(frame)
    np.testing.assert_array_equal(shown.region((301, 203, 640, 517)), expected[203:517, 301:640])
    assert to_rgb.tone_mapped == {16: "PQ", 18: "HLG"}[transfer]
    small = cv2.resize(expected, (320, 240), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(shown.scaled(320, 240) - small).mean() < 3


@pytest.mark.parametrize(
    ("size", "stored"),
    [((1281, 961), (1281, 961)), ((1280, 961), (1280, 961)), ((640, 480), (640, 480)), (SIZE, (1600, 1200))],
)
def test_small_and_odd_frames_and_those_of_another_size_are_converted_at_once(size, stored):
    frame = picture(size)
    found = upright_pixels(frame, stored, Orientation(), ToRgb())
    assert isinstance(found, ArrayPixels)
    assert found.shape == (stored[1], stored[0], 3)


def crop_pair(frame, affine, size=(96, 128), orientation=None):
    """A crop as the frame gives it, and one of the whole picture in RGB."""
    orientation = orientation or Orientation()
    part = 0, 0, 2**15, 2**15
    found = pixels(frame, orientation).sampled(affine, size, part)
    return found.astype(int), ArrayPixels(orientation.apply(whole(frame))).sampled(affine, size, part).astype(int)


def affine_of(scale, centre, degrees=0, size=(96, 128)):
    turn = scale * cv2.getRotationMatrix2D((0, 0), degrees, 1)[:, :2]
    return np.concatenate([turn, (np.array(size) / 2 - turn @ np.array(centre))[:, None]], axis=1)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "nv12"])
@pytest.mark.parametrize("scale", [0.15, 0.5, 1.7])
def test_crops_sampled_in_the_planes_are_those_of_the_picture(pix_fmt, scale):
    """They differ by less than half a grey level on average, without a bias."""
    frame = picture(pix_fmt=pix_fmt, soft=True)
    shown = pixels(frame)
    found, expected = crop_pair(frame, affine_of(scale, (610.3, 480.8), 7))
    assert np.abs(found - expected).mean() < 0.5
    assert np.abs((found - expected).mean(axis=(0, 1))).max() < 0.1
    assert np.abs(found - expected).max() <= 3
    shown.prepare((0, 0, 1280, 960))
    shown.sampled(affine_of(scale, (610.3, 480.8), 7), (96, 128), (0, 0, 1280, 960))
    assert not shown._known


@pytest.mark.parametrize(("matrix", "limits"), [(1, 2), (5, 1), (9, 1), (2, 0)])
def test_crops_have_the_matrix_and_range_of_the_frame(matrix, limits):
    found, expected = crop_pair(picture(matrix=matrix, limits=limits, soft=True), affine_of(0.3, (700, 500)))
    assert np.abs(found - expected).mean() < 0.5


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_crops_stand_upright(orientation):
    found, expected = crop_pair(picture(soft=True), affine_of(0.4, (300, 400), 10), orientation=orientation)
    assert np.abs(found - expected).mean() < 0.5


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("limits", [1, 2])
def test_crops_are_black_outside_of_the_frame(pix_fmt, limits):
    frame = picture(pix_fmt=pix_fmt, limits=limits, soft=True)
    found, expected = crop_pair(frame, affine_of(0.25, (1240, 940)))
    assert (found[80:, 70:] == 0).all()
    assert np.abs(found - expected).mean() < 0.5
    assert (crop_pair(frame, affine_of(0.5, (5000, 300)))[0] == 0).all()


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "yuv420p10le", "p010le", "rgb24"])
def test_crops_of_other_formats_are_sampled_in_rgb(pix_fmt):
    frame, affine, part = picture(pix_fmt=pix_fmt), affine_of(0.6, (600, 500)), (500, 350, 700, 650)
    expected = ArrayPixels(whole(frame)).sampled(affine, (96, 128), part)
    np.testing.assert_array_equal(pixels(frame).sampled(affine, (96, 128), part), expected)
    shown = pixels(frame)
    shown.prepare(part)
    (known,) = shown._known
    assert known[0] <= 500
    assert known[3] >= 650


def test_both_layouts_of_the_colours_give_the_same_crops():
    frame = picture()
    affine, part = affine_of(0.3, (600, 500), 20), (0, 0, 1280, 960)
    other = pixels(frame.reformat(format="nv12")).sampled(affine, (96, 128), part)
    np.testing.assert_array_equal(pixels(frame).sampled(affine, (96, 128), part), other)


def test_what_lies_apart_is_converted_apart_and_what_lies_together_at_once():
    shown = pixels(picture())
    shown.region((0, 0, 100, 100))
    shown.region((1100, 800, 1200, 900))
    assert len(shown._known) == 2
    shown.region((100, 20, 200, 90))
    assert len(shown._known) == 2
    shown.region((250, 50, 1150, 900))
    assert list(shown._known) == [(0, 0, 1280, 960)]


def test_parts_that_are_asked_for_one_after_the_other_or_by_several_threads():
    frame = picture()
    expected, shown, wrong = whole(frame), pixels(frame), []

    def look(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            x, y = rng.integers(0, 1200), rng.integers(0, 900)
            x1, y1 = x + rng.integers(1, 300), y + rng.integers(1, 300)
            if not np.array_equal(shown.region((x, y, x1, y1)), expected[y:y1, x:x1]):
                wrong.append((x, y, x1, y1))
            if shown.scaled(320, 240).shape != (240, 320, 3):
                wrong.append("scaled")

    threads = [Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("part", [(-50, -50, 0, 0), (1280, 0, 1400, 50), (20, 30, 20, 90), (-9, -9, -3, 5000)])
def test_parts_outside_of_the_frame_are_empty(part):
    assert pixels(picture()).region(part).size == 0
    assert ArrayPixels(np.zeros((9, 9, 3), np.uint8)).region(part).size == 0
