"""The whole training on a tiny pack: a loadable model, and resuming that changes nothing."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import pytest
import torch

from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.errors import OutputError, UsageError
from dcpose_cli.nets import DCPose
from dcpose_cli.training.data.batches import training_batch
from dcpose_cli.training.data.config import HoldOutConfig, MeasureConfig, RepeatConfig
from dcpose_cli.training.data.readers import read_samples
from dcpose_cli.training.data.splits import read_splits, with_motion
from dcpose_cli.training.dcpose.recipe import PhaseConfig, StageConfig
from dcpose_cli.training.dcpose.train import train
from dcpose_cli.training.recipes import load_recipe

#: Trains and kills itself: argv is recipe, data, work, and where: "stage1" or "stage3" after five steps, of which the
#: last two are not in a checkpoint, or "writing" halfway through the second checkpoint of stage 2.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from dcpose_cli.training.engine import loop
from dcpose_cli.training.recipes import load_recipe
from dcpose_cli.training.dcpose.train import train

recipe, data, work, where = sys.argv[1:]
loop.CHECKPOINT_EVERY = -1.0
save, torch_save = loop.Loop.save, torch.save

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def sparse_save(self):
    if self.name == "stage2" and self.step == 4 and where == "writing":
        torch.save = lambda data, file: (file.write(b"half a checkpoint"), file.flush(), die())
    if self.step in (3, 6) or self.name == "stage2":
        save(self)
    if self.name == where and self.step == 5:
        die()

loop.Loop.save = sparse_save
train(load_recipe(Path(recipe)), Path(data), Path(work), threads=1)
"""


@pytest.fixture(scope="module")
def recipe(tiny_recipe):
    return load_recipe(tiny_recipe)


@pytest.fixture(scope="module")
def trained(recipe, tiny_pack, tmp_path_factory):
    """Folder of a finished training, its network and what it reported."""
    work, told = tmp_path_factory.mktemp("work"), []
    net = train(recipe, tiny_pack, work / "run", threads=1, report=told.append)
    return work / "run", net, told


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_both_stages_make_a_model_that_loads(recipe, trained, tmp_path):
    work, net, told = trained
    assert isinstance(net, DCPose)
    assert not net.training
    assert [(p.stage, p.step) for p in told] == [("stage1", 1), ("stage1", 6), ("stage2", 1), ("stage2", 4)]
    path = save_model(net, tmp_path / "tiny", name=recipe.name, dtype=torch.float16)
    loaded = open_model(path)
    assert loaded.header.input_size == (48, 64)
    with torch.no_grad():
        x = torch.rand(1, 9, 64, 48)
        ours, theirs = net(x, torch.ones(1, 2)), loaded.net(x, torch.ones(1, 2))
    assert ours.shape == (1, 17, 16, 12)
    assert torch.isfinite(ours).all()
    assert (ours - theirs).abs().max() < 0.02 * ours.abs().max() + 1e-3
    assert {p.name for p in work.iterdir()} == {
        *("stage1.ckpt", "stage2.ckpt", "log.csv", "validation.csv"),
        *("curves.png", "worst-stage1.png", "worst-stage2.png"),
    }


