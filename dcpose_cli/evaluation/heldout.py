"""Accuracy on held-out pictures with human labels, the boxes given: the network alone, without detector and tracking.

A set is `NAME.json` (COCO style: images, annotations with `bbox` and 15 `keypoints`) beside tar files of the pictures.
A still has no neighbours: it stands for previous, current and next frame alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file
from .._text import reason_of
from ..errors import InputError
from ..pictures import TarIndex
from ..skeleton import FLIP_ORDER, JOINT_NAMES, NUM_JOINTS
from .calibration import HitRate, hit_rates
from .grouped_ap import Ap, Matched, grouped_ap
from .pck import OksResult, PckResult, joint_hits, mean_oks, pck_torso, pckh, torso_lengths


class Estimator(Protocol):
    """What is measured; dcpose_cli.PoseEstimator is one. It enlarges the boxes itself."""

    def poses(
        self,
        previous: NDArray[np.uint8],
        current: NDArray[np.uint8],
        next: NDArray[np.uint8],  # noqa: A002
        boxes: NDArray[np.float32],
        margin: tuple[int, int] = ...,
    ) -> NDArray[np.float32]:
        """RGB frames (H, W, 3) and boxes (N, 4) xywh -> keypoints (N, 17, 3): x, y in pixels, confidence."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture with its labelled people. image: (H, W, 3) uint8 RGB. boxes: (N, 4) xywh. truth: (N, 17, 3)."""

    source: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    truth: NDArray[np.float32]
    areas: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """People of many pictures, one row each. sources: where each picture is from."""

    sources: tuple[str, ...]
    predicted: NDArray[np.float32]
    truth: NDArray[np.float32]
    areas: NDArray[np.float64]

    def select(self, keep: Sequence[bool]) -> Poses:
        """The rows where `keep` is true."""
        rows = np.flatnonzero(np.asarray(keep, bool))
        sources = tuple(self.sources[row] for row in rows)
        return Poses(sources, self.predicted[rows], self.truth[rows], self.areas[rows])


@dataclass(frozen=True, slots=True)
class HeldoutResult:
    """The figures of one part. people: with at least one labelled joint. ap: over OKS, by joint group, the boxes given.
    scores: what a score means, within 0.2 of the torso."""

    people: int
    torso: PckResult
    head: PckResult
    oks: OksResult
    ap: dict[str, Ap]
    scores: list[HitRate]


def read_pictures(folder: Path, name: str = "heldout-dev") -> Iterator[Picture]:
    """Pictures of `folder`/`name`.json that show people with joints, in file order. Raises InputError."""
    path = Path(folder) / f"{name}.json"
    try:
        data = json.loads(read_file(path))
        slots = [JOINT_NAMES.index(joint) for joint in data["categories"][0]["keypoints"]]
        people: dict[int, list[Mapping[str, Any]]] = {}
        for entry in data["annotations"]:
            if any(value > 0 for value in entry.get("keypoints", ())[2::3]):
                people.setdefault(entry["image_id"], []).append(entry)
        images = [image for image in data["images"] if image["id"] in people]
        yield from _pictures(path.parent, images, people, slots)
    except OSError as error:
        raise InputError(
            f"cannot read the held-out set: {error}", path=path, hint="give the folder that holds it"
        ) from error
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError, ValueError, RecursionError) as error:
        reason = reason_of(error)
        raise InputError(f"not a held-out set: {reason}", path=path, hint="check the file") from error


def _pictures(
    folder: Path,
    images: Sequence[Mapping[str, Any]],
    people: Mapping[int, Sequence[Mapping[str, Any]]],
    slots: Sequence[int],
) -> Iterator[Picture]:
    index = TarIndex()
    shards = list(dict.fromkeys(image["shard"] for image in images))
    for image in sorted(images, key=lambda image: shards.index(image["shard"])):
        labels = people[image["id"]]
        truth = np.zeros((len(labels), NUM_JOINTS, 3), np.float32)
        joints = np.array([label["keypoints"] for label in labels], np.float32)
        truth[:, slots] = joints.reshape(len(labels), len(slots), 3)
        yield Picture(
            source=str(image["source"]),
            image=index.find(folder / Path(image["shard"]).name, image["file_name"]).decode(),
            boxes=np.array([label["bbox"] for label in labels], np.float32).reshape(-1, 4),
            truth=truth,
            areas=np.array([label["area"] for label in labels], np.float64),
        )


def estimate_poses(estimator: Estimator, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keypoints (N, 17, 3) in one picture, used as all three frames with margin (1, 1)."""
    return estimator.poses(image, image, image, boxes, margin=(1, 1))[:, :NUM_JOINTS]


def estimate_poses_flipped(
    estimator: Estimator, image: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean of the keypoints in a picture and, mirrored back, in its mirror image (a flip test on coordinates)."""
    last = image.shape[1] - 1  # x of the last pixel's centre
    mirrored = boxes.copy()
    mirrored[:, 0] = last - (boxes[:, 0] + boxes[:, 2])
    other = estimate_poses(estimator, np.ascontiguousarray(image[:, ::-1]), mirrored)[:, list(FLIP_ORDER)]
    other[:, :, 0] = last - other[:, :, 0]
    mean: NDArray[np.float32] = (estimate_poses(estimator, image, boxes) + other) / np.float32(2)
    return mean


def run_heldout(estimator: Estimator, pictures: Iterator[Picture], *, flip: bool = False) -> Poses:
    """Predict every labelled person, the true boxes given."""
    run = estimate_poses_flipped if flip else estimate_poses
    sources: list[str] = []
    predicted, truth, areas = [], [], []
    for picture in pictures:
        predicted.append(run(estimator, picture.image, picture.boxes))
        truth.append(picture.truth)
        areas.append(picture.areas)
        sources += [picture.source] * len(picture.boxes)
    if not sources:
        raise InputError("the held-out set shows nobody with joints", hint="check its files")
    return Poses(tuple(sources), np.concatenate(predicted), np.concatenate(truth), np.concatenate(areas))


def measure(poses: Poses) -> HeldoutResult:
    """PCK@0.2 of the torso, PCKh@0.5 and OKS of predicted people, and what their scores mean."""
    count = len(poses.sources)
    owners = np.arange(count)
    frame = Matched(poses.predicted, poses.truth, poses.areas, owners, np.zeros((0, NUM_JOINTS)))
    hits, counted = joint_hits(poses.predicted, poses.truth, torso_lengths(poses.truth), 0.2)
    return HeldoutResult(
        people=len(poses.sources),
        torso=pck_torso(poses.predicted, poses.truth),
        head=pckh(poses.predicted, poses.truth),
        oks=mean_oks(poses.predicted, poses.truth, poses.areas),
        ap=grouped_ap([frame]),
        scores=hit_rates(poses.predicted[..., 2], hits, counted, owners),
    )


def measure_parts(poses: Poses) -> dict[str, HeldoutResult]:
    """`stills`: every source but lspet; `lspet`: sports, many upside down. A part without people is left out."""
    sports = [source == "lspet" for source in poses.sources]
    parts = {"stills": poses.select([not flag for flag in sports]), "lspet": poses.select(sports)}
    return {name: measure(part) for name, part in parts.items() if part.sources}
