"""A video as a stream of upright RGB frames with reliable times; damage is skipped, flagged and counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.types import DecodeReport, Frame
from dcpose_cli.video.clock import Clock
from dcpose_cli.video.colour import ToRgb
from dcpose_cli.video.decoding import FrameDecoder
from dcpose_cli.video.deinterlace import Deinterlacer
from dcpose_cli.video.hwaccel import NONE, Choice, Decoder, SwitchingDecoder, choose_decoder, open_hardware
from dcpose_cli.video.planes import upright_pixels
from dcpose_cli.video.probe import Probe, choose_stream, probe_fully
from dcpose_cli.video.source import FileState, open_input


class VideoReader:
    """Frames of one video, read once, one at a time in memory.

    start, end: seconds from the first frame of the file; frames with start <= time < end are delivered. Frames before
    `start` are decoded too, so that `Frame.index` always counts from the first frame of the file.
    max_frames: deliver at most so many. first, last: deliver only frames with first <= index < last; the others are
    decoded all the same, so that frames are those that a reader of everything delivers.
    hwaccel: "none", "auto" or a hardware device type that is to decode; it does where it gives what software gives.
    gpu: number of the device that "cuda" means there. deinterlace: "auto" (frames that say they are interlaced), "on"
    (all) or "off". probed: what is known of the video already. HDR (PQ, HLG) is tone-mapped.
    Times begin at 0 with the first frame of the file, whatever its own clock says.
    probed, info: what the file says of itself, all and what others need. clock: from the stamps of the file to times.
    decoded_by: who decodes.
    report: live counts of the decoding.

    Raises, at construction: as `probe`, UsageError for a range that cannot be meant, and DeviceError for hardware
    that was named and is not here. While iterating: InputError when nothing can be decoded, UsageError when no frame
    lies in the range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        max_frames: int | None = None,
        first: int = 0,
        last: int | None = None,
        allow_network: bool = False,
        hwaccel: str = NONE,
        gpu: int | None = None,
        deinterlace: str = "auto",
        probed: Probe | None = None,
    ) -> None:
        require_range(start, end, max_frames)
        self._deinterlacer, self._to_rgb = Deinterlacer(deinterlace), ToRgb()
        self._first, self._last = first, last
        self._path = path
        self._start = start or 0.0
        self._end = end
        self._max_frames = max_frames
        self._allow_network = allow_network
        self._state = FileState.of(path)
        self.probed = probed or probe_fully(path, allow_network=allow_network)
        self.info = self.probed.info
        self.clock = Clock(self.info.time_base, self.info.fps, discontinuous=self.probed.discontinuous)
        self._gpu = gpu
        size = self.probed.stored_width, self.probed.stored_height
        self.decoded_by: Choice = choose_decoder(path, hwaccel, *size, gpu=gpu)
        self._frames = self._damaged = self._errors = self._unread = self._deinterlaced = 0
        self._container: InputContainer | None = None
        self._switching: SwitchingDecoder | None = None
        self._used = False

    @property
    def report(self) -> DecodeReport:
        """Frames delivered, flagged as damaged, and lost, up to now."""
        return DecodeReport(self._frames, self._damaged, self._errors)

    @property
    def input_changed(self) -> bool:
        """Whether the file was written to, or replaced by another one, since this reader was made.

        One that was moved or deleted meanwhile has not changed: what was opened is read to its end.
        """
        now = FileState.of(self._path)
        return now is not None and now != self._state

    @property
    def conversions(self) -> dict[str, str | int]:
        """What was done to the frames given so far: "tone_mapped" ("PQ", "HLG"), "deinterlaced" (how many)."""
        done: dict[str, str | int] = {
            "tone_mapped": self._to_rgb.tone_mapped,
            "deinterlaced": self._deinterlaced,
        }
        return {key: value for key, value in done.items() if value}

    @property
    def hardware_frames(self) -> int:
        """Frames that the hardware has decoded, those before the range too."""
        return self._switching.done if self._switching is not None else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; an iteration under way ends with its current frame."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames. Raises UsageError on a second iteration: open a new reader."""
        if self._used:
            raise UsageError("was read already", path=self._path, hint="open a new VideoReader")
        self._used = True
        return self._until_ended()

    def _until_ended(self) -> Iterator[Frame]:
        try:
            yield from self._read()
        finally:
            self.clock.ended = True

    def _read(self) -> Iterator[Frame]:
        self.probed = replace(self.probed, first=None)  # it has been seen, and would be kept to the end
        decoder = self._decoder()
        decoded = skipped_errors = 0
        last_stamp = 0
        for index, (picture, damaged) in enumerate(self._deinterlacer(decoder.frames())):
            decoded, last_stamp = index + 1, index if picture.pts is None else picture.pts
            pts = self.clock.next(picture.pts)
            moment = float(pts * self.info.time_base)
            if self._end is not None and moment >= self._end:
                return self._require_some(decoded)
            if moment < self._start:
                skipped_errors = decoder.errors
                continue
            self._errors = decoder.errors - skipped_errors + self._unread
            if index < self._first:
                continue
            if self._last is not None and index >= self._last:
                return None
            frame = self._convert(picture, index, pts, damaged)
            if frame is None:
                continue
            self._frames += 1
            self._damaged += frame.damaged
            self._deinterlaced += self._deinterlacer.changed
            yield frame
            if self._container is None or self._frames == self._max_frames:
                return None
        lost = self._lost(decoded, last_stamp)
        self._errors = max(decoder.errors + self._unread, lost) - skipped_errors
        return self._require_some(decoded)

    def _decoder(self) -> Decoder:
        device = self.decoded_by.device
        if device is None:
            return self._software()
        self._switching = SwitchingDecoder(
            lambda: self._begin(*open_hardware(self._path, device, self._gpu)), self._software
        )
        return self._switching

    def _software(self) -> FrameDecoder:
        container = open_input(self._path, allow_network=self._allow_network)
        return self._begin(container, choose_stream(container, self._path))

    def _begin(self, container: InputContainer, stream: VideoStream) -> FrameDecoder:
        """A decoder of this stream, which takes the place of the one before."""
        self.close()
        self._container, self._stream = container, stream
        return FrameDecoder(container, stream)

    def _convert(self, picture: av.VideoFrame, index: int, pts: int, damaged: bool) -> Frame | None:
        """The upright frame; None when its pixel format cannot be converted."""
        try:
            size = self.probed.stored_width, self.probed.stored_height
            pixels = upright_pixels(picture, size, self.probed.orientation, self._to_rgb)
        except (av.FFmpegError, ValueError):
            self._unread += 1
            self._errors += 1
            return None
        return Frame(index, pts, float(pts * self.info.time_base), pixels, damaged)

    def _lost(self, decoded: int, last_stamp: int) -> int:
        """Frames the container lists, within the range asked for, that were not decoded; 0 where it keeps no list."""
        stream = self._stream
        format_name = stream.container.format.name
        listed = decoded
        if "mov" in format_name:
            limit = None if self._end is None else self.info.start_pts + self._end / float(self.info.time_base)
            entries = (e for e in stream.index_entries if not e.is_discard)
            listed = sum(1 for e in entries if limit is None or e.timestamp < limit)
        elif format_name == "avi" and self._end is None and self.info.fps == 1 / self.info.time_base:
            # AVI stamps are frame numbers, and a recorder may leave numbers out: only a missing tail is a loss.
            listed = decoded + max(0, stream.frames - 1 - last_stamp)
        lost = listed - decoded
        # One frame less without any complaint of the decoder is how encoders end streams, not damage.
        return lost if lost > 1 else 0

    def _require_some(self, decoded: int) -> None:
        if self._frames or self._first:
            return
        if decoded == 0 or self._errors:
            raise InputError("not a single frame can be decoded: the file is damaged", path=self._path)
        raise UsageError(
            f"no frame lies in the range asked for: it is {self._length(decoded)} long",
            path=self._path,
            hint="lower the start",
        )

    def _length(self, decoded: int) -> str:
        seconds = self.info.duration or (decoded / float(self.info.fps) if self.info.fps else None)
        return f"{decoded} frames" if seconds is None else f"{seconds:.1f} s"


def require_range(start: float | None, end: float | None, max_frames: int | None) -> None:
    """Raises UsageError for a range, in seconds, or a number of frames that cannot be."""
    # Written so that NaN fails too.
    if start is not None and not 0 <= start < float("inf"):
        raise UsageError(f"start {start} is not a time", hint="give seconds from 0")
    if end is not None and not (start or 0.0) < end < float("inf"):
        raise UsageError(f"end {end} is not after the start", hint="give seconds later than it")
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"a limit of {max_frames} frames leaves nothing", hint="give 1 or more")
