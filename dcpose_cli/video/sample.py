"""A few frames of a video, from which automatic choices are made before it is analysed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av

from dcpose_cli.pixels import Pixels
from dcpose_cli.types import VideoInfo
from dcpose_cli.video.colour import ToRgb
from dcpose_cli.video.opening import open_file
from dcpose_cli.video.planes import upright_pixels
from dcpose_cli.video.probe import Probe

#: Frames of a sample, spread over so many seconds.
FRAMES: Final = 3
SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class VideoSample:
    """Where the sample of a video is read, when it is needed; the range is that of the analysis.

    width, height: of the upright frames, pixels. pixel_aspect: width of a pixel over its height. probed: what a
    reader of the video has found out, which takes as long as decoding some frames.
    """

    path: str | os.PathLike[str]
    width: int
    height: int
    pixel_aspect: float = 1.0
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    allow_network: bool = False
    probed: Probe | None = None

    @staticmethod
    def of(
        path: str | os.PathLike[str],
        info: VideoInfo,
        *,
        start: float | None = None,
        end: float | None = None,
        max_frames: int | None = None,
        allow_network: bool = False,
        probed: Probe | None = None,
    ) -> VideoSample:
        """The sample of a video of which this is known."""
        aspect = float(info.sample_aspect_ratio)
        return VideoSample(path, info.width, info.height, aspect, start, end, max_frames, allow_network, probed)

    def read(self) -> Iterator[Pixels]:
        """Up to FRAMES undamaged frames of the first second, decoded by software, each as it is asked for.

        The first one is at hand where a reader has looked at it: then the video is opened for further ones only. Raises
        what `open_file` raises.
        """
        count = 0
        if (first := self._at_hand()) is not None:
            count = 1
            yield first
        began: float | None = None
        with open_file(
            self.path,
            start=self.start,
            end=self.end,
            max_frames=self.max_frames,
            allow_network=self.allow_network,
            probed=self.probed,
        ) as reader:
            for frame in reader:
                began = frame.time if began is None else began
                if frame.time - began > SECONDS:
                    break
                if frame.time - began >= count * SECONDS / FRAMES and not frame.damaged:
                    count += 1
                    yield frame.pixels
                if count == FRAMES:
                    break

    def _at_hand(self) -> Pixels | None:
        probed = self.probed
        if probed is None or probed.first is None or self.start or probed.first.interlaced_frame:
            return None
        try:
            size = probed.stored_width, probed.stored_height
            return upright_pixels(probed.first, size, probed.orientation, ToRgb())
        except (av.FFmpegError, ValueError):  # the reader goes on to one that can be converted
            return None
