"""A training pack for detectors, recipes of a small training, and pictures in memory."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dcpose_cli.training.detector.data import Picture

#: Six steps on canvases of 64 and 96 pixels.
RECIPE = """
kind = "detector"
name = "blocks"
validation_sizes = [64]
seed = 3
[data]
whole = ["det"]
crops = ["stills"]
validation = ["det"]
complete = ["blocks"]
[augment]
crop_share = 0.3
tilt = 0.3
damage = 0.3
small = 0.2
[stage1]
steps = 6
batch = 2
warmup = 2
ema = 0.5
phases = [{ size = 64, share = 0.5 }, { size = 96, share = 0.5, also = [64] }]
"""


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def block_people(seed: int, complete: bool = True) -> Picture:
    """Red upright blocks ("people") on noise, with one doubtful blue one."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 90, (100, 140, 3)).astype(np.uint8)
    people = boxes((20, 20, 44, 80), (90, 10, 120, 90))
    for x1, y1, x2, y2 in people.astype(int):
        image[y1:y2, x1:x2] = (220, 30, 30)
    image[40:60, 60:70] = (30, 30, 220)
    return Picture(image, people, boxes((60, 40, 70, 60)), complete)


def blue(number: int) -> bytes:
    """A blue PNG of 60 x 40 pixels."""
    return cv2.imencode(".png", np.full((40, 60, 3), (255, 0, 0), np.uint8))[1].tobytes()


def write_part(
    root: Path,
    part: str,
    images: list[dict[str, object]],
    annotations: list[dict[str, object]],
    picture: Callable[[int], bytes] = blue,
    size: tuple[int, int] = (60, 40),
) -> None:
    """One part of a pack: its JSON and its tar. picture: makes the picture of each number. size: width, height."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "images" / f"{part}.tar", "w") as tar:
        for number, image in enumerate(images):
            data = picture(number)
            info = tarfile.TarInfo(str(image["file_name"]))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    rows = [image | {"shard": f"{part}.tar", "width": size[0], "height": size[1]} for image in images]
    (root / f"{part}.json").write_text(json.dumps({"images": rows, "annotations": annotations}))


def encoded(seed: int) -> bytes:
    """`block_people` as a PNG."""
    return cv2.imencode(".png", block_people(seed).image[..., ::-1])[1].tobytes()


@pytest.fixture(scope="session")
def blocks() -> SimpleNamespace:
    """`boxes`, `block_people` and `write_part`, for tests that compose their own."""
    return SimpleNamespace(boxes=boxes, block_people=block_people, write_part=write_part)


@pytest.fixture(scope="session")
def block_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of four whole pictures and two crops to train on, and one picture to validate on."""
    root = tmp_path_factory.mktemp("blocks")
    people = [{"bbox": [20, 20, 24, 60], "ignore": 0}, {"bbox": [90, 10, 30, 80], "ignore": 0}]
    for part, count in (("det", 5), ("stills", 2)):
        images, annotations = [], []
        for k in range(count):
            split = "val" if part == "det" and k == 4 else "train"
            origin = f"{part}{k}.jpg"
            images.append(
                {"id": k, "file_name": f"{part}{k}.png", "source": "blocks", "split": split, "origin": origin}
            )
            annotations += [{"image_id": k, **person} for person in people]
        write_part(root, part, images, annotations, encoded, (140, 100))
    return root


@pytest.fixture(scope="session")
def block_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a recipe that trains a nano detector for six steps."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE)
    return path
