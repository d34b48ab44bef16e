"""Training of the person detector: canvases, the mask of doubtful places, exact resume, and the exported model."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.people.detector import PersonDetector, load_detector
from dcpose_cli.training.detector.canvas import Canvas, CanvasMaker
from dcpose_cli.training.detector.data import PackReader, Picture, crop_labels, label_others
from dcpose_cli.training.detector.recipe import DetectorData, DetectorPhase, DetectorRecipe, load_detector_recipe
from dcpose_cli.training.detector.score import ap50, evaluate, found_people, match_boxes
from dcpose_cli.training.detector.score import main as score
from dcpose_cli.training.detector.trainer import (
    DetectorTrainer,
    MaskedBCE,
    anchor_points,
    anchor_weights,
    collate,
)
from dcpose_cli.types import Detections

RECIPE = DetectorRecipe(
    steps=6,
    phases=(DetectorPhase(start=0, size=64, batch=2), DetectorPhase(start=0.5, size=96, batch=2)),
    warmup_steps=2,
    ema=0.5,
    crop_share=0.5,
    validation_sizes=(64,),
)
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


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_canvases_show_whom_they_box(mosaic: float) -> None:
    maker = CanvasMaker([block_people(s) for s in range(3)], [block_people(9, complete=False)], RECIPE)
    rng = np.random.default_rng(1)
    counts = 0
    for _ in range(60):
        canvas = maker.make(rng, 128, mosaic)
        assert canvas.image.shape == (128, 128, 3)
        assert canvas.image.dtype == np.uint8
        for x1, y1, x2, y2 in canvas.boxes:
            assert 0 <= x1 < x2 <= 128
            assert 0 <= y1 < y2 <= 128
            inner = canvas.image[round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2].astype(int)
            if inner.size:  # a block has one colour, the noise around it has not
                assert inner.std(axis=(0, 1)).max() < 40
                counts += 1
    assert counts > 60


def test_canvases_repeat_with_the_generator_and_mark_where_people_may_be_unboxed() -> None:
    maker = CanvasMaker([block_people(0)], [block_people(1, complete=False)], RECIPE)
    first = [maker.make(np.random.default_rng(4), 96, 0.5) for _ in range(2)]
    np.testing.assert_array_equal(first[0].image, first[1].image)
    np.testing.assert_array_equal(first[0].boxes, first[1].boxes)
    only_sure = CanvasMaker([block_people(0)], [], RECIPE)
    only_unsure = CanvasMaker([block_people(0, complete=False)], [], RECIPE)
    assert len(only_sure.make(np.random.default_rng(0), 96, 1.0).unsure) == 0
    assert len(only_unsure.make(np.random.default_rng(0), 96, 1.0).unsure) in {2, 4, 9}


def test_doubtful_places_cost_nothing_and_unsure_regions_less() -> None:
    points, strides = anchor_points([(8, 8), (4, 4), (2, 2)], 64)
    assert points.shape == (84, 2)
    assert sorted(set(strides.tolist())) == [8, 16, 32]
    canvas = Canvas(np.zeros((64, 64, 3), np.uint8), boxes(), boxes((0, 0, 16, 16)), boxes((0, 0, 64, 32)))
    (weights,) = anchor_weights([canvas], points, strides, 0.4)
    fine = weights[:64].reshape(8, 8)
    assert np.all(fine[:2, :2] == 0)
    assert np.all(fine[:4, 2:] == np.float32(0.4))
    assert np.all(fine[4:] == 1)
    assert weights[64:80].reshape(4, 4)[0].tolist() == [0, 1, 1, 1]
    bce = MaskedBCE()
    logits = torch.zeros(1, 84, 1)
    plain = bce(logits, torch.zeros(1, 84, 1))
    bce.weight = torch.from_numpy(weights)[None, :, None]
    assert torch.equal(bce(logits, torch.zeros(1, 84, 1)), plain * bce.weight)
    assert torch.equal(bce(logits, torch.ones(1, 84, 1)), plain)


def test_collate_gives_normalised_centres() -> None:
    canvas = Canvas(np.full((64, 64, 3), 255, np.uint8), boxes((0, 16, 32, 48)), boxes(), boxes())
    batch = collate([canvas, replace(canvas, boxes=boxes()), canvas], 64)
    assert batch["img"].shape == (3, 3, 64, 64)
    assert float(batch["img"].max()) == 1
    assert batch["bboxes"].tolist() == [[0.25, 0.5, 0.5, 0.5]] * 2
    assert batch["batch_idx"].tolist() == [0, 2]


def trainer(folder: Path, recipe: DetectorRecipe = RECIPE) -> DetectorTrainer:
    pictures = [block_people(s) for s in range(3)]
    return DetectorTrainer(recipe, CanvasMaker(pictures, pictures, recipe), {"own": pictures[:1]}, folder)


def test_a_resumed_run_ends_with_the_same_weights_and_its_export_detects(tmp_path: Path) -> None:
    straight = trainer(tmp_path / "straight")
    before = {k: v.clone() for k, v in straight.model.state_dict().items()}
    straight.run()
    first = trainer(tmp_path / "resumed")

    def until_three(original=first._step) -> np.ndarray:
        result = original()
        first.stop = first.progress.step == 3
        return result

    first._step = until_three  # type: ignore[method-assign]
    first.run()
    torch.manual_seed(99)
    second = trainer(tmp_path / "resumed")
    assert second.progress.step == 3
    second.run()
    assert second.progress.step == straight.progress.step == 6
    assert second.progress.samples == 12
    changed = 0
    for kind in ("model", "average"):
        resumed = getattr(second, kind).state_dict()
        for name, value in getattr(straight, kind).state_dict().items():
            assert torch.equal(value, resumed[name]), name
            changed += not torch.equal(value, before[name])
    assert changed > 200
    assert (tmp_path / "straight" / "validation.csv").read_text().count("\n") == 2
    path = straight.export(tmp_path / "model")
    assert path.stat().st_size < 6.0 * 2**20
    fresh = trainer(tmp_path / "fresh")
    fresh.start_from(load_detector(tmp_path / "model", fuse=False).net)
    for name, value in straight.average.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(fresh.model.state_dict()[name], value, rtol=1e-3, atol=1e-4), name
    with pytest.raises(UsageError, match="another architecture"):
        fresh.start_from(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)))
    detector = PersonDetector(tmp_path / "model", conf=1e-5)
    assert detector.name == "person-n"
    assert len(detector.detect([block_people(0).image])[0]) > 0


def test_a_time_budget_ends_the_run_and_a_stop_leaves_a_checkpoint(tmp_path: Path) -> None:
    short = trainer(tmp_path, replace(RECIPE, steps=None, seconds=1e-9))
    short.run()
    assert short.progress.step == 1
    stopped = trainer(tmp_path / "stopped")
    stopped.stop = True
    stopped.run()
    assert (tmp_path / "stopped" / "checkpoint.pt").is_file()


def test_the_shipped_recipe_is_the_trainer_s_own(root: Path, tmp_path: Path) -> None:
    recipe = load_detector_recipe(root / "models" / "person-n" / "recipe.toml")
    assert recipe.name == "person-n"
    assert [p.size for p in recipe.phases] == sorted(p.size for p in recipe.phases)
    for path in (root / "models" / "person-n").glob("recipe*.toml"):
        data = load_detector_recipe(path).data
        assert {"peers", "sapiens_itw", "propainter"} <= set(data.exclude), path
        assert data.whole, path
        assert data.validation, path
    bad = tmp_path / "recipe.toml"
    bad.write_text("speed = 3\n")
    with pytest.raises(UsageError, match="unknown key speed"):
        load_detector_recipe(bad)
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        load_detector_recipe(tmp_path / "nowhere.toml")


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


def write_part(root: Path, part: str, images: list[dict[str, object]], annotations: list[dict[str, object]]) -> None:
    (root / "images").mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "images" / f"{part}.tar", "w") as tar:
        for image in images:
            data = cv2.imencode(".png", np.full((40, 60, 3), (255, 0, 0), np.uint8))[1].tobytes()
            info = tarfile.TarInfo(str(image["file_name"]))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    rows = [image | {"shard": f"{part}.tar", "width": 60, "height": 40} for image in images]
    (root / f"{part}.json").write_text(json.dumps({"images": rows, "annotations": annotations}))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A training pack of a few blue pictures, with everything that must be left out."""

    def image(number: int, source: str, split: str, origin: str, **more: object) -> dict[str, object]:
        return {"id": number, "file_name": f"{number}.png", "source": source, "split": split, "origin": origin, **more}

    person = {"image_id": 1, "bbox": [5, 5, 10, 30], "ignore": 0}
    write_part(
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
    write_part(
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
    write_part(
        tmp_path,
        "stills",
        [
            image(11, "sports22", "train", "c.jpg"),
            image(12, "sports22", "train", "b.jpg"),
            image(13, "dances", "train", "e.jpg"),
        ],
        [crop, crop | {"image_id": 12}, crop | {"image_id": 13}],
    )
    write_part(
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


def test_a_stock_detector_labels_the_other_people_of_crops(pack: Path, tmp_path: Path) -> None:
    asked = []

    def detect(images: object) -> list[Detections]:
        asked.append(images)
        return [Detections(boxes((30, 5, 10, 30)), np.array([0.8], np.float32))]

    target = tmp_path / "others.json"
    label_others(PackReader(pack, DATA), detect, target)
    assert sorted(json.loads(target.read_text())) == ["11.png", "12.png", "21.png", "23.png"]
    _, crops, _ = PackReader(pack, DATA, target).training()
    np.testing.assert_allclose(crops[0].boxes, [[5, 5, 15, 35], [30, 5, 40, 35]])


def test_a_missing_pack_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training pack"):
        PackReader(tmp_path, DATA).training()


def test_boxes_are_matched_once_and_not_counted_on_doubtful_places() -> None:
    truth, ignore = boxes((0, 0, 10, 20)), boxes((50, 50, 10, 10))
    found = boxes((0, 0, 10, 19), (0, 0, 10, 18), (51, 51, 8, 8), (80, 0, 10, 10))
    hits = match_boxes(found, np.array([0.9, 0.8, 0.7, 0.6], np.float32), truth, ignore)
    assert [right for _, right in hits] == [True, False, False]
    assert [score for score, _ in hits] == pytest.approx([0.9, 0.8, 0.6])
    assert match_boxes(boxes(), np.zeros(0, np.float32), truth, ignore) == []
    assert [right for _, right in match_boxes(found[:1], np.array([0.9]), boxes(), boxes())] == [False]
    assert found_people(found[3:], truth).tolist() == [False]
    assert found_people(boxes(), truth).tolist() == [False]
    assert ap50([(0.8, True), (0.9, False)], 1) == 0.5


class Fixed(torch.nn.Module):
    """A network that always reports the same rows."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.rows.expand(len(batch), -1, -1)


def test_scores_of_a_known_output() -> None:
    """One person found, one missed, one false box, one box on a doubtful place that counts for nothing."""
    rows = torch.tensor([[32, 50, 24, 60, 0.9], [130, 5, 10, 8, 0.8], [65, 50, 10, 20, 0.7]]).T[None]
    picture = block_people(0)
    shifted = Fixed(rows + torch.tensor([10.0, 14.0, 0, 0, 0])[None, :, None])  # the padding of 140 x 100 to 160 x 128
    result = evaluate(shifted, [picture], 140)
    assert result["recall_large"] == 0.5
    assert result["false_per_picture"] == result["false_per_complete"] == 1
    assert result["ap50"] == pytest.approx(51 / 101, abs=1e-4)


def test_a_model_is_scored_on_the_validation_pictures(
    pack: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = trainer(tmp_path / "run").export(tmp_path / "model")
    with caplog.at_level("INFO"):
        recipe = tmp_path / "recipe.toml"
        recipe.write_text('[data]\nvalidation = ["det"]\n')
        score([str(pack), str(model), "--recipe", str(recipe), "--size", "64", "96", "--conf", "0.3"])
    lines = [record.getMessage() for record in caplog.records if "on 2 pictures of det" in record.getMessage()]
    assert [json.loads(line.split(": ", 1)[1])["size"] for line in lines] == [64, 96]
