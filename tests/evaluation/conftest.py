"""A small held-out set and an estimator that knows the answers by heart."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dcpose_cli.skeleton import FLIP_ORDER, JOINT_NAMES, LABELLED_SLOTS

WIDTH, HEIGHT = 120, 160


def heldout_people(number: int) -> list[np.ndarray]:
    """(15, 3) joints of the people in picture `number`; picture 3 shows somebody without joints."""
    rng = np.random.default_rng(number)
    if number == 3:
        return [np.zeros((15, 3))]
    people = []
    for _ in range(1 + number % 2):
        joints = rng.uniform(20, 100, (15, 3)).round(1)
        joints[:, 2] = rng.integers(1, 3, 15)
        people.append(joints)
    return people


def heldout_image(number: int) -> np.ndarray:
    """RGB; the colour of the upper left corner says the number, red is first."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[:16, :16] = (10 + 40 * number, 0, 0)
    return image


@pytest.fixture
def heldout_set(tmp_path: Path) -> Path:
    """DATA with heldout-dev: pictures 0-4, two of them from lspet."""
    folder = tmp_path / "data" / "heldout-dev"
    folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with tarfile.open(folder / "heldout-dev.tar", "w") as tar:
        for number in range(5):
            name = f"heldout-dev/{number}.png"
            done, raw = cv2.imencode(".png", heldout_image(number)[..., ::-1])
            assert done
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw.tobytes()))
            source = "lspet" if number > 2 else "somewhere"
            images.append({"id": number, "file_name": name, "shard": "heldout-dev.tar", "source": source})
            for joints in heldout_people(number):
                box = [10.0, 10.0, 95.0, 95.0]
                annotations.append(
                    {"image_id": number, "bbox": box, "area": 9025.0, "keypoints": joints.reshape(-1).tolist()}
                )
    category = {"keypoints": [JOINT_NAMES[slot] for slot in LABELLED_SLOTS]}
    data = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "heldout-dev.json").write_text(json.dumps(data))
    return folder.parent


class Oracle:
    """Recognises a picture by its colour, mirrored or not, and answers with the true joints moved by `shift` pixels."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift
        self.calls: list[tuple[int, bool, np.ndarray]] = []

    def poses(self, previous: Any, current: Any, next: Any, boxes: Any, margin: Any = (1, 1)) -> np.ndarray:  # noqa: A002
        assert previous is current is next
        assert tuple(margin) == (1, 1)
        assert current.flags.c_contiguous
        assert boxes.dtype == np.float32
        mirrored = bool(current[5, 5, 0] == 128)
        red, green, _ = current[5, WIDTH - 6 if mirrored else 5].tolist()
        assert green < 9  # RGB, not BGR
        number = round((red - 10) / 40)
        self.calls.append((number, mirrored, boxes.copy()))
        answer = np.zeros((len(boxes), 17, 3), np.float32)
        for row, joints in enumerate(heldout_people(number)):
            answer[row, list(LABELLED_SLOTS)] = joints
        if mirrored:
            answer = answer[:, list(FLIP_ORDER)]
            answer[:, :, 0] = WIDTH - 1 - answer[:, :, 0]
        answer[:, :, 0] += np.float32(self.shift)
        answer[:, :, 2] = 0.5
        return answer


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle
