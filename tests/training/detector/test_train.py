"""Training of a detector: exact resumption, starting weights, a teacher, the saved model, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from dcpose_cli import _ultralytics
from dcpose_cli.checkpoints.files import WEIGHTS_NAME
from dcpose_cli.cli.train_command import train_model
from dcpose_cli.errors import InputError, TrainingError, UsageError
from dcpose_cli.people.detector import PersonDetector, load_detector
from dcpose_cli.training.detector import train as module
from dcpose_cli.training.detector.recipe import DetectorPhase, DetectorStage
from dcpose_cli.training.detector.train import read_init, save, train_detector
from dcpose_cli.training.engine.distributed import Ranks
from dcpose_cli.training.recipes import load_recipe

#: Trains and kills itself: argv is recipe, data, work, and where: "step" after five steps, of which the last two are in
#: no checkpoint, or "writing" halfway through the checkpoint of the fourth.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from dcpose_cli.training.detector.train import train_detector
from dcpose_cli.training.engine import loop
from dcpose_cli.training.recipes import load_recipe

recipe, data, work, where = sys.argv[1:]
loop.CHECKPOINT_EVERY = -1.0
save = loop.Loop.save

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def sparse_save(self):
    if self.step == 4 and where == "writing":
        torch.save = lambda data, file: (file.write(b"half a checkpoint"), file.flush(), die())
    if self.step == 3 or where == "writing":
        save(self)
    if self.step == 5:
        die()

loop.Loop.save = sparse_save
train_detector(load_recipe(Path(recipe)), Path(data), Path(work), threads=1)
"""


@pytest.fixture(scope="module")
def recipe(block_recipe):
    return load_recipe(block_recipe)


@pytest.fixture(scope="module")
def trained(recipe, block_pack, tmp_path_factory):
    """Folder of a finished training, its network and what it reported."""
    work, told = tmp_path_factory.mktemp("work"), []
    return work, train_detector(recipe, block_pack, work, threads=1, report=told.append), told