def test_validation_names_what_each_stage_measures(trained):
    with (trained[0] / "validation.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["stage"], second["stage"]) == ("stage1", "stage2")
    assert {k for k, v in first.items() if not v} == {"single"}
    assert {k for k, v in second.items() if not v} == {"all", "stills"}
    assert first["size"] == second["size"] == "48x64"
    assert all(0 <= float(v) <= 1 for k, v in (first | second).items() if v and k not in ("stage", "step", "size"))


def test_what_people_labelled_is_measured_apart(recipe, tools, writer, tmp_path):
    pack, windows = writer(), writer("triplets")
    for k in range(8):
        pack.add([tools["person"]((8 + k, 8, 36, 64)) | {"label_kind": "human"}], source="ab"[k % 2], origin=str(k))
    for k in range(3):
        windows.add_window(k + 1, split="val" if k == 2 else "train", source="clips")
    pack.write()
    windows.write()
    data = replace(
        recipe.data,
        validate=(HoldOutConfig(source="a", share=1.0),),
        measure=(MeasureConfig(name="indoors", sources=("a",)),),
        memory_gib=0.0,
    )
    train(replace(recipe, data=data), tmp_path, tmp_path / "run", threads=1)
    with (tmp_path / "run" / "validation.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    for row in (first, second):
        assert {"pck_indoors", "swapped_indoors"} < set(row)
        assert 0 <= float(row["pck_indoors"]) <= 1
    with pytest.raises(UsageError, match=r"data\.measure names c, a source that no person to validate on has"):
        wrong = replace(data, measure=(MeasureConfig(name="x", sources=("c",)),))
        read_splits(tmp_path, wrong, None, nothing="")
    with pytest.raises(UsageError, match=r"data\.validate names c"):
        wrong = replace(data, validate=(*data.validate, HoldOutConfig(source="c", share=1.0)))
        read_splits(tmp_path, wrong, None, nothing="")


def test_stage_two_leaves_the_backbone_as_stage_one_made_it(recipe, trained, tiny_pack, tmp_path):
    shutil.copy(trained[0] / "stage1.ckpt", tmp_path)
    only = train(recipe, tiny_pack, tmp_path, threads=1, stages=(1,))
    assert equal(only.backbone, trained[1].backbone)
    assert not equal(only.ptm, trained[1].ptm)


def test_training_changes_the_network_and_the_seed_decides(recipe, trained, tiny_pack, tmp_path):
    other = train(replace(recipe, seed=2), tiny_pack, tmp_path, threads=1)
    assert not equal(other, trained[1])


def test_a_training_starts_from_the_network_it_is_given(recipe, trained, tiny_pack, tmp_path):
    still = replace(recipe.stage1, steps=1, lr=1e-12, weight_decay=0.0)
    calm = replace(recipe, seed=5, stage1=still, stage2=replace(still, batch=2))
    ours = train(calm, tiny_pack, tmp_path / "from", threads=1, init=trained[1]).state_dict()
    for name, value in trained[1].state_dict().items():
        if name.endswith("weight"):
            assert torch.allclose(ours[name], value, atol=1e-6), name
    larger = replace(calm, model=replace(recipe.model, input_size=(64, 96)))
    assert train(larger, tiny_pack, tmp_path / "larger", threads=1, init=trained[1]).config.input_size == (64, 96)
    narrow = replace(recipe, model=replace(recipe.model, combine_width=4))
    with pytest.raises(UsageError, match="not built as the recipe"):
        train(narrow, tiny_pack, tmp_path / "narrow", threads=1, init=trained[1])


def test_a_new_head_begins_as_the_mean_of_three_frames(recipe, trained, tiny_pack, tmp_path):
    calm = replace(recipe, stage1=None, stage2=replace(recipe.stage2, steps=1, lr=1e-12, warmup=0, weight_decay=0.0))
    net = train(calm, tiny_pack, tmp_path, threads=1, init=trained[1].backbone).train()
    samples, _ = read_splits(tiny_pack, recipe.data, None, nothing="")
    batch = training_batch(
        with_motion(samples, 1.0), 1, batch=4, size=(48, 64), config=recipe.augment, seed=1, window=True
    )
    with torch.no_grad():
        found = net.maps(batch.images, batch.margin)
    # Of almost untrained maps: 0.7; masks of one on average give 4.8, and no output at all 1.
    assert (found.final - found.merged).square().mean() < 0.9 * found.merged.square().mean()


def test_nothing_of_torch_is_left_changed(recipe, trained, tiny_pack, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    torch.manual_seed(11)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert equal(train(recipe, tiny_pack, tmp_path, threads=1), trained[1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)


def kill(where, recipe, data, work, root):
    """Trains in a process of its own until it kills itself."""
    command = [sys.executable, "-c", KILLED, str(recipe), str(data), str(work), where]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return {p.name for p in work.iterdir() if p.suffix not in (".csv", ".png")}


def same_file(net, other, folder):
    files = [save_model(n, folder / name, name="same").read_bytes() for n, name in ((net, "a"), (other, "b"))]
    return files[0] == files[1]


@pytest.mark.parametrize("kills", [["writing"], pytest.param(["stage1", "writing"], marks=pytest.mark.slow)])
def test_killed_and_resumed_is_the_same_model(recipe, trained, tiny_recipe, tiny_pack, tmp_path, root, kills):
    work = tmp_path / "run"
    left = {"stage1": {"stage1.ckpt"}, "writing": {"stage1.ckpt", "stage2.ckpt", "stage2.part"}}
    for where in kills:
        assert kill(where, tiny_recipe, tiny_pack, work, root) == left[where]
    assert (work / "stage2.part").read_bytes() == b"half a checkpoint"
    seen = []
    net = train(recipe, tiny_pack, work, threads=1, report=seen.append)
    assert {p.stage for p in seen} == {"stage2"}
    assert seen[-1].step == 4
    assert same_file(net, trained[1], tmp_path)


@pytest.mark.slow
def test_killed_in_stage_three_and_resumed_is_the_same_model(trained, tiny_recipe, tiny_pack, tmp_path, root):
    path, work = tmp_path / "three.toml", tmp_path / "run"
    path.write_text(tiny_recipe.read_text() + "[stage3]\nsteps = 6\nbatch = 2\nwarmup = 1\nlr = 1e-4\n")
    shutil.copytree(trained[0], work)
    whole = train(load_recipe(path), tiny_pack, shutil.copytree(trained[0], tmp_path / "whole"), threads=1)
    assert kill("stage3", path, tiny_pack, work, root) == {f"stage{k}.ckpt" for k in (1, 2, 3)}
    assert torch.load(work / "stage3.ckpt", weights_only=True)["step"] == 3
    seen = []
    net = train(load_recipe(path), tiny_pack, work, threads=1, report=seen.append)
    assert [(p.stage, p.step) for p in seen] == [("stage3", 4), ("stage3", 6)]
    assert same_file(net, whole, tmp_path)


def test_stage_three_moves_the_backbone_too(recipe, trained, tiny_pack, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    third = replace(recipe.stage2, steps=2, lr=1e-3)
    net = train(replace(recipe, stage3=third), tiny_pack, tmp_path, threads=1)
    assert not equal(net.backbone, trained[1].backbone)
    assert not equal(net.combine, trained[1].combine)
    fixed = net.backbone.state_dict()["bn1.running_mean"]
    assert torch.equal(fixed, trained[1].backbone.state_dict()["bn1.running_mean"])
    (tmp_path / "stage3.ckpt").unlink()
    running = replace(recipe, stage3=replace(third, backbone_norm="running"))
    moved = train(running, tiny_pack, tmp_path, threads=1).backbone.state_dict()["bn1.running_mean"]
    assert not torch.equal(moved, fixed)


def test_curves_and_worst_cases_are_pictures(trained, tiny_pack):
    sizes = {name: cv2.imread(str(trained[0] / name)).shape for name in ("curves.png", "worst-stage1.png")}
    assert sizes["worst-stage1.png"] == (64, 8 * 48, 3)  # two people, room for eight
    assert sizes["curves.png"][0] > 300
    # One row of curves per stage; not blank.
    assert cv2.imread(str(trained[0] / "curves.png")).std() > 5


def test_tensorboard_gets_every_number(recipe, trained, tiny_pack, tmp_path):
    pytest.importorskip("tensorboard")
    shutil.copy(trained[0] / "stage1.ckpt", tmp_path)
    train(recipe, tiny_pack, tmp_path, threads=1, stages=[2], with_tensorboard=True)
    (events,) = (tmp_path / "tensorboard").iterdir()
    data = events.read_bytes()
    for tag in (b"stage2/loss", b"stage2/lr", b"stage2/validation/windows", b"stage2/validation/single"):
        assert tag in data


def test_tensorboard_that_is_not_installed(recipe, tiny_pack, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else find(name, *a))
    with pytest.raises(UsageError, match="tensorboard is not installed; install it with: pip install"):
        train(recipe, tiny_pack, tmp_path, with_tensorboard=True)


def test_how_many_stills_are_set_in_motion(recipe, tiny_pack):
    samples = read_samples(tiny_pack, recipe.data, split="train")
    counts = {share: [len(s.pictures) for s in with_motion(samples, share)] for share in (0.0, 1.0, 2.0)}
    assert counts == {0.0: [3] * 3, 1.0: [3] * 3 + [1] * 3, 2.0: [3] * 3 + [1] * 6}
    stills = [s for s in samples if len(s.pictures) == 1]
    assert with_motion(stills, 1.0) == stills


def test_stopping_from_between_leaves_a_run_that_continues(recipe, trained, tiny_pack, tmp_path):
    calls = []

    def interrupt():
        calls.append(1)
        if len(calls) == 8:  # six steps of stage 1, two of stage 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tiny_pack, tmp_path, threads=1, after_step=interrupt)
    assert torch.load(tmp_path / "stage2.ckpt", weights_only=True)["step"] == 2
    assert equal(train(recipe, tiny_pack, tmp_path, threads=1), trained[1])


def test_excluded_sources_are_not_read(recipe, trained, tiny_pack, tmp_path):
    none = replace(recipe, data=replace(recipe.data, exclude=("own",)))
    with pytest.raises(UsageError, match="no training samples"):
        train(none, tiny_pack, tmp_path / "work")


def test_people_with_human_labels_may_be_shown_more_often(recipe, writer, tools, tmp_path):
    pack = writer()
    for kind in ("teacher", "human", "teacher", "human", "teacher"):
        pack.add([tools["person"]((8, 8, 36, 64)) | {"label_kind": kind}])
    pack.add([tools["person"]((8, 8, 36, 64)) | {"label_kind": "human"}], split="val")
    pack.write()
    data = replace(recipe.data, triplets=(), human_repeat=3)
    samples, held = read_splits(tmp_path, data, None, nothing="")
    assert sorted(s.human for s in samples) == [False] * 3 + [True] * 6
    assert len(held) == 1
    by_source = replace(data, repeat=(RepeatConfig(source="own", times=2),))
    assert sorted(s.human for s in read_splits(tmp_path, by_source, None, nothing="")[0]) == [False] * 6 + [True] * 4
    with pytest.raises(UsageError, match=r"data\.repeat names owm"):
        read_splits(tmp_path, replace(data, repeat=(RepeatConfig(source="owm", times=2),)), None, nothing="")


def test_stage_two_alone_needs_stage_one(recipe, tiny_pack, tmp_path):
    with pytest.raises(UsageError, match="needs the checkpoint of stage 1"):
        train(recipe, tiny_pack, tmp_path, stages=(2,))


def test_checkpoint_of_another_recipe(recipe, trained, tiny_pack, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    wider = replace(recipe, model=replace(recipe.model, backbone=replace(recipe.model.backbone, width=12)))
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained with model\.backbone\.width = 8, .* 12") as caught:
        train(wider, tiny_pack, tmp_path, threads=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "muon"}, r"stage2\.optimizer = 'adamw', the recipe says 'muon'"),
        ({"lr": 0.5}, r"stage2\.lr = 0\.001, the recipe says 0\.5"),
    ],
)
def test_a_stage_resumes_no_other_settings(recipe, trained, tiny_pack, tmp_path, change, message):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    other = replace(recipe, stage2=replace(recipe.stage2, **change))
    with pytest.raises(UsageError, match=message):
        train(other, tiny_pack, tmp_path, threads=1)
    # Stage 1 alone does not depend on it.
    assert equal(train(other, tiny_pack, tmp_path, threads=1, stages=(1,)).backbone, trained[1].backbone)


def test_other_data_or_seed_are_refused_and_a_longer_stage_goes_on(recipe, trained, tiny_pack, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    with pytest.raises(UsageError, match="seed = 1, the recipe says 4"):
        train(replace(recipe, seed=4), tiny_pack, tmp_path, threads=1)
    with pytest.raises(UsageError, match=r"data\.exclude = \['forbidden'\], the recipe says \[\]"):
        train(replace(recipe, data=replace(recipe.data, exclude=())), tiny_pack, tmp_path, threads=1)
    with pytest.raises(UsageError, match=r"stage2\.ckpt: was trained with stage1\.steps = 6"):
        train(replace(recipe, stage1=replace(recipe.stage1, steps=7)), tiny_pack, tmp_path, threads=1, stages=(2,))
    seen = []
    longer = replace(recipe, name="renamed", stage2=replace(recipe.stage2, steps=5))
    train(longer, tiny_pack, tmp_path, threads=1, report=seen.append)
    assert [(p.stage, p.step) for p in seen] == [("stage2", 5)]


def test_other_labels_and_another_start_are_refused_unless_accepted(recipe, trained, tiny_pack, tmp_path):
    data, work = tmp_path / "data", tmp_path / "run"
    shutil.copytree(tiny_pack, data)
    shutil.copytree(trained[0], work)
    told = []
    assert equal(train(recipe, data, work, threads=1, notice=told.append), trained[1])  # only its place is another
    continues = [f"continues from {work / name}" for name in ("stage1.ckpt", "stage2.ckpt")]
    assert told == ["9 labelled people to train on, 2 to validate on", *continues]
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained without --init"):
        train(recipe, data, work, threads=1, init=trained[1])
    labels = data / "triplets.json"
    labels.write_text(labels.read_text() + " ")
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained on other labels: triplets has changed") as caught:
        train(recipe, data, work, threads=1)
    assert caught.value.exit_code == 2
    longer = replace(recipe, stage2=replace(recipe.stage2, steps=5))
    train(longer, data, work, threads=1, accept_changes=True)
    stored = {n: torch.load(work / f"stage{n}.ckpt", weights_only=True) for n in (1, 2)}
    assert (stored[1]["step"], stored[2]["step"]) == (6, 5)
    assert stored[1]["sources"] != stored[2]["sources"]


def test_a_work_folder_that_is_a_file(recipe, tiny_pack, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        train(recipe, tiny_pack, tmp_path / "file")


def test_phases_follow_their_shares():
    phases = (PhaseConfig(size=(96, 128), share=0.5), PhaseConfig(size=(144, 192), share=0.5))
    config = StageConfig(steps=10, sigma=3.0, phases=phases)
    sizes = [config.crop_size(step, (144, 192)) for step in range(12)]
    assert sizes[:5] == [((96, 128), 2.0)] * 5  # sigma shrinks with the person
    assert sizes[5:] == [((144, 192), 3.0)] * 7
    assert replace(config, phases=()).crop_size(3, (144, 192)) == ((144, 192), 3.0)
