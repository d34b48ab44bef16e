"""Pictures of a training pack for the detector: what is read, left out, held out, and how crops are labelled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.training.detector.data import PackReader, crop_labels, label_others, read_others
from dcpose_cli.training.detector.recipe import DetectorData
from dcpose_cli.types import Detections

DATA = DetectorData(
    whole=("det", "det2"),
    crops=("stills", "triplets"),
    validation=("det", "det2"),
    exclude=("peers", "propainter"),
    exclude_crops=("dances",),
    complete=("coco128",),
    backgrounds=("coco128",),
    squashed=("pool_sports22",),
)


@pytest.fixture
def pack(blocks, tmp_path: Path) -> Path:
    """A training pack of a few blue pictures, with everything that must be left out."""

    def image(number: int, source: str, split: str, origin: str, **more: object) -> dict[str, object]:
        return {"id": number, "file_name": f"{number}.png", "source": source, "split": split, "origin": origin, **more}

    person = {"image_id": 1, "bbox": [5, 5, 10, 30], "ignore": 0}
    blocks.write_part(
        tmp_path,
        "det",
        [
            image(1, "sports22", "train", "a.jpg"),
            image(2, "sports22", "val", "b.jpg"),
            image(3, "clip_peers", "train", "sam2__x#3"),
            image(4, "coco128", "train", "empty.jpg"),
            image(5, "clip_gym", "val", "gym__squat#7"),
        ],
        [person, {"image_id": 1, "bbox": [30, 5, 8, 20], "ignore": 1}, person | {"image_id": 2}],
    )
    blocks.write_part(
        tmp_path,
        "det2",
        [
            image(31, "pool_sports22", "train", "a.jpg"),  # in det already
            image(32, "pool_sports22", "train", "b.jpg"),  # in det's validation
            *(image(40 + n, "pool_sports22", "train", f"d{n}.jpg") for n in range(4)),
        ],
        [person | {"image_id": 40, "keypoints": [7, 9, 2] + [0, 0, 0] * 16}],
    )
    crop = {"image_id": 11, "bbox": [5, 5, 10, 30], "keypoints": [8, 9, 2, 0, 0, 0]}
    blocks.write_part(
        tmp_path,
        "stills",
        [
            image(11, "sports22", "train", "c.jpg"),
            image(12, "sports22", "train", "b.jpg"),
            image(13, "dances", "train", "e.jpg"),
        ],
        [crop, crop | {"image_id": 12}, crop | {"image_id": 13}],
    )
    blocks.write_part(
        tmp_path,
        "triplets",
        [
            image(21, "walk", "train", "", clip="walk__1", role="c"),
            image(22, "walk", "train", "", clip="walk__1", role="p"),
            image(23, "gym", "train", "", clip="gym__squat", role="c"),
            image(24, "propainter", "train", "", clip="pp", role="c"),
        ],
        [crop | {"image_id": n} for n in (21, 22, 23, 24)],
    )
    return tmp_path


def test_labels_of_a_crop() -> None:
    person = [10.0, 10.0, 50.0, 110.0]
    others = [
        [11, 8, 52, 112, 0.9],  # the person, as the detector sees it
        [100, 0, 140, 100, 0.8],  # somebody else
        [60, 0, 80, 60, 0.3],  # perhaps somebody
        [12, 12, 30, 50, 0.55],  # a part of the person, or a child
    ]
    found, doubtful = crop_labels(person, "lspet", others, [])
    np.testing.assert_allclose(found, [others[0][:4], others[1][:4]])
    np.testing.assert_allclose(doubtful, [others[2][:4], others[3][:4]])
    found, _ = crop_labels(person, "stanford40", others, [])
    np.testing.assert_allclose(found[0], person)
    human = [[101.0, 0.0, 141.0, 100.0]]
    found, _ = crop_labels(person, "coco128", others, human)
    np.testing.assert_allclose(found, [person, *human])


def test_the_pack_is_read_without_forbidden_sources_doubles_and_leaks(pack: Path) -> None:
    reader = PackReader(pack, DATA)
    whole, crops, empty = reader.training()
    validation = reader.validation()
    # det's a.jpg, then d0 to d2 of det2: d3 is held out, a.jpg is shown already, b.jpg is validation
    assert [p.complete for p in whole] == [False] * 4
    assert [p.squashed for p in whole] == [False, True, True, True]
    np.testing.assert_allclose(whole[0].boxes, [[5, 5, 15, 35]])
    np.testing.assert_allclose(whole[0].ignore, [[30, 5, 38, 25]])
    assert whole[0].joints is None
    assert whole[1].joints[0, 0].tolist() == [7, 9]
    assert np.isnan(whole[1].joints[0, 1:]).all()
    assert whole[0].size == (40, 60)
    assert whole[0].image.shape == (40, 60, 3)
    assert whole[0].image[0, 0].tolist() == [0, 0, 255]
    assert len(crops) == 2  # c.jpg and walk__1; b.jpg and gym__squat are validation, propainter is forbidden
    assert crops[0].joints.shape == (1, 17, 2)
    assert [(len(p.boxes), p.complete) for p in empty] == [(0, True)]
    assert {part: len(pictures) for part, pictures in validation.items()} == {"det": 2, "det2": 1}


def test_validation_pictures_are_spread_evenly(pack: Path) -> None:
    reader = PackReader(pack, replace(DATA, validation=("det2",), validation_limit=1))
    assert len(reader.validation()["det2"]) == 1
    assert len(reader.validation(("det",), 5)["det"]) == 2


def test_a_picture_that_differs_from_its_labels_is_an_input_error(pack: Path) -> None:
    path = pack / "det.json"
    path.write_text(path.read_text().replace('"width": 60', '"width": 61'))
    whole, _, _ = PackReader(pack, DATA).training()
    with pytest.raises(InputError, match="another size"):
        _ = whole[0].image


def test_a_stock_detector_labels_the_other_people_of_crops(blocks, pack: Path, tmp_path: Path) -> None:
    asked = []

    def detect(images: object) -> list[Detections]:
        asked.append(images)
        return [Detections(blocks.boxes((30, 5, 10, 30)), np.array([0.8], np.float32))]

    target = tmp_path / "others.json"
    label_others(PackReader(pack, DATA), detect, target, {"--teacher": "a1"})
    others = read_others(target, {"--teacher": "a1"})
    assert others is not None
    assert sorted(others) == ["11.png", "12.png", "21.png", "23.png"]
    _, crops, _ = PackReader(pack, DATA, others).training()
    np.testing.assert_allclose(crops[0].boxes, [[5, 5, 15, 35], [30, 5, 40, 35]])


def test_boxes_of_others_go_by_what_they_are_made_of(tmp_path: Path) -> None:
    target, boxes = tmp_path / "others.json", {"1.png": [[1.0, 2.0, 3.0, 4.0, 0.5]]}
    assert read_others(target, {}) is None
    target.write_text(json.dumps({"sources": {"--teacher": "a1"}, "boxes": boxes}))
    assert read_others(target, {"--teacher": "a1"}) == boxes
    assert read_others(target, {"--teacher": "b2"}) is None
    target.write_text(json.dumps(boxes))  # as version 0.6 wrote them
    assert read_others(target, {"--teacher": "b2"}) == boxes
    for text in ("{", "[1]", '{"boxes": {}}'):
        target.write_text(text)
        with pytest.raises(InputError, match=r"others\.json"):
            read_others(target, {})


def test_a_missing_pack_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training pack"):
        PackReader(tmp_path, DATA).training()
