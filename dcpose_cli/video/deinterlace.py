"""Interlaced frames as progressive ones: a frame keeps its number and time; its second field is interpolated away."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
from av.filter import Graph

from dcpose_cli.errors import UsageError

#: What `--deinterlace` can be: frames that say they are interlaced, every frame, none.
MODES: Final = ("auto", "on", "off")
_TICK: Final = Fraction(1, 1000)

_Item = tuple[av.VideoFrame, bool]


def require_mode(mode: str) -> str:
    """`mode` itself. Raises UsageError when it is none of MODES."""
    if mode not in MODES:
        raise UsageError(f"unknown --deinterlace {mode!r:.40}", hint=f"use {', '.join(MODES)}")
    return mode


class Deinterlacer:
    """Passes decoded frames on, interlaced ones through FFmpeg's bwdif; one frame late from the first such frame on.

    mode: one of MODES. changed: whether the frame that was given last was deinterlaced.
    """

    def __init__(self, mode: str = "auto") -> None:
        self._mode = require_mode(mode)
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._waiting: deque[tuple[int | None, Fraction | None, bool, bool]] = deque()
        self._pushed = 0
        self.changed = False

    def __call__(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """(frame, damaged) pairs, in order, to as many pairs."""
        for picture, damaged in items:
            interlaced = self._mode == "on" or (self._mode == "auto" and picture.interlaced_frame)
            if self._graph is None and not interlaced:
                yield picture, damaged
                continue
            shape = (picture.width, picture.height, picture.format.name)
            if shape != self._shape:
                yield from self._flush()
                self._begin(picture, shape)
            yield from self._push(picture, damaged, interlaced)
        yield from self._flush()

    def _begin(self, picture: av.VideoFrame, shape: tuple[int, int, str]) -> None:
        graph = Graph()
        graph.threads = 1
        source = graph.add_buffer(width=shape[0], height=shape[1], format=picture.format, time_base=_TICK)
        which = "all" if self._mode == "on" else "interlaced"
        deinterlace = graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
        # Back to the format of the decoder, where the filter takes another.
        back = graph.add("format", shape[2])
        sink = graph.add("buffersink")
        source.link_to(deinterlace)
        deinterlace.link_to(back)
        back.link_to(sink)
        graph.configure()
        self._graph, self._shape = graph, shape

    def _push(self, picture: av.VideoFrame, damaged: bool, interlaced: bool) -> Iterator[_Item]:
        assert self._graph is not None
        self._waiting.append((picture.pts, picture.time_base, damaged, interlaced))
        # Times of the file may be missing or out of order; the filter gets a count.
        picture.pts, picture.time_base = self._pushed, _TICK
        self._pushed += 1
        self._graph.push(picture)
        yield from self._pull()

    def _pull(self) -> Iterator[_Item]:
        while self._graph is not None:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            pts, time_base, damaged, self.changed = self._waiting.popleft()
            frame.pts = pts
            if time_base is not None:
                frame.time_base = time_base
            yield frame, damaged

    def _flush(self) -> Iterator[_Item]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph, self.changed = None, False
