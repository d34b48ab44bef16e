"""The windows that are measured: whole clips held out of every training by a hash of their names, and the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from damage import KINDS, damaged
from numpy.typing import NDArray

from dcpose_cli.evaluation.sample_truth import TruePerson, read_truth
from dcpose_cli.pose.crop_shape import CropShape
from dcpose_cli.training.data.augment import plain_crops
from dcpose_cli.training.data.damage import motion_direction
from dcpose_cli.training.data.pack import PoseSample, is_held_out, read_parts
from dcpose_cli.training.dcpose.recipe import DataConfig
from dcpose_cli.video.reader import VideoReader

#: Fewer clips than this say nothing.
LEAST_CLIPS = 40
#: Of the sample clips every so many frames, and people at least so tall in pixels.
SAMPLE_EVERY, SAMPLE_HEIGHT = 6, 60
CONDITIONS = ("clean", *KINDS)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One window. previous, following: (H, W, 3) crops. current: the crop by condition. joints: (17, 3) of the current
    frame in crop pixels, 1 where sure. reach: a joint nearer than this, in crop pixels, is found."""

    clip: str
    previous: NDArray[np.uint8]
    following: NDArray[np.uint8]
    current: dict[str, NDArray[np.uint8]]
    joints: NDArray[np.float32]
    margin: tuple[int, int]
    reach: float


def held_out_windows(root: Path, data: DataConfig, share: float) -> list[PoseSample]:
    """The windows of the held-out clips of all triplet parts, never those of excluded sources."""
    samples = read_parts(root, data.triplets, split=None, exclude=data.exclude)
    return [s for s in samples if is_held_out(s.name, share)]


def require_clips(windows: Sequence[Measured], least: int = LEAST_CLIPS) -> None:
    """Ends the program where too few clips can be measured."""
    clips = len({window.clip for window in windows})
    if clips < least:
        raise SystemExit(f"only {clips} held-out clips can be measured, {least} are needed: raise --hold-out")


def sample_windows(folder: Path) -> list[PoseSample]:
    """Windows of the sample clips: neighbouring frames, the true boxes and joints."""
    out = []
    for clip in sorted(folder.glob("*.mp4")):
        truth = read_truth(clip.with_suffix(".json"))
        with VideoReader(clip) as reader:
            frames = [frame.image for frame in reader]
        for k in range(SAMPLE_EVERY, len(frames) - 1, SAMPLE_EVERY):
            for person in truth[k]:
                if person.head_box is None or person.bbox[3] < SAMPLE_HEIGHT:
                    continue
                around = [_same(truth[k + d], person.track_id) for d in (-1, 0, 1)]
                out.append(
                    PoseSample(
                        pictures=(frames[k - 1], frames[k], frames[k + 1]),
                        joints=np.stack(around),
                        boxes=np.repeat(person.bbox.astype(np.float32)[None], 3, axis=0),
                        margin=(1, 1),
                        human=True,
                        source="sample",
                        name=f"sample {clip.stem}",
                    )
                )
    return out


def _same(people: Sequence[TruePerson], track: int) -> NDArray[np.float32]:
    """The joints of a person in a frame; visible ones weigh 1."""
    joints = np.zeros((17, 3), np.float32)
    for person in people:
        if person.track_id == track:
            joints[:] = person.keypoints
            joints[:, 2] = joints[:, 2] == 2
    return joints


def prepare(samples: Sequence[PoseSample], size: tuple[int, int], enlarge: float) -> list[Measured]:
    """Crops of every window, the current one in every condition. Windows without a torso to measure by are left out."""
    out = []
    for number, sample in enumerate(samples):
        crops = plain_crops(sample, CropShape(size, enlarge))
        joints = crops.joints[1].copy()
        joints[:, 2] = joints[:, 2] >= 0.99
        torso = float(np.hypot(*(joints[5, :2] - joints[12, :2])))
        if not (joints[5, 2] and joints[12, 2]) or torso < 4:
            continue
        box = _box(sample, size, enlarge)
        direction = motion_direction(crops.joints)
        other = samples[(number * 7919 + len(samples) // 2) % len(samples)]
        current = {"clean": crops.images[1]} | {
            kind: damaged(crops.images[1], kind, box, direction, other, number) for kind in KINDS
        }
        out.append(Measured(sample.name, crops.images[0], crops.images[2], current, joints, sample.margin, 0.2 * torso))
    return out


def _box(sample: PoseSample, size: tuple[int, int], enlarge: float) -> tuple[float, float, float, float]:
    """The current box in the crop, which has the box in its middle."""
    w, h = sample.boxes[1, 2:]
    scale = size[0] / (max(w, h * size[0] / size[1]) * enlarge)
    half = np.array([w, h]) * scale / 2
    middle = np.array(size) / 2
    (x0, y0), (x1, y1) = middle - half, middle + half
    return float(x0), float(y0), float(x1), float(y1)