@pytest.fixture(scope="module")
def teacher(trained, recipe, tmp_path_factory):
    """The folder of a finished detector."""
    return save(trained[1], recipe, tmp_path_factory.mktemp("teacher"), overwrite=False).parent


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_changes_the_network_logs_its_losses_and_validates(recipe, trained):
    work, net, told = trained
    start = module._start(recipe, None, torch.device("cpu")).state_dict()
    changed = sum(not torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert changed > 200
    assert not net.training
    assert [(p.stage, p.step, p.steps) for p in told] == [("stage1", 1, 6), ("stage1", 6, 6)]
    assert told[1].loss == pytest.approx(sum(told[1].parts.values()), rel=1e-4)
    with (work / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert [*row][-3:] == ["box", "cls", "dfl"]
    with (work / "validation.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["step"], row["part"], row["size"]) == ("6", "det", "64")
    assert 0 <= float(row["ap50"]) <= 1
    assert {p.name for p in work.iterdir()} == {"stage1.ckpt", "log.csv", "validation.csv", "curves.png"}


def test_the_saved_model_detects_and_starts_another_training(recipe, trained, block_pack, blocks, tmp_path):
    path = save(trained[1], recipe, tmp_path / "model", overwrite=False)
    assert path.stat().st_size < 6.0 * 2**20
    detector = PersonDetector(str(tmp_path / "model"), conf=1e-5)
    assert (detector.name, detector.imgsz) == ("blocks", 384)
    assert len(detector.detect([blocks.block_people(0).image])[0]) > 0
    calm = replace(recipe, stage1=replace(recipe.stage1, steps=1, lr=1e-12, weight_decay=0.0))
    net = train_detector(calm, block_pack, tmp_path / "on", init=read_init(str(tmp_path / "model")), threads=1)
    ours = dict(net.named_parameters())
    for name, value in trained[1].named_parameters():
        assert torch.allclose(ours[name], value, rtol=1e-3, atol=1e-4), name
    with pytest.raises(UsageError, match="another architecture"):
        train_detector(recipe, block_pack, tmp_path / "other", init=torch.nn.Conv2d(3, 3, 1), threads=1)


@pytest.mark.parametrize(("where", "left"), [("step", {"stage1.ckpt"}), ("writing", {"stage1.ckpt", "stage1.part"})])
def test_killed_and_resumed_is_the_same_model(recipe, trained, block_recipe, block_pack, tmp_path, root, where, left):
    work = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(block_recipe), str(block_pack), str(work), where]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=110, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert {p.name for p in work.iterdir() if p.suffix != ".csv"} == left
    assert torch.load(work / "stage1.ckpt", weights_only=True)["step"] == 3
    torch.manual_seed(99)
    seen = []
    net = train_detector(recipe, block_pack, work, threads=1, workers=2, report=seen.append)
    assert [(p.stage, p.step) for p in seen] == [("stage1", 4), ("stage1", 6)]
    files = [save(n, recipe, tmp_path / name, overwrite=False) for n, name in ((net, "a"), (trained[1], "b"))]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert equal(net, trained[1])


def test_a_changed_recipe_is_refused(recipe, trained, block_pack):
    work = trained[0]
    for change, key in (
        ({"augment": replace(recipe.augment, tilt=0.9)}, r"augment\.tilt = 0\.3, the recipe says 0\.9"),
        ({"stage1": replace(recipe.stage1, optimizer="muon")}, r"stage1\.optimizer = 'adamw'"),
        ({"architecture": "yolov8s.yaml"}, r"architecture = 'yolov8n\.yaml'"),
    ):
        with pytest.raises(UsageError, match=rf"stage1\.ckpt: was trained with {key}"):
            train_detector(replace(recipe, **change), block_pack, work, threads=1)


def test_a_teacher_boxes_the_crops_and_its_answers_are_learnt(recipe, trained, teacher, block_pack, tmp_path):
    taught = replace(recipe, stage1=replace(recipe.stage1, steps=2, distill=1.0))
    with pytest.raises(UsageError, match=r"distill.*--teacher"):
        train_detector(taught, block_pack, tmp_path / "none", threads=1)
    told = []
    net = train_detector(taught, block_pack, tmp_path / "run", teacher=str(teacher), threads=1, report=told.append)
    assert told[0].parts["distill"] > 0
    assert (tmp_path / "run" / "others.json").is_file()
    assert not equal(net, trained[1])


def test_other_labels_and_another_start_are_refused_unless_accepted(recipe, trained, block_pack, tmp_path):
    data, work = tmp_path / "data", tmp_path / "run"
    shutil.copytree(block_pack, data)
    shutil.copytree(trained[0], work)
    told = []
    assert equal(train_detector(recipe, data, work, threads=1, notice=told.append), trained[1])
    assert told == [f"continues from {work / 'stage1.ckpt'}", "4 pictures and 2 crops to train on"]
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained without --init"):
        train_detector(recipe, data, work, init=trained[1], threads=1)
    (data / "stills.json").write_text((data / "stills.json").read_text() + " ")
    with pytest.raises(
        UsageError, match=r"stage1\.ckpt: was trained on other labels: stills has changed since"
    ) as caught:
        train_detector(recipe, data, work, threads=1)
    assert caught.value.exit_code == 2
    assert equal(train_detector(recipe, data, work, threads=1, accept_changes=True, notice=told.append), trained[1])
    assert "stills has changed since; continued all the same" in told[2]


def test_boxes_of_another_teacher_are_not_taken(recipe, trained, teacher, block_pack, tmp_path):
    """A training that was killed before its first checkpoint leaves them behind."""
    run, once = tmp_path / "run", replace(recipe, stage1=replace(recipe.stage1, steps=1))
    told = []

    def others(name):
        train_detector(once, block_pack, run, teacher=str(name), threads=1, notice=told.append)
        (run / "stage1.ckpt").unlink()
        return json.loads((run / "others.json").read_text())["sources"]["--teacher"]

    second = tmp_path / "second"
    shutil.copytree(teacher, second)
    first = others(teacher)
    assert others(second) == first  # another name of the same file
    assert [text.partition(" looks")[0] for text in told if "looks for" in text] == [str(teacher)]
    shutil.rmtree(second)
    save(read_init("person-n"), replace(recipe, name="second"), second, overwrite=False)
    assert others(second) != first
    assert "second looks for people on the crops" in told[-2]
    train_detector(once, block_pack, run, teacher=str(second), threads=1)
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained with another --teacher"):
        train_detector(once, block_pack, run, teacher=str(teacher), threads=1)
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained with --teacher, which is missing now"):
        train_detector(once, block_pack, run, threads=1)


def test_the_command_trains_by_the_recipe(block_recipe, block_pack, teacher, tiny_recipe, tiny_pack, tmp_path, capsys):
    text = block_recipe.read_text().replace("steps = 6", "steps = 1\ndistill = 0.5")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    options = {"device": "cpu", "threads": 1, "overwrite": False, "quiet": False, "teacher": str(teacher)}
    train_model(recipe, block_pack, tmp_path / "out", tmp_path / "work", init=str(teacher), **options)
    said = capsys.readouterr().err
    assert "stage1 1/1 loss" in said
    assert "distill" in said
    assert load_detector(str(tmp_path / "out")).name == "blocks"
    with pytest.raises(UsageError, match="--teacher is for recipes of detectors"):
        train_model(tiny_recipe, tiny_pack, tmp_path / "pose", tmp_path / "work2", **options)


def test_what_training_refuses(recipe, block_pack, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"det\.json"):
        train_detector(recipe, tmp_path, tmp_path / "nothing", threads=1)
    nobody = replace(recipe, data=replace(recipe.data, exclude=("blocks",)))
    with pytest.raises(UsageError, match=r"no training pictures for the parts det"):
        train_detector(nobody, block_pack, tmp_path / "excluded", threads=1)
    with pytest.raises(UsageError, match="no stage 2"):
        train_detector(recipe, block_pack, tmp_path / "stages", threads=1, stages=[2])
    broken = torch.full((3,), float("nan"))
    monkeypatch.setattr(_ultralytics, "detection_loss", lambda net: NotANumber(net, broken))
    with pytest.raises(TrainingError, match="the loss of stage1 is nan at step 0"):
        train_detector(recipe, block_pack, tmp_path / "nan", threads=1)


class NotANumber:
    """A loss that is not finite."""

    def __init__(self, net, value):
        self.net, self.value = net, value

    def __call__(self, output, batch):
        return self.value * next(self.net.parameters()).sum(), None


def test_several_processes_are_refused(recipe, block_pack, tmp_path, monkeypatch):
    run = module.open_run
    monkeypatch.setattr(module, "open_run", run)
    with run(tmp_path, threads=1) as opened:
        two = replace(opened, ranks=Ranks(0, 0, 2))
    monkeypatch.setattr(module, "open_run", lambda work, **options: _Opened(two))
    with pytest.raises(UsageError, match="without torchrun"):
        train_detector(recipe, block_pack, tmp_path, threads=1)


class _Opened:
    """A run that is open already."""

    def __init__(self, run):
        self.run = run

    def __enter__(self):
        return self.run

    def __exit__(self, *exc):
        return None


def test_phases_follow_the_steps_and_areas_stay_alike():
    stage = DetectorStage(
        steps=100,
        batch=16,
        phases=(DetectorPhase(size=64, share=0.5), DetectorPhase(size=128, share=0.5, batch=8, also=(64,))),
    )
    assert {stage.canvases_of(step, 1) for step in range(50)} == {(64, 16)}
    assert {stage.canvases_of(step, 1) for step in range(50, 100)} == {(128, 8), (64, 32)}
    assert stage.canvases_of(70, 1) == stage.canvases_of(70, 1)
    assert stage.phase_of(100) is stage.phases[1]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("steps = 6", "steps = 0", "missing key stage1.steps"),
        ("steps = 6", "epochs = 6", "stage1.epochs: a detector has no epochs"),
        ("share = 0.5, also", "share = 0.4, also", "the shares of stage1.phases add up to 0.9"),
        ("also = [64]", "also = [50]", "stage1.phases: sizes must be multiples of 32"),
        ("validation_sizes = [64]", "validation_sizes = [65]", "validation_sizes must be multiples of 32"),
        ("tilt = 0.3", "tilt = 1.3", "augment.tilt must be in 0..1"),
        ('whole = ["det"]', "whole = []", "missing key data.whole"),
        ("steps = 6", "steps = 6\nunsure_weight = -1.0", "stage1.unsure_weight must not be negative"),
        ("steps = 6", "seconds = 6", "unknown key stage1.seconds"),
        ("seed = 3", "seed = -3", "seed must not be negative"),
        ('kind = "detector"', 'kind = "robot"', "kind 'robot'; known are dcpose, dsta, detector"),
    ],
)
def test_what_does_not_fit_is_named(block_recipe, tmp_path, old, new, named):
    text = block_recipe.read_text()
    assert text.count(old) == 1
    (tmp_path / "recipe.toml").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=r"recipe\.toml") as caught:
        load_recipe(tmp_path / "recipe.toml")
    assert named in str(caught.value)


def test_the_saved_file_is_where_models_lie(recipe, trained, tmp_path):
    assert save(trained[1], recipe, tmp_path, overwrite=False) == tmp_path / WEIGHTS_NAME
