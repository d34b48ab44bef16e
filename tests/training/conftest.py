"""A tiny training pack and a recipe of a tiny network."""

from __future__ import annotations

import io
import json
import tarfile

import cv2
import numpy as np
import pytest

RECIPE = """
name = "tiny"
seed = 1
[data]
stills = ["stills"]
triplets = ["triplets"]
exclude = ["forbidden"]
[stage1]
steps = 6
batch = 2
warmup = 2
phases = [{ size = [32, 48], share = 0.5 }, { size = [48, 64], share = 0.5 }]
[stage2]
steps = 4
batch = 2
warmup = 1
"""

#: Where the 15 joints of a standing person are, in shares of its box (x, y).
FIGURE = np.array(
    [(0.5, 0.1), (0.5, 0.18), (0.5, 0.02)]
    + [(x, y) for y, w in ((0.22, 0.2), (0.36, 0.35), (0.48, 0.45)) for x in (0.5 + w, 0.5 - w)]
    + [(x, y) for y, w in ((0.52, 0.15), (0.74, 0.18), (0.96, 0.2)) for x in (0.5 + w, 0.5 - w)]
)


def person(box, v=2, **extra):
    """An annotation: the figure in `box` (xywh), every joint with visibility `v` (one number or 15)."""
    x, y, w, h = box
    points = FIGURE * [w, h] + [x, y]
    keypoints = np.concatenate([points, np.broadcast_to(np.reshape(v, (-1, 1)), (15, 1))], axis=1)
    return {"bbox": list(box), "keypoints": keypoints.ravel().tolist(), "label_kind": "teacher", **extra}


def jpeg(seed, size=(60, 80)):
    """A smooth picture of noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))[1].tobytes()


class PackWriter:
    """Collects images and annotations of one part, then writes its JSON and one tar."""

    def __init__(self, root, part):
        self.root, self.part = root, part
        self.images, self.annotations, self.files = [], [], {}

    def add(self, people, *, data=None, **image):
        number = len(self.images) + 1
        name = f"{self.part}/{number:05d}.jpg"
        self.files[name] = jpeg(number) if data is None else data
        base = {"id": number, "file_name": name, "shard": f"{self.part}-000.tar", "source": "own", "split": "train"}
        self.images.append({**base, **image})
        self.annotations += [{"id": len(self.annotations) + k, "image_id": number, **p} for k, p in enumerate(people)]
        return number

    def add_window(self, number, gaps=(-1, 1), people=None, roles="pcn", **image):
        """Three frames in which the person moves to the right; stored out of order on purpose."""
        for role in (roles[1:] + roles[0]) if len(roles) == 3 else roles:
            k = "pcn".index(role)
            gap = (gaps[0], 0, gaps[1])[k]
            who = [person((10 + 4 * k, 10, 30, 60))] if people is None else people
            self.add(who, triplet=number, role=role, gap=gap, clip=f"clip{number}", **image)

    def write(self):
        (self.root / "images").mkdir(parents=True, exist_ok=True)
        text = json.dumps({"images": self.images, "annotations": self.annotations})
        (self.root / f"{self.part}.json").write_text(text)
        with tarfile.open(self.root / "images" / f"{self.part}-000.tar", "w") as tar:
            for name, data in self.files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def writer(tmp_path):
    """Makes PackWriters of parts of one pack in tmp_path."""
    return lambda part="stills": PackWriter(tmp_path, part)


@pytest.fixture(scope="session")
def tools():
    """`person` and `jpeg`, for tests that compose their own."""
    return {"person": person, "jpeg": jpeg}


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory):
    """A pack with six stills and three windows to train on, one of each to validate on."""
    root = tmp_path_factory.mktemp("pack")
    stills, windows = PackWriter(root, "stills"), PackWriter(root, "triplets")
    for k in range(7):
        stills.add([person((8 + k, 8, 36, 64))], split="val" if k == 6 else "train")
    for k in range(4):
        windows.add_window(k + 1, gaps=(-1 - k % 2, 1), split="val" if k == 3 else "train")
    stills.write()
    windows.write()
    return root


@pytest.fixture(scope="session")
def tiny_recipe(tiny_model, tmp_path_factory):
    """The path of a recipe that trains in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE + tiny_model)
    return path
