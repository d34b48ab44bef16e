"""A crowd with known identities: people of the sample clips, pasted over one another, crossing and hidden for a while.

People are cut out of the clips (GrabCut, from the true boxes and joints). Half of them walk to the right and half to
the left, nearer ones over farther ones, and some behind a column that hides them for up to a second. Some turn back on
the way. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dcpose_cli.evaluation import read_truth
from dcpose_cli.evaluation.sample_truth import TruePerson
from dcpose_cli.skeleton import EDGES
from dcpose_cli.video.reader import VideoReader

WIDTH, HEIGHT, FPS = 854, 480, 25
FRAMES: Final = 90
_CLIPS: Final = ("plaza", "sprint", "portrait")
#: People are cut out where they stand free and whole, at this height in pixels.
_CUTOUT_HEIGHT: Final = 256
_LEAST_HEIGHT: Final = 60

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CrowdFrame:
    """One picture of a crowd. image: (H, W, 3) uint8 RGB. boxes: of everybody in it by identity, xywh, hidden or not.

    visible: share of each person's pixels that nothing covers.
    """

    image: Picture
    boxes: dict[int, tuple[float, float, float, float]]
    visible: dict[int, float]


@dataclass(frozen=True, slots=True)
class _Walker:
    """Somebody of a crowd. cutouts: (H, W, 4) uint8 RGBA in order of time. height, start, ground: in pixels, of the
    person and of the feet. speed: pixels per frame. turn: frame at which the way goes back. phase: first cutout."""

    cutouts: list[Picture]
    height: float
    start: float
    ground: float
    speed: float
    turn: int
    phase: int


def cutouts(samples: Path) -> list[list[Picture]]:
    """Every person of the sample clips, as pictures (H, W, 4) uint8 RGBA in order of time."""
    people: dict[tuple[str, int], list[Picture]] = {}
    for clip in _CLIPS:
        truth = read_truth(samples / f"{clip}.json")
        with VideoReader(samples / f"{clip}.mp4") as reader:
            for frame in reader:
                if frame.index % 4:
                    continue
                for person in truth[frame.index]:
                    cut = _cutout(frame.image, person, truth[frame.index])
                    if cut is not None:
                        people.setdefault((clip, person.track_id), []).append(cut)
    return [pictures for _, pictures in sorted(people.items()) if len(pictures) >= 5]


def _cutout(image: Picture, person: TruePerson, everybody: list[TruePerson]) -> Picture | None:
    """A person without background; None where too small, cut off or near somebody else."""
    x, y, w, h = (float(v) for v in person.bbox)
    joints = person.keypoints[person.keypoints[:, 2] == 2]
    is_whole = x >= 2 and y >= 2 and x + w <= image.shape[1] - 2 and y + h <= image.shape[0] - 2
    if h < _LEAST_HEIGHT or len(joints) < 10 or not is_whole:
        return None
    for other in everybody:
        ox, oy, ow, oh = (float(v) for v in other.bbox)
        if other is not person and ox < x + w + 4 and x < ox + ow + 4 and oy < y + h and y < oy + oh:
            return None
    margin = 0.12 * h
    left, top = max(0, int(x - margin)), max(0, int(y - margin))
    patch = image[top : int(y + h + margin), left : int(x + w + margin)]
    mask = np.full(patch.shape[:2], cv2.GC_BGD, np.uint8)
    rows = slice(max(0, int(y - top - 2)), int(y - top + h + 2))
    mask[rows, max(0, int(x - left - 2)) : int(x - left + w + 2)] = cv2.GC_PR_BGD
    thickness = max(3, int(0.05 * h))
    for a, b in EDGES:
        if person.keypoints[a, 2] == person.keypoints[b, 2] == 2:
            ends = [(int(person.keypoints[k, 0] - left), int(person.keypoints[k, 1] - top)) for k in (a, b)]
            cv2.line(mask, ends[0], ends[1], cv2.GC_PR_FGD, 3 * thickness)
            cv2.line(mask, ends[0], ends[1], cv2.GC_FGD, thickness)
    cv2.setRNGSeed(1)
    cv2.grabCut(np.ascontiguousarray(patch), mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    alpha = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), np.uint8(255), np.uint8(0))
    ys, xs = np.nonzero(alpha)
    if not len(ys):
        return None
    cut = np.dstack([patch, alpha])[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    scale = _CUTOUT_HEIGHT / cut.shape[0]
    return np.asarray(cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def crowd(people: list[list[Picture]], seed: int, frames: int = FRAMES) -> Iterator[CrowdFrame]:
    """The frames of a crowd of all `people` (see `cutouts`), and some of them once more in other colours."""
    rng = np.random.default_rng(seed)
    looks = [*people, *([_recoloured(picture) for picture in pictures] for pictures in people[:2])]
    order = rng.permutation(len(looks))
    walkers = [_walker(looks[k], place, len(looks), rng) for place, k in enumerate(order)]
    walkers.sort(key=lambda walker: walker.ground)
    background = _background(rng)
    column = int(rng.integers(WIDTH // 3, WIDTH // 2)), int(rng.integers(90, 150))
    for number in range(frames):
        yield _paint(background, walkers, number, column, rng)


def _walker(pictures: list[Picture], place: int, count: int, rng: np.random.Generator) -> _Walker:
    """The one at this place of so many: even ones start on the left and go to the right, odd ones the other way."""
    ground = float(rng.uniform(0.62, 0.98) * HEIGHT)
    height = 0.42 * HEIGHT * ground / (0.8 * HEIGHT)
    along = (place // 2 + float(rng.uniform(0.2, 0.8))) / count
    direction = 1 if place % 2 == 0 else -1
    start = WIDTH * (0.02 + 0.9 * along) if direction > 0 else WIDTH * (0.98 - 0.9 * along)
    speed = direction * float(rng.uniform(0.024, 0.034)) * height
    turn = int(rng.integers(30, 60)) if place >= count - 2 else 10 * FRAMES
    return _Walker(pictures, height, start, ground, speed, turn, int(rng.integers(0, 1000)))


def _recoloured(picture: Picture) -> Picture:
    """The same person in clothes of other colours."""
    return np.dstack([picture[..., 1], picture[..., 2], picture[..., 0], picture[..., 3]])


def _background(rng: np.random.Generator) -> Picture:
    coarse = rng.integers(100, 160, (6, 9, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def _paint(
    background: Picture, walkers: list[_Walker], number: int, column: tuple[int, int], rng: np.random.Generator
) -> CrowdFrame:
    image = background.copy()
    owner = np.full((HEIGHT, WIDTH), -1, np.int16)
    boxes, totals = {}, {}
    half = len(walkers) // 2
    for identity, walker in enumerate(walkers):
        if identity == half:  # the column stands among them: it hides those behind
            left, width = column
            image[:, left : left + width] = (90, 85, 80)
            owner[:, left : left + width] = len(walkers)
        placed = _place(walker, number)
        if placed is None:
            continue
        picture, x, y = placed
        h, w = picture.shape[:2]
        x0, y0, x1, y1 = max(0, x), max(0, y), min(WIDTH, x + w), min(HEIGHT, y + h)
        part = picture[y0 - y : y1 - y, x0 - x : x1 - x]
        solid = part[..., 3] > 127
        image[y0:y1, x0:x1][solid] = part[solid, :3]
        owner[y0:y1, x0:x1][solid] = identity
        boxes[identity] = (float(x0), float(y0), float(x1 - x0), float(y1 - y0))
        totals[identity] = int(solid.sum())
    visible = {i: float((owner == i).sum()) / max(1, totals[i]) for i in boxes}
    blurred = cv2.GaussianBlur(image, (3, 3), 0)
    noisy = np.clip(blurred + rng.normal(0, 3, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
    return CrowdFrame(noisy, boxes, visible)


def _place(walker: _Walker, number: int) -> tuple[Picture, int, int] | None:
    """Picture of somebody in a frame, and where its corner lies; None out of sight."""
    steps = number if number < walker.turn else 2 * walker.turn - number
    forward = (walker.speed > 0) == (number < walker.turn)
    source = walker.cutouts[_to_and_fro(walker.phase + number // 3, len(walker.cutouts))]
    scale = walker.height / source.shape[0]
    picture = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    picture = picture if forward else picture[:, ::-1]
    centre = walker.start + walker.speed * steps
    x, y = int(centre - picture.shape[1] / 2), int(walker.ground - picture.shape[0])
    if x >= WIDTH - 8 or x + picture.shape[1] <= 8:
        return None
    return np.asarray(picture, np.uint8), x, y


def _to_and_fro(number: int, count: int) -> int:
    """Walks through 0 .. count - 1 and back, so that successive pictures belong together."""
    place = number % max(1, 2 * count - 2)
    return place if place < count else 2 * count - 2 - place
