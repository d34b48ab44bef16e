"""From labels in any layout to samples: windows of neighbouring frames, decoded when needed; and the paper's recipe."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import dcpose_cli
from dcpose_cli.checkpoints.files import save_model
from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.evaluation.posetrack_set import evaluate_set
from dcpose_cli.nets import DCPose, HRNet
from dcpose_cli.nets.hrnet import init_weights
from dcpose_cli.pictures import PictureFile
from dcpose_cli.training.data.batches import training_batch
from dcpose_cli.training.data.config import AugmentConfig, DataConfig
from dcpose_cli.training.data.pack import is_held_out, read_parts
from dcpose_cli.training.data.pictures import PictureStore, StoredPictures
from dcpose_cli.training.data.readers import draw_neighbours, read_samples
from dcpose_cli.training.dcpose.train import train
from dcpose_cli.training.engine.prefetch import Prefetched
from dcpose_cli.training.recipes import load_recipe

LAYOUTS = {
    "posetrack18": DataConfig(format="posetrack18", train="annotations/train", val="annotations/val"),
    "posetrack17": DataConfig(format="posetrack17", train="annotations17/train", val="annotations17/val"),
    "posetrack-lists": DataConfig(format="posetrack-lists", train="posetrack_train.json", val="posetrack_val.json"),
    "coco": DataConfig(format="coco", train="coco_train.json", val="coco_val.json"),
}
WINDOWED = ["posetrack18", "posetrack17", "posetrack-lists"]


def numbers(sample):
    return [int(file.path.stem) for file in sample.pictures.files]


@pytest.mark.parametrize("layout", WINDOWED)
def test_windows_are_neighbouring_frames(posetrack_root, layout):
    samples = read_samples(posetrack_root, LAYOUTS[layout], split="train")
    assert len(samples) == 12  # two videos, three labelled frames, two people
    first = 0 if layout == "posetrack18" else 1
    # The video begins and ends with its own frames; the frame nobody labelled is a neighbour nevertheless.
    assert [[n - first for n in numbers(s)] for s in samples[:6:2]] == [[0, 0, 1], [1, 2, 3], [2, 3, 3]]
    assert {s.margin for s in samples} == {(1, 1)}
    assert all(s.pictures[k].shape == (80, 96, 3) for s in samples[:2] for k in range(3))
    assert all(s.joints[1, :, 2].sum() == 15 for s in samples)
    held = read_samples(posetrack_root, LAYOUTS[layout], split="val")
    assert len(held) == 6


def test_neighbours_carry_the_joints_of_the_same_person(posetrack_root):
    for layout, known in (("posetrack18", True), ("posetrack17", True), ("posetrack-lists", False)):
        sample = read_samples(posetrack_root, LAYOUTS[layout], split="train")[4]  # the last frame, after frame 2
        assert (sample.joints[0, :, 2].sum() == 15) == known
        if known:
            assert np.allclose(sample.joints[1, 0, :2] - sample.joints[0, 0, :2], [3, 0], atol=0.02)
        first = read_samples(posetrack_root, LAYOUTS[layout], split="train")[0]
        assert first.joints[2, :, 2].sum() == 0  # the next frame is not labelled


def test_distance_and_draw(posetrack_root):
    far = replace(LAYOUTS["posetrack18"], distance=4)
    sample = read_samples(posetrack_root, far, split="train")[2]  # frame 2 of 0..3
    assert numbers(sample) == [1, 2, 3]
    seen = set()
    for k in range(40):
        other = draw_neighbours(sample, np.random.default_rng(k))
        before, current, after = numbers(other)
        assert (current, after) == (2, 3)
        assert other.margin == (current - before, 1)
        seen.add(before)
    assert seen == {0, 1}
    fixed = read_samples(posetrack_root, replace(far, random_neighbours=False), split="train")[2]
    assert numbers(fixed) == [0, 2, 3]
    assert fixed.margin == (2, 1)
    assert fixed.neighbours is None
    ordinary = read_samples(posetrack_root, LAYOUTS["posetrack18"], split="train")[2]
    assert ordinary.neighbours is None  # the published setting leaves no choice
    options = {"batch": 4, "size": (48, 64), "config": AugmentConfig(), "seed": 3, "window": True}
    margins = {tuple(m) for step in range(6) for m in training_batch([sample], step, **options).margin.tolist()}
    assert margins == {(1.0, 1.0), (2.0, 1.0)}


def test_coco_gives_stills(posetrack_root):
    samples = read_samples(posetrack_root, LAYOUTS["coco"], split="train")
    assert [(len(s.pictures), s.margin, s.joints.shape) for s in samples] == [(1, (1, 1), (1, 17, 3))] * 4
    assert samples[0].joints[0, 1:3, 2].tolist() == [0, 0]


def test_whole_clips_are_held_out(posetrack_root, posetrack, tiny_pack):
    videos = posetrack.VIDEOS["train"]
    share = next(s / 100 for s in range(1, 100) if sum(is_held_out(v, s / 100) for v in videos) == 1)
    kept = read_samples(posetrack_root, replace(LAYOUTS["posetrack18"], hold_out_clips=share), split="train")
    assert {s.name for s in kept} == {v for v in videos if not is_held_out(v, share)}
    pack = DataConfig(stills=("stills",), triplets=("triplets",))
    clips = {s.name for s in read_samples(tiny_pack, pack, split="train") if len(s.pictures) == 3}
    some = {
        s.name
        for s in read_samples(tiny_pack, replace(pack, hold_out_clips=0.5), split="train")
        if len(s.pictures) == 3
    }
    assert some == {clip for clip in clips if not is_held_out(clip, 0.5)}
    assert abs(sum(is_held_out(f"clip{k}", 0.2) for k in range(2000)) - 400) < 60


def test_labels_that_are_not_there(posetrack_root, tmp_path):
    with pytest.raises(UsageError, match="does not exist; check the recipe and --data"):
        read_samples(tmp_path, LAYOUTS["coco"], split="train")
    assert read_samples(posetrack_root, replace(LAYOUTS["coco"], val=""), split="val") == []


# --- pictures


def test_a_store_keeps_what_fits(tmp_path):
    files = []
    for k in range(4):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((10, 10, 3), k, np.uint8))
        files.append(PictureFile(tmp_path / f"{k}.png"))
    store = PictureStore(2 * 300)
    pictures = StoredPictures(store, files)
    first = pictures[0]
    assert pictures[0] is first
    assert pictures[1].max() == 1
    assert pictures[0] is first
    assert pictures[2].max() == 2  # drops 1, which was used longest ago
    assert pictures[0] is first
    (tmp_path / "1.png").unlink()
    with pytest.raises(InputError, match=r"1\.png"):
        pictures[1]
    (tmp_path / "3.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"3\.png: not a picture"):
        pictures[3]
    assert [p.max() for p in pictures[0:1]] == [0]
    assert PictureStore(10).get(files[0]).max() == 0  # larger than the store


def test_a_pack_larger_than_memory_is_decoded_when_needed(writer, tmp_path, tools):
    pack = writer()
    for k in range(4):
        pack.add([tools["person"]((8 + k, 8, 36, 64))], width=60, height=80)
    pack.write()
    eager = read_parts(tmp_path, ["stills"], split="train", store=PictureStore(10**6))
    lazy = read_parts(tmp_path, ["stills"], split="train", store=PictureStore(20_000))
    assert isinstance(eager[0].pictures, tuple)
    assert isinstance(lazy[0].pictures, StoredPictures)
    for a, b in zip(eager, lazy, strict=True):
        assert np.array_equal(a.pictures[0], b.pictures[0])
    options = {"batch": 3, "size": (48, 64), "config": AugmentConfig(damage=1.0), "seed": 3, "window": True}
    ours, theirs = training_batch(eager, 2, **options), training_batch(lazy, 2, **options)
    assert torch.equal(ours.images, theirs.images)


def test_batches_made_ahead_are_the_same(tiny_pack):
    samples = read_parts(tiny_pack, ["stills", "triplets"], split="train")
    options = {"batch": 3, "size": (48, 64), "config": AugmentConfig(), "seed": 3, "window": True}
    with Prefetched(lambda step: training_batch(samples, step, **options), 9, workers=3) as batches:
        for step in range(2, 9):
            assert torch.equal(batches(step).images, training_batch(samples, step, **options).images)
    failing = Prefetched(lambda step: 1 // 0, 9, workers=2)
    with failing, pytest.raises(ZeroDivisionError):
        failing(0)


# --- the paper's recipe, shrunk


def paper_recipe(root, tiny_recipe, data):
    """models/dcpose-w48/recipe.toml with a tiny network, two epochs and small batches."""
    recipe, tiny = load_recipe(root / "models" / "dcpose-w48" / "recipe.toml"), load_recipe(tiny_recipe)
    short = {"epochs": 2.0, "batch": 4}
    return replace(
        recipe,
        model=tiny.model,
        data=data,
        stage1=replace(recipe.stage1, **short, milestones=(1.0,)),
        stage2=replace(recipe.stage2, **short, milestones=(1.0,)),
    )


@pytest.mark.parametrize("layout", WINDOWED)
def test_the_paper_recipe_trains_two_epochs_and_ap_comes_out(
    root, posetrack, posetrack_root, tiny_recipe, tmp_path, layout
):
    recipe = paper_recipe(root, tiny_recipe, LAYOUTS[layout])
    assert recipe.decoding == "quarter"  # as published
    backbone = HRNet(recipe.model.backbone)
    init_weights(backbone)
    told = []
    net = train(recipe, posetrack_root, tmp_path / "run", threads=1, init=backbone, report=told.append)
    steps = math.ceil(2 * 12 / 4)
    assert [(p.stage, p.step) for p in told if p.step == p.steps] == [("stage1", steps), ("stage2", steps)]
    assert told[1].lr == pytest.approx(1e-5)  # after its milestone
    save_model(net, tmp_path / "model", name="tiny")
    style = "annotations" if layout == "posetrack18" else "annotations17"
    result = evaluate_set(
        dcpose_cli.PoseEstimator(tmp_path / "model", "cpu"),
        posetrack_root / style / "val",
        posetrack_root,
        tmp_path / "out",
    )
    assert result.frames == posetrack.FRAMES - 1
    assert result.ground_truth.tolist() == [2 * (posetrack.FRAMES - 1)] * 15
    assert 0 <= result.total <= 100


def test_a_backbone_alone_starts_stage_two(root, posetrack_root, tiny_recipe, tmp_path):
    recipe = paper_recipe(root, tiny_recipe, LAYOUTS["posetrack18"])
    backbone = HRNet(recipe.model.backbone)
    init_weights(backbone)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    net = train(recipe, posetrack_root, tmp_path, threads=1, stages=[2], init=backbone)
    assert isinstance(net, DCPose)
    after = net.backbone.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.endswith("weight"))
    # Its batch-norm statistics follow the data, as in the published code (SPEC 4.3, row 13).
    assert not torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])
    wider = HRNet(replace(recipe.model.backbone, width=12))
    with pytest.raises(UsageError, match="backbone to start from is not built"):
        train(recipe, posetrack_root, tmp_path / "other", threads=1, init=wider)
    with pytest.raises(UsageError, match="has no stage 3"):
        train(recipe, posetrack_root, tmp_path / "other", threads=1, stages=[3], init=backbone)


def test_coco_labels_continue_a_model(posetrack_root, tiny_recipe, tmp_path):
    recipe = replace(load_recipe(tiny_recipe), data=LAYOUTS["coco"])
    net = train(recipe, posetrack_root, tmp_path, threads=1, init=DCPose(recipe.model))
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_all_missing_pictures_are_named_before_the_first_step(posetrack_root, tmp_path):
    data = json.loads((posetrack_root / "coco_train.json").read_text())
    for number, image in enumerate(data["images"]):
        image["file_name"] = f"gone/{number}.jpg"
    (tmp_path / "labels.json").write_text(json.dumps(data))
    config = DataConfig(format="coco", train="labels.json", images="images")
    with pytest.raises(InputError, match=r"2 pictures cannot be read: .*gone/0\.jpg, .*gone/1\.jpg"):
        read_samples(tmp_path, config, split="train")
