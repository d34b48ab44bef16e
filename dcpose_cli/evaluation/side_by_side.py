"""One video that shows several results of the same clip next to each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ..config import EstimateConfig
from ..files import AtomicFile
from ..render import draw_people
from ..results import read_posetrack
from ..types import FrameResult
from ..video.opening import open_file
from ..video.writer import VideoWriter

#: Largest width and height of the whole picture, pixels.
_ROOM: Final = (1920, 1080)
_BAR: Final = (24, 24, 28)
_INK: Final = (240, 240, 240)


@dataclass(frozen=True, slots=True)
class Grid:
    """Panels in rows and columns. panel: width and height of each picture, bar: height of the line above it, pixels."""

    columns: int
    rows: int
    panel: tuple[int, int]
    bar: int


def plan_grid(count: int, size: tuple[int, int]) -> Grid:
    """The grid of `count` panels that shows frames of `size` (width, height) largest; nothing is enlarged."""
    best: Grid | None = None
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        bar = 2 * max(12, round(0.022 * _ROOM[1] / rows) + 6)
        scale = min(1.0, _ROOM[0] / columns / size[0], (_ROOM[1] / rows - bar) / size[1])
        panel = (max(2, 2 * round(scale * size[0] / 2)), max(2, 2 * round(scale * size[1] / 2)))
        grid = Grid(columns, rows, panel, bar)
        empty, best_empty = columns * rows - count, 0 if best is None else best.columns * best.rows - count
        if best is None or (panel[0], -empty) > (best.panel[0], -best_empty):
            best = grid
    assert best is not None
    return best


def write_side_by_side(
    video: Path,
    results: Sequence[tuple[str, Path]],
    out: Path,
    config: EstimateConfig,
    *,
    publish: Callable[[AtomicFile], None] = AtomicFile.commit,
) -> list[str]:
    """Draw the results (title, PoseTrack JSON of ours) of `video` beside each other; returns warnings about the sound.

    publish: gives the finished file its name, with others perhaps.
    Raises InputError, OutputError or UsageError.
    """
    people = [{frame.index: frame for frame in read_posetrack(path).frames} for _, path in results]
    titles = [title for title, _ in results]
    with open_file(
        video, start=config.start, end=config.end, max_frames=config.max_frames, allow_network=config.allow_network
    ) as reader:
        writer = VideoWriter(
            out,
            reader.info,
            audio_from=video if config.audio and reader.info.has_audio else None,
            start=config.start,
            end=config.end,
            cut=config.max_frames is not None,
            clock=reader.clock,
            overwrite=config.overwrite,
            allow_network=config.allow_network,
        )
        grid: Grid | None = None
        with writer:
            for frame in reader:
                grid = grid or plan_grid(len(titles), (frame.image.shape[1], frame.image.shape[0]))
                shown = [found.get(frame.index) for found in people]
                writer.write(compose(frame.image, titles, shown, grid, config.kpt_thr), frame.pts)
            publish(writer.finish())
    return writer.warnings


def compose(
    image: NDArray[np.uint8],
    titles: Sequence[str],
    results: Sequence[FrameResult | None],
    grid: Grid,
    kpt_thr: float,
) -> NDArray[np.uint8]:
    """One picture: the frame (H, W, 3) uint8 RGB once per result, its people drawn over it, its title above."""
    width, height = grid.panel
    canvas = np.empty((grid.rows * (height + grid.bar), grid.columns * width, 3), np.uint8)
    canvas[:] = _BAR
    for number, (title, result) in enumerate(zip(titles, results, strict=True)):
        drawn = draw_people(image, result.people if result else (), kpt_thr=kpt_thr)
        top, left = number // grid.columns * (height + grid.bar), number % grid.columns * width
        canvas[top + grid.bar : top + grid.bar + height, left : left + width] = cv2.resize(
            drawn, (width, height), interpolation=cv2.INTER_AREA
        )
        _write(canvas[top : top + grid.bar, left : left + width], title)
    return canvas


def _write(bar: NDArray[np.uint8], text: str) -> None:
    """A title, as large as the bar allows."""
    height, width = bar.shape[:2]
    plain = text.encode("ascii", "replace").decode()  # OpenCV's font has nothing else
    scale = 0.55 * height / 21
    (length, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, (width - height) / max(length, 1))
    where = (height // 2, round(height / 2 + 10.5 * scale))
    cv2.putText(bar, plain, where, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, max(1, round(1.4 * scale)), cv2.LINE_AA)
