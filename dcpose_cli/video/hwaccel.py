"""Decoding by hardware, where it gives what software gives.

A hardware decoder is used for a video only after its first frames were compared with those of the software decoder, and
only as long as it has nothing to complain of: what damaged streams become is then up to software alone, as ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, zip_longest
from typing import Final, Protocol

import av
import numpy as np
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.video.stream import VideoStream

from dcpose_cli.errors import DeviceError
from dcpose_cli.video.colour import ToRgb
from dcpose_cli.video.decoding import FrameDecoder
from dcpose_cli.video.probe import choose_stream
from dcpose_cli.video.source import is_address, open_input

NONE: Final = "none"
AUTO: Final = "auto"
#: Frames at the beginning of a video that are compared.
CHECK_FRAMES: Final = 8
#: Codecs for which a device is tried; one that decodes none of them is of no use here.
_CODECS: Final = ("h264", "hevc", "vp9", "av1", "mpeg2video", "mjpeg")

log = logging.getLogger(__name__)


class Decoder(Protocol):
    """What FrameDecoder is to those who iterate it."""

    @property
    def errors(self) -> int: ...

    def frames(self) -> Iterator[tuple[av.VideoFrame, bool]]: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What decodes a video. device: type of the hardware device, None for software. reason: why not by hardware."""

    device: str | None = None
    reason: str = ""


def hwaccels() -> list[str]:
    """Types of hardware devices that are on this machine and decode video ("cuda", "vaapi", ...)."""
    return [device for device in hwdevices_available() if _is_here(device)]


def hwaccel_summary() -> str:
    """One line: the hardware decoders that are here, and what this FFmpeg could use besides."""
    here = hwaccels()
    absent = [device for device in hwdevices_available() if device not in here]
    return (", ".join(here) or "none") + (f" (not here: {', '.join(absent)})" if absent else "")


def require_hwaccel(wanted: str) -> None:
    """Raises DeviceError when a device type is asked for by its name and is not here."""
    if wanted in (NONE, AUTO) or (wanted in hwdevices_available() and _is_here(wanted)):
        return
    here = ", ".join(hwaccels()) or "none"
    raise DeviceError(f"no {wanted!r} hardware decoder is here (there is: {here})", hint="use --hwaccel auto or none")


@cache
def _is_here(device: str) -> bool:
    for name in _CODECS:
        try:
            HWAccel(device).create(Codec(name, "r"))
        except (NotImplementedError, UnknownCodecError):  # it is for other codecs
            continue
        except Exception as error:  # drivers fail in ways nobody lists
            log.debug("no %s device: %s", device, error)
            return False
        return True
    return False


def choose_decoder(
    path: str | os.PathLike[str], wanted: str, width: int, height: int, *, gpu: int | None = None
) -> Choice:
    """Who is to decode a video: the hardware that was asked for, if it gives what software gives.

    wanted: "none", "auto" (the first device that takes the stream) or a device type. width, height: stored pixels.
    gpu: number of the CUDA device that "cuda" means, None for the default one. Raises DeviceError as
    `require_hwaccel`.
    """
    if wanted == NONE:
        return Choice()
    require_hwaccel(wanted)
    if is_address(path):
        return Choice(reason="it is not a local file")
    choice = Choice(reason="no hardware decoder is here")
    for device in hwaccels() if wanted == AUTO else [wanted]:
        try:
            choice = _compared(path, device, width, height, gpu)
        except Exception as error:  # as above: whatever it is, software can do it
            log.debug("%s cannot decode %s: %s", device, path, error)
            choice = Choice(reason=f"{device} cannot decode it")
            continue
        if not choice.device:
            log.debug("%s is not used for %s: %s", device, path, choice.reason)
        break
    return choice


def _compared(path: str | os.PathLike[str], device: str, width: int, height: int, gpu: int | None) -> Choice:
    container, stream = open_hardware(path, device, gpu)
    with container, open_input(path) as plain:
        hardware = FrameDecoder(container, stream)
        found = difference(FrameDecoder(plain, choose_stream(plain, path)), hardware, width, height)
    return Choice(reason=f"{device} decodes it otherwise: {found}") if found else Choice(device)


def open_hardware(
    path: str | os.PathLike[str], device: str, gpu: int | None = None
) -> tuple[InputContainer, VideoStream]:
    """A local file, and its video stream with a hardware decoder. Raises what the driver raises, or DeviceError."""
    number = str(gpu) if device == "cuda" and gpu is not None else None
    container = open_input(path, hwaccel=HWAccel(device, number, allow_software_fallback=False))
    try:
        stream = choose_stream(container, path)
        if not stream.codec_context.is_hwaccel:
            raise DeviceError(f"{device} does not decode {stream.codec_context.name}")
    except BaseException:
        container.close()
        raise
    return container, stream


def difference(software: Decoder, hardware: Decoder, width: int, height: int) -> str:
    """In what the first CHECK_FRAMES frames of two decoders differ: pixels as RGB, times, damage. "" for nothing."""
    one, other = ToRgb(), ToRgb()
    heads = (islice(decoder.frames(), CHECK_FRAMES) for decoder in (software, hardware))
    for number, (expected, found) in enumerate(zip_longest(*heads)):
        if expected is None or found is None:
            return f"another number of frames ({number})"
        if expected[1] or found[1] or software.errors or hardware.errors:
            return f"damage at frame {number}"
        if expected[0].pts != found[0].pts:
            return f"another time of frame {number}"
        if not np.array_equal(one(expected[0], width, height), other(found[0], width, height)):
            return f"other pixels in frame {number}"
    return ""


class SwitchingDecoder:
    """The frames of a hardware decoder up to its first complaint, and those of a software decoder from there on.

    hardware, software: each opens its decoder, at the beginning of the video. done: frames of the hardware so far.
    errors: of the software; the hardware's are never seen.
    """

    def __init__(self, hardware: Callable[[], Decoder], software: Callable[[], Decoder]) -> None:
        self._hardware, self._software = hardware, software
        self._at_work: Decoder | None = None
        self.done = 0

    @property
    def errors(self) -> int:
        """Places lost so far."""
        return self._at_work.errors if self._at_work is not None else 0

    def frames(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield (frame, damaged), as FrameDecoder does; iterate once."""
        try:
            decoder = self._hardware()
            for picture, damaged in decoder.frames():
                if damaged or decoder.errors:
                    break
                self.done += 1
                yield picture, False
            else:
                if not decoder.errors:
                    return
        except Exception as error:  # as above
            log.debug("the hardware decoder failed after %d frames: %s", self.done, error)
        log.debug("software goes on after %d frames", self.done)
        decoder = self._at_work = self._software()
        yield from islice(decoder.frames(), self.done, None)
