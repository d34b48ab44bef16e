"""Small people in a large frame: who is found, at which size, at which cost.

    python benchmarks/small_people.py --json small.json

Makes a clip of 3840x2160 pixels in which the people of the sample clips, scaled to a height of 60 pixels, move at 20
places, and searches it as `dcpose estimate` does: with the size that `--detect-size auto` chooses, or with --size.
Found: a box with IoU 0.5. False: a box that overlaps nobody by 0.3.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from accuracy import circumstances
from numpy.typing import NDArray

from dcpose_cli.evaluation.sample_truth import TruePerson, read_truth
from dcpose_cli.files import write_atomic
from dcpose_cli.people.boxes import pairwise_iou
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.people.search import choose_size, search
from dcpose_cli.video.reader import VideoReader

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 3840, 2160
COLUMNS, ROWS = 5, 4
TALL = 60
#: Border around a person's box, as a share of its height; the picture fades into the background there.
BORDER = 0.2
#: People less tall than this in the sample clips would be enlarged, or nearly so.
LEAST_HEIGHT = 80
FOUND_IOU, FALSE_IOU = 0.5, 0.3


class Patch(NamedTuple):
    """Somebody cut out: pixels, and the box (4,) xywh in them."""

    pixels: Image
    box: NDArray[np.float32]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="person-n")
    parser.add_argument(
        "--samples", type=Path, default=Path("sample_videos"), help="folder of the clips and their JSON"
    )
    parser.add_argument("--frames", type=int, default=8, help="frames of the clip (default: %(default)s)")
    parser.add_argument("--size", type=int, help="pixels; without, the size that is chosen for the clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    options = parser.parse_args(arguments)
    frames, truth = clip(options.samples, options.frames)
    detector = PersonDetector(options.detector, device=options.device)
    size = options.size or choose_size(detector, WIDTH, lambda: frames[:: max(1, len(frames) // 3)][:3])
    began = time.process_time()
    found = search(detector, frames, size)
    report: dict[str, Any] = {
        **circumstances(options.device),
        "detector": {"name": detector.name, "sha256": detector.sha256},
        "size": size,
        **score([people.boxes for people in found], truth),
        "cpu seconds a frame": (time.process_time() - began) / len(frames),
    }
    print(f"{detector.name} sha256 {detector.sha256}, {WIDTH}x{HEIGHT}, people of {TALL} px, searched at {size} px")
    print(
        f"found {report['found']} of {report['people']}, false {report['false']} in {report['frames']} frames, "
        f"{report['cpu seconds a frame']:.2f} s of CPU a frame"
    )
    if options.json is not None:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def score(found: Sequence[NDArray[np.float32]], truth: Sequence[NDArray[np.float32]]) -> dict[str, int]:
    """Counts over all frames: boxes found (N, 4) against true ones (M, 4), xywh."""
    overlaps = [pairwise_iou(true, boxes) for boxes, true in zip(found, truth, strict=True)]
    return {
        "frames": len(truth),
        "people": sum(len(true) for true in truth),
        "found": sum(int((o.max(axis=1, initial=0) >= FOUND_IOU).sum()) for o in overlaps),
        "false": sum(int((o.max(axis=0, initial=0) < FALSE_IOU).sum()) for o in overlaps),
    }


def clip(samples: Path, count: int) -> tuple[list[Image], list[NDArray[np.float32]]]:
    """Frames (HEIGHT, WIDTH, 3) uint8 RGB, and the boxes of the people in each; the same each time."""
    people = [person for path in sorted(samples.glob("*.mp4")) for person in walkers(path)]
    rng = np.random.default_rng(1)
    ground = background(samples)
    chosen = [people[number] for number in rng.integers(len(people), size=COLUMNS * ROWS)]
    places = rng.uniform((-200, -120), (200, 120), (COLUMNS * ROWS, 2))
    steps = rng.uniform(-4, 4, (COLUMNS * ROWS, 2))
    frames, boxes = [], []
    for number in range(count):
        frame, true = ground.copy(), []
        for cell, walker in enumerate(chosen):
            patch = walker[number % len(walker)]
            centre = ((np.array([cell % COLUMNS, cell // COLUMNS]) + 0.5) * (WIDTH / COLUMNS, HEIGHT / ROWS)).astype(
                int
            )
            x, y = (centre + places[cell] + number * steps[cell] - np.array(patch.pixels.shape[1::-1]) / 2).astype(int)
            paste(frame, patch.pixels, x, y)
            true.append(patch.box + np.array([x, y, 0, 0], np.float32))
        frames.append(frame)
        boxes.append(np.array(true, np.float32))
    return frames, boxes


def walkers(path: Path) -> list[list[Patch]]:
    """Per person of a sample clip, the frames in which nobody else is near and all of the body is in the picture."""
    truth = read_truth(path.with_suffix(".json"))
    found: dict[int, list[Patch]] = {}
    with VideoReader(path) as reader:
        for frame in reader:
            for person in truth[frame.index]:
                patch = cut_out(frame.image, person, truth[frame.index])
                if patch is not None:
                    found.setdefault(person.track_id, []).append(patch)
    return list(found.values())


def cut_out(image: Image, person: TruePerson, everybody: Sequence[TruePerson]) -> Patch | None:
    x, y, w, h = person.bbox
    border = BORDER * h
    x0, y0, x1, y1 = (round(v) for v in (x - border, y - border, x + w + border, y + h + border))
    inside = x0 >= 0 and y0 >= 0 and x1 <= image.shape[1] and y1 <= image.shape[0]
    near = [o.bbox for o in everybody if o is not person]
    alone = not any(b[0] < x1 and b[0] + b[2] > x0 and b[1] < y1 and b[1] + b[3] > y0 for b in near)
    if not (inside and alone) or h < max(LEAST_HEIGHT, 1.3 * w):
        return None
    scale = TALL / h
    pixels = cv2.resize(image[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Patch(pixels.astype(np.uint8), (np.array([x - x0, y - y0, w, h]) * scale).astype(np.float32))


def background(samples: Path) -> Image:
    """The upper third of a sample frame, blurred, enlarged, with noise."""
    with VideoReader(samples / "plaza.mp4") as reader:
        image = next(iter(reader)).image
    smooth = cv2.GaussianBlur(image[: image.shape[0] // 3], (0, 0), 6)
    large = cv2.resize(smooth, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 4, large.shape)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def paste(frame: Image, pixels: Image, x: int, y: int) -> None:
    """Put a patch into a frame; it fades out at its borders."""
    height, width = pixels.shape[:2]
    fade = max(2, round(BORDER * TALL / 2))

    def ramp(length: int) -> NDArray[np.float64]:
        place = np.arange(length)
        return np.clip(np.minimum(place, length - 1 - place) / fade, 0, 1)

    alpha = (ramp(height)[:, None] * ramp(width))[..., None]
    under = frame[y : y + height, x : x + width]
    frame[y : y + height, x : x + width] = (alpha * pixels + (1 - alpha) * under).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
