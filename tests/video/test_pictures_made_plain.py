"""HDR is shown as its SDR version, interlaced frames as progressive ones; both are said."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.video import VideoReader
from dcpose_cli.video.sample import VideoSample
from dcpose_cli.video.tonemap import tone_mapped

BT709_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
LUMA = np.array([0.2627, 0.6780, 0.0593])
CODES = {"PQ": 16, "HLG": 18}


def signal(light, transfer):
    """BT.2100 signal of display light in cd/m2."""
    if transfer == "PQ":
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = (np.maximum(light, 0) / 10_000) ** m1
        return ((c1 + c2 * power) / (1 + c3 * power)) ** m2
    display = np.maximum(light, 0) / 1000
    scene = display * np.maximum(display @ LUMA, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def hdr_of(image, transfer):
    """(H, W, 3) uint8 SDR, its white at 203 cd/m2, to BT.2020 HDR as 16 bits."""
    light = (image / 255) ** 2.4 @ BT709_TO_BT2020.T * 203
    return np.round(signal(light, transfer) * 65535).astype(np.uint16)


def save_hdr(path, images, transfer, *, matrix=9):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        context = stream.codec_context
        context.height, context.width, context.pix_fmt = *images[0].shape[:2], "yuv420p10le"
        context.color_trc, context.color_primaries, context.colorspace = CODES[transfer], 9, matrix
        context.color_range = 1
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(hdr_of(image, transfer), format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1, interpolation=0x42002)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.colorspace = matrix
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", [9, 2], ids=["BT.2020", "no matrix named"])
@pytest.mark.parametrize("transfer", CODES)
def test_hdr_looks_like_its_sdr_version(clips, transfer, matrix):
    images = [clips.picture(index) for index in range(3)]
    with VideoReader(save_hdr(clips.folder / "hdr.mkv", images, transfer, matrix=matrix)) as video:
        frames = list(video)
        assert video.conversions == {"tone_mapped": transfer}
    for frame, image in zip(frames, images, strict=True):
        for top, left in ((0, 0), (0, 32), (24, 0), (24, 32)):  # chroma is shared across the edges of the quarters
            inner = np.s_[top + 4 : top + 20, left + 4 : left + 28]
            assert np.abs(frame.image.astype(int) - image)[inner].max() <= 5


@pytest.mark.parametrize("transfer", CODES)
def test_light_above_white_is_compressed_in_order_and_keeps_its_hue(transfer):
    light = np.array([20.0, 100, 162, 203, 400, 700, 4000 if transfer == "PQ" else 800])[:, None] * [1.0, 0.6, 0.3]
    planes = np.round(signal(light[None], transfer).clip(0, 1) * 65535).astype(np.uint16)
    values = tone_mapped(tuple(np.ascontiguousarray(planes[..., c]) for c in range(3)), CODES[transfer], 1)[0]
    red = values[:, 0].astype(int)
    assert (np.diff(red)[:5] > 0).all()
    assert red[0] == pytest.approx(255 * (20 / 203) ** (1 / 2.4), abs=2)
    assert red[2] == pytest.approx(255 * (162 / 203) ** (1 / 2.4), abs=2)
    assert 220 <= red[3] <= 248
    assert red[5] >= 250
    ratios = (values[:6, 1] / values[:6, 0]) ** 2.4
    assert ratios == pytest.approx(0.6, abs=0.03)


def test_sdr_stays_as_it_is(clips):
    with VideoReader(clips.make(colour=(1, 1))) as video:
        assert np.abs(next(iter(video)).image.astype(int) - clips.picture(0)).mean() < 4
        assert video.conversions == {}


def moving(number):
    """A bar that moves three pixels per field, on a ground with detail."""
    image = np.full((120, 160, 3), 60, np.uint8)
    image[:, ::16] = 30
    image[30:90, 20 + 3 * number : 40 + 3 * number] = (230, 200, 40)
    return image


def combs(image):
    """How much lines differ from the mean of the lines above and below them."""
    lines = image.astype(float).mean(axis=2)
    return np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2)[32:84].mean()


def save_interlaced(path, frames=12, flagged=True, first=0):
    """Frames of two fields each; flagged: they say so, from frame `first` on."""
    extra = {"flags": "+ilme+ildct", "x264-params": "interlaced=1"} if flagged else {}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(
            "libx264", rate=25, options={"crf": "2", "preset": "ultrafast", "threads": "1", **extra}
        )
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 160, 120, "yuv420p"
        for index in range(frames):
            woven = moving(2 * index)
            woven[1::2] = moving(2 * index + 1)[1::2]
            frame = av.VideoFrame.from_ndarray(woven).reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("flagged", "mode", "done"),
    [(True, "auto", 12), (False, "auto", 0), (False, "on", 12), (True, "off", 0)],
)
def test_interlaced_frames_have_no_combs_and_keep_number_and_time(clips, flagged, mode, done):
    source = save_interlaced(clips.folder / "in.mp4", flagged=flagged)
    with VideoReader(source, deinterlace=mode) as video:
        frames = list(video)
        assert video.conversions == ({"deinterlaced": done} if done else {})
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(12)])
    limit = 1.5 * max(combs(moving(number)) for number in range(24)) + 1
    for frame in frames:
        assert (combs(frame.image) < limit) == bool(done)
    if done:
        for frame in frames:
            fields = (moving(2 * frame.index + field).astype(int) for field in (0, 1))
            assert min(np.abs(frame.image - field)[32:88].mean() for field in fields) < 4


def test_a_sample_of_an_interlaced_video_is_deinterlaced(clips):
    source = save_interlaced(clips.folder / "in.mp4")
    with VideoReader(source) as video:
        sample = VideoSample.of(source, video.info, probed=video.probed)
        first = next(iter(video)).image
    assert np.array_equal(next(sample.read()).rgb(), first)


def test_frames_that_become_interlaced_midway_are_all_there(clips):
    parts = [save_interlaced(clips.folder / f"{flag}.h264", 6, flagged=flag).read_bytes() for flag in (False, True)]
    joined = clips.folder / "joined.h264"
    joined.write_bytes(b"".join(parts))
    with VideoReader(joined) as video:
        frames = list(video)
        assert video.conversions == {"deinterlaced": 6}
    assert [frame.index for frame in frames] == list(range(12))
    assert combs(frames[2].image) > 4 > 2 * combs(frames[9].image)


def test_deinterlaced_frames_before_the_range_are_not_counted(clips):
    source = save_interlaced(clips.folder / "in.mp4")
    with VideoReader(source, start=0.2, end=0.36) as video:
        assert [frame.index for frame in video] == [5, 6, 7, 8]
        assert video.conversions == {"deinterlaced": 4}


def test_an_unknown_mode_is_refused(clips):
    with pytest.raises(UsageError, match="auto, on, off"):
        VideoReader(clips.make(), deinterlace="maybe")


def test_summary_and_header_say_what_was_done(clips, dcpose, tmp_path):
    hdr = save_hdr(clips.folder / "hdr.mkv", [clips.picture(0)] * 2, "HLG")
    interlaced = save_interlaced(clips.folder / "interlaced.mp4", 2)
    for source, says, header in (
        (hdr, "HDR (HLG) was tone-mapped", {"tone_mapped": "HLG"}),
        (interlaced, "2 interlaced frames were deinterlaced", {"deinterlaced": 2}),
    ):
        done = dcpose("export", source, "-o", tmp_path / f"{source.stem}.json", *dcpose.models)
        assert done.returncode == 0, done.stderr
        assert says in done.stderr
        assert json.loads((tmp_path / f"{source.stem}.json").read_text())["dcpose"]["pictures"] == header
    assert dcpose("export", hdr, "-o", tmp_path / "x.json", "--deinterlace", "no").returncode == 2
