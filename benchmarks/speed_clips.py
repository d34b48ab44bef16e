"""Clips for `speed.py` that anybody can make again: people of the sample clips on ground that moves.

"crowd": 15 people of 170 to 270 pixels at 1280x720. "4k": one person of 1300 pixels at 3840x2160. The people walk on
the spot and sway, so that each stays in the picture and has boxes that change. Everything follows from the number of
the frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from crowd import Picture, cutouts

from dcpose_cli.types import VideoInfo
from dcpose_cli.video.writer import VideoWriter

FPS: Final = 25
_SAMPLES: Final = Path(__file__).resolve().parents[1] / "sample_videos"
#: Pixels that the ground moves by from frame to frame, as a share of the width.
_PACE: Final = 0.002
_FRAMES_A_CUTOUT: Final = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """width, height: of the picture in pixels. rows, columns: of people. tall: height of those in the first and in the
    last row, as shares of the height of the picture. frames: of the clip, where nothing else is asked for."""

    width: int
    height: int
    rows: int
    columns: int
    tall: tuple[float, float]
    frames: int

    @property
    def people(self) -> int:
        return self.rows * self.columns


SCENES: Final = {
    "crowd": Scene(1280, 720, 3, 5, (0.24, 0.38), 96),
    "4k": Scene(3840, 2160, 1, 1, (0.6, 0.6), 48),
}


def make_clip(name: str, folder: Path, frames: int | None = None) -> Path:
    """Write the clip of a scene into a folder -> its path. The same bytes each time with the same libraries."""
    scene, path = SCENES[name], folder / f"{name}.mp4"
    count = frames or scene.frames
    info = VideoInfo(
        path=path,
        width=scene.width,
        height=scene.height,
        rotation=0,
        mirrored=False,
        sample_aspect_ratio=Fraction(1),
        time_base=Fraction(1, FPS),
        fps=Fraction(FPS),
        frame_count=count,
        duration=count / FPS,
        start_time=0.0,
        codec="h264",
        pix_fmt="yuv420p",
        stream_index=0,
        has_audio=False,
    )
    with VideoWriter(path, info, audio_from=None, overwrite=True) as writer:
        for number, picture in enumerate(pictures(scene, cutouts(_SAMPLES), count)):
            writer.write(picture, number)
    return path


def pictures(scene: Scene, people: list[list[Picture]], count: int) -> Iterator[Picture]:
    """The frames of a scene, (H, W, 3) uint8 RGB. people: see `cutouts`; they come again where the scene has more."""
    ground = _ground(scene, count)
    for number in range(count):
        left = number * max(1, round(_PACE * scene.width))
        picture = ground[:, left : left + scene.width].copy()
        for place in range(scene.people):
            _paste(picture, scene, people[place % len(people)], place, number)
        yield picture


def _ground(scene: Scene, count: int) -> Picture:
    rng = np.random.default_rng(5)
    width = scene.width + count * max(1, round(_PACE * scene.width))
    coarse = rng.integers(90, 170, (9, 9 * width // scene.width, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, scene.height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 5, (scene.height, width, 1)).astype(np.float32)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def _paste(picture: Picture, scene: Scene, looks: list[Picture], place: int, number: int) -> None:
    row, column = divmod(place, scene.columns)
    down = (row + 1) / scene.rows
    tall = scene.tall[0] + (scene.tall[1] - scene.tall[0]) * row / max(1, scene.rows - 1)
    look = looks[(place + number // _FRAMES_A_CUTOUT) % len(looks)]
    scale = tall * scene.height / look.shape[0]
    look = cv2.resize(look, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    sway = 0.05 * tall * scene.height * math.sin(0.2 * number + place)
    x = round((column + 0.5 + 0.25 * (row % 2)) * scene.width / (scene.columns + 0.25) + sway - look.shape[1] / 2)
    y = round(down * 0.95 * scene.height - look.shape[0])
    x0, y0 = max(0, x), max(0, y)
    target = picture[y0 : y + look.shape[0], x0 : x + look.shape[1]]
    part = look[y0 - y :, x0 - x :][: target.shape[0], : target.shape[1]]
    share = part[..., 3:].astype(np.float32) / 255
    target[:] = np.rint(target * (1 - share) + part[..., :3] * share).astype(np.uint8)
