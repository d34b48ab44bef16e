"""Hardware decoding, with decoders that stand for hardware: what is used, what is compared, when software goes on."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from dcpose_cli.errors import DeviceError
from dcpose_cli.video import VideoReader, hwaccel, reader
from dcpose_cli.video.hwaccel import CHECK_FRAMES, Choice, SwitchingDecoder, choose_decoder, difference
from dcpose_cli.video.probe import choose_stream
from dcpose_cli.video.source import open_input

SIZE = 64, 48


@pytest.fixture
def devices(monkeypatch):
    """Says what devices FFmpeg knows, what each makes of a file, and records which were opened, for which GPU.

    A device is a function from the path asked for to the file whose frames it gives, or an error, or None when it is
    not on this machine.
    """
    opened = []

    def here(**kinds):
        def open_hardware(path, device, gpu=None):
            opened.append((device, gpu))
            found = kinds[device]
            if isinstance(found, Exception):
                raise found
            container = open_input(found(path))
            return container, choose_stream(container, path)

        monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: list(kinds))
        monkeypatch.setattr(hwaccel, "_is_here", lambda device: kinds[device] is not None)
        for room in (hwaccel, reader):
            monkeypatch.setattr(room, "open_hardware", open_hardware)
        return opened

    return here


def same(path):
    return path


def read(path, **options):
    """Frames, report, who decoded, and how many frames hardware decoded."""
    with VideoReader(path, **options) as video:
        frames = list(video)
        return frames, video.report, video.decoded_by, video.hardware_frames


def assert_equal(one, other):
    assert [(f.index, f.pts, f.damaged) for f in one[0]] == [(f.index, f.pts, f.damaged) for f in other[0]]
    for mine, theirs in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(mine.image, theirs.image)
    assert one[1] == other[1]


def test_none_is_the_default(clips, devices):
    opened = devices(cuda=same)
    assert read(clips.make())[2:] == (Choice(), 0)
    assert opened == []


def test_nothing_here(clips, devices):
    devices(cuda=None, vaapi=None)
    path = clips.make()
    frames, report, choice, count = read(path, hwaccel="auto")
    assert (choice.device, count) == (None, 0)
    assert_equal((frames, report), read(path))
    assert hwaccel.hwaccel_summary() == "none (not here: cuda, vaapi)"
    with pytest.raises(DeviceError, match=r"no 'cuda' hardware decoder is here \(there is: none\)"):
        VideoReader(path, hwaccel="cuda")
    with pytest.raises(DeviceError, match="'abacus'"):
        VideoReader(path, hwaccel="abacus")


def test_devices_of_this_machine():
    """Whatever it has: each is opened for real, and what is listed can be asked for."""
    for device in hwaccel.hwaccels():
        hwaccel.require_hwaccel(device)
    assert set(hwaccel.hwaccels()) <= set(hwaccel.hwdevices_available())
    with pytest.raises(DeviceError, match="abacus"):
        hwaccel.require_hwaccel("abacus")


@pytest.mark.parametrize("device", hwaccel.hwdevices_available())
def test_real_devices_change_nothing(clips, device):
    """Opened through PyAV, not through a stand-in: on a machine without them the fall-back, else the comparison."""
    path = clips.make()
    if device not in hwaccel.hwaccels():
        with pytest.raises(Exception, match=r"\S"):
            hwaccel.open_hardware(path, device, 0)
    assert_equal(read(path, hwaccel="auto"), read(path))


def test_equal_frames_are_used(clips, devices):
    opened = devices(vdpau=None, cuda=same, vaapi=same)
    path = clips.make(matrix=(0, 1, -1, 0))
    found = read(path, hwaccel="auto", gpu=2)
    assert found[2:] == (Choice("cuda"), 12)
    assert opened == [("cuda", 2)] * 2
    assert_equal(found, read(path))
    assert read(path, hwaccel="vaapi")[2:] == (Choice("vaapi"), 12)
    assert hwaccel.hwaccel_summary() == "cuda, vaapi (not here: vdpau)"


def test_a_range_is_the_same_range(clips, devices):
    devices(cuda=same)
    path = clips.make()
    for part in ({"start": 0.2}, {"end": 0.2}, {"first": 3, "last": 7}, {"start": 0.1, "max_frames": 2}):
        assert_equal(read(path, hwaccel="cuda", **part), read(path, **part))


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"codec": "libx264", "options": {"crf": "40"}}, "other pixels in frame 0"),
        ({"frames": 5}, "another number of frames (5)"),
        ({"pts": [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]}, "another time of frame 4"),
    ],
)
def test_other_frames_are_not_used(clips, devices, wanted, changed, reason):
    path, other = clips.make(), clips.make("other.mp4", **changed)
    devices(cuda=lambda path: other)
    found = read(path, hwaccel=wanted)
    assert found[2].device is None
    assert found[2].reason == f"cuda decodes it otherwise: {reason}"
    assert_equal(found, read(path))
    assert found[3] == 0


@pytest.mark.parametrize("error", [av.error.ExternalError(1, "no driver"), RuntimeError("no stream"), MemoryError()])
def test_whatever_fails_software_decodes(clips, devices, error):
    devices(cuda=error)
    path = clips.make()
    for wanted in ("auto", "cuda"):
        found = read(path, hwaccel=wanted)
        assert found[2:] == (Choice(reason="cuda cannot decode it"), 0)
        assert_equal(found, read(path))


def test_auto_goes_on_to_the_next_device(clips, devices):
    opened = devices(cuda=RuntimeError("not this codec"), vaapi=same)
    assert choose_decoder(clips.make(), "auto", *SIZE) == Choice("vaapi")
    assert opened == [("cuda", None), ("vaapi", None)]


def test_failure_after_the_comparison(clips, devices):
    path = clips.make()
    devices(cuda=same)
    with VideoReader(path, hwaccel="cuda") as video:
        devices(cuda=RuntimeError("the card fell off"))
        assert len(list(video)) == 12
        assert video.hardware_frames == 0


def damaged_copy(path, name, at):
    """A copy with some bytes zeroed, `at` of the file's length."""
    copy = path.with_name(name)
    data = bytearray(path.read_bytes())
    begin = int(len(data) * at)
    data[begin : begin + 400] = bytes(400)
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("container", ["ts", "mkv"])
def test_damage_is_for_software(clips, devices, container):
    """The hardware complains in the middle; the frames, flags and counts are those of software alone."""
    whole = clips.make(f"whole.{container}", frames=60, size=(320, 240), options={"g": "12", "crf": "10"})
    hurt = damaged_copy(whole, f"hurt.{container}", 0.6)
    devices(cuda=same)
    expected = read(hurt)
    assert expected[1].damaged + expected[1].errors > 0
    found = read(hurt, hwaccel="cuda")
    assert CHECK_FRAMES < found[3] < 60
    assert_equal(found, expected)
    # A hardware decoder that stumbles over a file in which nothing is wrong.
    devices(cuda=lambda path: whole)
    with VideoReader(whole, hwaccel="cuda") as video:
        devices(cuda=lambda path: hurt)
        frames = list(video)
        assert CHECK_FRAMES < video.hardware_frames < 60
        assert_equal((frames, video.report), read(whole))


