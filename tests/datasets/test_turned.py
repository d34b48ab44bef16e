"""Labels land on the person in pictures that EXIF data turn: upright labels, and labels of the stored picture."""

from __future__ import annotations

import json
import struct

import cv2
import numpy as np
import pytest

from dcpose_cli.datasets import read_coco
from dcpose_cli.datasets.labels import COCO_NAMES
from dcpose_cli.pictures import PictureFile, exif_orientation, picture_size
from dcpose_cli.training.data.config import DataConfig
from dcpose_cli.training.data.readers import read_samples

#: Of the upright picture.
WIDTH, HEIGHT = 60, 100
NOSE, ANKLE = (15, 12), (44, 90)  # left of the middle, near the top; right of it, near the bottom
BOX = (10, 8, 40, 86)
#: What brings the stored picture upright.
TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}
BACK = TURNS | {6: TURNS[8], 8: TURNS[6]}


def upright_picture():
    """Black, with a red nose and a green ankle."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for (x, y), colour in ((NOSE, (255, 0, 0)), (ANKLE, (0, 255, 0))):
        picture[y - 3 : y + 4, x - 3 : x + 4] = colour
    return picture


def exif(orientation, order):
    """An APP1 segment that says nothing but the orientation."""
    mark, kind = (b"II", "<") if order == "little" else (b"MM", ">")
    entry = struct.pack(f"{kind}HHIHH", 0x112, 3, 1, orientation, 0)
    tiff = mark + struct.pack(f"{kind}HIH", 42, 8, 1) + entry + bytes(4)
    data = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def write(folder, orientation, *, stored_labels, order="little"):
    """A data set of one picture and person; returns the picture as it is stored."""
    stored = np.ascontiguousarray(BACK[orientation](upright_picture()))
    data = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_bytes(data[:2] + exif(orientation, order) + data[2:])
    places, box, size = [NOSE, ANKLE], BOX, (WIDTH, HEIGHT)
    if stored_labels:
        marks = np.zeros((HEIGHT, WIDTH), int)
        for number, (x, y) in enumerate(places, start=1):
            marks[y, x] = number
        where = [np.argwhere(BACK[orientation](marks) == number)[0] for number in (1, 2)]
        places = [(int(x), int(y)) for y, x in where]
        size = stored.shape[1], stored.shape[0]
        box = (0, 0, *size)
    joints = dict.fromkeys(COCO_NAMES, (0, 0, 0))
    joints |= {"nose": (*places[0], 2), "left_ankle": (*places[1], 2)}
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 10, "iscrowd": 0,
              "keypoints": [v for name in COCO_NAMES for v in joints[name]]}  # fmt: skip
    image = {"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}
    labels = {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (folder / "labels.json").write_text(json.dumps(labels))
    return stored


def colour_at(picture, joint):
    return picture[round(float(joint[1])), round(float(joint[0]))].astype(int)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("order", ["little", "big"])
def test_upright_labels_land_on_the_person(tmp_path, orientation, order):
    write(tmp_path, orientation, stored_labels=False, order=order)
    file = PictureFile(tmp_path / "images" / "a.jpg")
    assert exif_orientation(file.head(4096)) == orientation
    (video,) = read_coco(tmp_path / "labels.json", tmp_path / "images")
    (person,) = video.frames[0].people
    picture = file.decode()
    assert picture.shape[:2] == (HEIGHT, WIDTH)
    assert colour_at(picture, person.joints[0])[0] > 150
    assert colour_at(picture, person.joints[15])[1] > 150
    assert person.joints[0].tolist() == [*NOSE, 1]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labels_of_the_stored_picture_are_turned(tmp_path, orientation):
    """The width and height of the labels say that they are of the picture as it is stored."""
    stored = write(tmp_path, orientation, stored_labels=True)
    file = PictureFile(tmp_path / "images" / "a.jpg")
    assert picture_size(file.head(1 << 16)) == (stored.shape[1], stored.shape[0]) == (HEIGHT, WIDTH)
    (video,) = read_coco(tmp_path / "labels.json", tmp_path / "images")
    (person,) = video.frames[0].people
    assert person.joints[0].tolist() == [*NOSE, 1]
    assert person.joints[15].tolist() == [*ANKLE, 1]
    assert not person.joints[1:15].any()
    x, y, w, h = person.box.tolist()
    assert min(x, y) >= 0
    assert (w, h) == (WIDTH - 1, HEIGHT - 1)


@pytest.mark.parametrize("stored_labels", [False, True])
def test_training_sees_the_joints_on_the_person(tmp_path, stored_labels):
    write(tmp_path, 6, stored_labels=stored_labels)
    data = DataConfig(format="coco", train="labels.json", images="images")
    (sample,) = read_samples(tmp_path, data, split="train")
    picture = sample.pictures[0]
    assert colour_at(picture, sample.joints[0][0])[0] > 150
    assert colour_at(picture, sample.joints[0][15])[1] > 150


def test_pictures_without_exif_and_broken_ones_are_upright():
    plain = cv2.imencode(".jpg", upright_picture())[1].tobytes()
    assert exif_orientation(plain) == exif_orientation(b"") == exif_orientation(b"\x89PNG\r\n\x1a\n") == 1
    segment = exif(6, "little")
    assert exif_orientation(plain[:2] + segment + plain[2:]) == 6
    assert exif_orientation(plain[:2] + exif(9, "big") + plain[2:]) == 1
    for cut in range(4, len(segment)):
        assert exif_orientation(plain[:2] + segment[:cut]) in (1, 6)
