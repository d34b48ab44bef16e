"""Pictures read as VideoReader reads a video: upright frames with times from a frame rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2
from dcpose_cli.errors import InputError
from dcpose_cli.files import printable
from dcpose_cli.pictures import PictureFile, holds_several
from dcpose_cli.sequences import Sequence, sequence_of
from dcpose_cli.types import Frame, VideoInfo
from dcpose_cli.video.orientation import Orientation
from dcpose_cli.video.probe import Probe
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.video.source import FileState

#: Frame rate of pictures for which none is given.
DEFAULT_FPS: Final = Fraction(25)
#: Bytes in which a picture says whether it is animated.
_HEAD_BYTES: Final = 1 << 16


class PictureReader(VideoReader):
    """Frames of a sequence of pictures; used as VideoReader is.

    fps: frames per second, DEFAULT_FPS when not given. Pictures stand as their EXIF data say. Those of another size
    than the first are scaled to it; those that cannot be decoded count as lost. Raises as VideoReader.
    """

    def __init__(
        self,
        sequence: Sequence,
        *,
        fps: Fraction | None = None,
        start: float | None = None,
        end: float | None = None,
        max_frames: int | None = None,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        self._sequence = sequence
        self._other_sizes = 0
        self._states = self._now()
        info = sequence_info(sequence, fps)
        super().__init__(
            sequence.path,
            start=start,
            end=end,
            max_frames=max_frames,
            first=first,
            last=last,
            probed=Probe(info, Orientation(), info.width, info.height),
        )

    @property
    def input_changed(self) -> bool:
        """Whether one of the pictures was written to, or replaced, since this reader was made."""
        return any(now is not None and now != then for now, then in zip(self._now(), self._states, strict=True))

    @property
    def warnings(self) -> list[str]:
        """What a user may not expect of these pictures: left-out numbers, other sizes, animations. After reading."""
        source, said = printable(self._sequence.path), []
        count, first = self._sequence.missing()
        if count:
            said.append(
                f"{source}: {count} missing in the numbers, the first is {first}; the pictures around follow at once"
            )
        if self._other_sizes:
            said.append(
                f"{source}: {self._other_sizes} of another size, scaled to "
                f"{self.info.width}x{self.info.height}, that of the first"
            )
        if holds_several(PictureFile(self._sequence.files[0]).head(_HEAD_BYTES)):
            said.append(
                f"{printable(self._sequence.files[0])} is an animation, of which the first picture was read; "
                "save it as GIF or MP4"
            )
        return said

    def close(self) -> None:
        """End an iteration under way with its current frame."""
        self._closed = True

    def _now(self) -> list[FileState | None]:
        return [FileState.of(path) for path in self._sequence.files]

    def _read(self) -> Iterator[Frame]:
        self._other_sizes = 0
        self._closed, size = False, (self.info.width, self.info.height)
        for index, path in enumerate(self._sequence.files):
            pts = self.clock.next(index)
            moment = float(pts * self.info.time_base)
            if self._end is not None and moment >= self._end:
                break
            if moment < self._start or index < self._first:
                continue
            if self._last is not None and index >= self._last:
                return
            try:
                decoded = PictureFile(path).decode()
            except InputError:
                self._errors += 1
                continue
            image = _scaled(decoded, size)
            self._other_sizes += image is not decoded
            self._frames += 1
            yield Frame(index, pts, moment, image)
            if self._closed or self._frames == self._max_frames:
                return
        self._require_some(len(self._sequence.files))


def sequence_info(sequence: Sequence, fps: Fraction | None = None) -> VideoInfo:
    """What VideoReader says of a video, for pictures. Raises InputError when not one of them can be decoded."""
    rate, count = fps or DEFAULT_FPS, len(sequence.files)
    height, width = _first(sequence).shape[:2]
    return VideoInfo(
        path=sequence.path,
        width=width,
        height=height,
        rotation=0,
        mirrored=False,
        sample_aspect_ratio=Fraction(1),
        time_base=1 / rate,
        fps=rate,
        frame_count=count,
        duration=float(count / rate),
        start_time=0.0,
        codec=sequence.files[0].suffix.lower().lstrip("."),
        pix_fmt="rgb24",
        stream_index=0,
        has_audio=False,
    )


def named_sequence(path: str | os.PathLike[str], fps: Fraction | None = None) -> VideoInfo | None:
    """`sequence_info` of the pictures that a path names; None where it names none."""
    sequence = sequence_of(path)
    return None if sequence is None else sequence_info(sequence, fps)


def _first(sequence: Sequence) -> NDArray[np.uint8]:
    reason: InputError | None = None
    for path in sequence.files:
        try:
            return PictureFile(path).decode()
        except InputError as error:
            reason = reason or error
    assert reason is not None
    raise reason


def _scaled(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