class Fake:
    """A decoder of flat grey pictures with the given levels; errors: how many it has after each."""

    def __init__(self, levels, *, damaged=(), errors=None, fail=None, pts=None):
        self.errors = 0
        self._levels, self._damaged, self._counts, self._fail = levels, damaged, errors or {}, fail
        self._pts = pts or range(len(levels))

    def frames(self):
        for number, level in enumerate(self._levels):
            self.errors = self._counts.get(number, self.errors)
            if number == self._fail:
                raise RuntimeError("driver")
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            picture.pts, picture.time_base = self._pts[number], Fraction(1, 25)
            yield picture, number in self._damaged
        self.errors = self._counts.get(len(self._levels), self.errors)


LEVELS = list(range(10, 130, 10))


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        (Fake(LEVELS), ""),
        (Fake([*LEVELS[:CHECK_FRAMES], 0, 0, 0]), ""),  # behind the frames that are compared
        (Fake([*LEVELS[:5], 61, *LEVELS[6:]]), "other pixels in frame 5"),
        (Fake(LEVELS[:3]), "another number of frames (3)"),
        (Fake(LEVELS, pts=[0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]), "another time of frame 4"),
        (Fake(LEVELS, damaged={2}), "damage at frame 2"),
        (Fake(LEVELS, errors={6: 1}), "damage at frame 6"),
    ],
)
def test_what_is_compared(hardware, expected):
    assert difference(Fake(LEVELS), hardware, *SIZE) == expected


def test_damage_that_both_see_is_for_software():
    assert difference(Fake(LEVELS, damaged={1}), Fake(LEVELS, damaged={1}), *SIZE) == "damage at frame 1"


def levels(decoder):
    return [(int(picture.to_ndarray()[0, 0, 0]), damaged) for picture, damaged in decoder.frames()]


@pytest.mark.parametrize(
    ("hardware", "done"),
    [
        ({}, 12),
        ({"fail": 0}, 0),
        ({"fail": 7}, 7),
        ({"damaged": {4}}, 4),
        ({"errors": {9: 2}}, 9),
        ({"errors": {12: 1}}, 12),
    ],
)
def test_switching(hardware, done):
    """Whatever happens to the hardware, every frame comes once, and damage is what software says."""
    opened = []

    def software():
        opened.append("software")
        return Fake([level + 1 for level in LEVELS], damaged={10}, errors={11: 3})

    decoder = SwitchingDecoder(lambda: Fake(LEVELS, **hardware), software)
    assert decoder.errors == 0
    found = levels(decoder)
    assert found == [(level + (n >= done), n == 10 and done < 12) for n, level in enumerate(LEVELS)]
    assert decoder.done == done
    whole = hardware == {}
    assert opened == ([] if whole else ["software"])
    assert decoder.errors == (0 if whole else 3)


def test_a_decoder_that_does_not_open():
    def broken():
        raise DeviceError("gone")

    decoder = SwitchingDecoder(broken, lambda: Fake(LEVELS))
    assert levels(decoder) == [(level, False) for level in LEVELS]
    assert decoder.done == 0


def test_addresses_are_for_software(devices):
    opened = devices(cuda=same)
    assert choose_decoder("http://127.0.0.1:9/a.mp4", "cuda", *SIZE).device is None
    assert opened == []
