"""Training of DSTA on the tiny pack: recipes, targets, where it starts from, and resuming that changes nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.errors import UsageError
from dcpose_cli.nets import DCPose, DCPoseConfig, DSTAConfig, HRNet
from dcpose_cli.nets.dsta import DSTA
from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.dsta import train as dsta
from dcpose_cli.training.dsta.train import in_time, start_from, targets_of, train_dsta
from dcpose_cli.training.engine.config import learning_rate
from dcpose_cli.training.recipes import load_recipe

RECIPE = """
kind = "dsta"
name = "tiny-dsta"
seed = 1
freeze_backbone = true
[model]
input_size = [48, 64]
pooling = "places"
[model.backbone]
width = 8
stem = 8
layer1_width = 8
layer1_blocks = 1
modules = [1, 1, 1]
blocks = [1, 1, 1]
[data]
stills = ["stills"]
triplets = ["triplets"]
[stage1]
steps = 4
batch = 2
warmup = 1
phases = [{ size = [32, 48], share = 0.5 }, { size = [48, 64], share = 0.5 }]
[stage2]
steps = 3
batch = 2
warmup = 1
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def recipe(path):
    return load_recipe(path)


@pytest.fixture(scope="module")
def trained(recipe, tiny_pack, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return work, train_dsta(recipe, tiny_pack, work, threads=1)


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", ["dsta-s", "dsta-r50"])
def test_the_recipes_in_the_box(root, name):
    file = root / "models" / name / "recipe.toml"
    recipe = load_recipe(file)
    assert recipe.name == name
    with torch.device("meta"):
        size = sum(v.numel() for v in DSTA(recipe.model).state_dict().values())
    if name == "dsta-r50":
        assert recipe.model == DSTAConfig()
        stage = recipe.stage2.in_steps(64_000)
        assert stage.steps == 40_000
        rates = [learning_rate(step, stage) for step in (0, 21_999, 22_000, 31_999, 32_000, 39_999)]
        assert rates == pytest.approx([5e-5, 5e-5, 5e-6, 5e-6, 5e-7, 5e-7])
    else:
        assert size * 2 < 5.95 * 2**20  # float16, with room for the header: six MiB in all
        assert {"peers", "sapiens_itw", "propainter"} <= set(recipe.data.exclude)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[stage1]", "[stage0]", "unknown key stage0"),
        ('pooling = "places"', 'pooling = "max"', "pooling is 'max'"),
        ("[model]\n", "[model]\nframes = 5\n", "model.frames must be 1 or 3"),
        ("input_size = [48, 64]", "input_size = [50, 64]", "model.input_size must be multiples of 16"),
        ("steps = 3", 'steps = 3\nschedule = "linear"', "stage2.schedule must be one of"),
        ("share = 0.5 }, {", "share = 0.4 }, {", "stage1.phases add up to 0.9"),
        ("seed = 1", "seed = -1", "seed must not be negative"),
        ("seed = 1", "seed = ", "not valid TOML"),
    ],
)
def test_what_does_not_fit_is_named(path, tmp_path, old, new, said):
    assert RECIPE.count(old) == 1
    (tmp_path / "r.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(UsageError, match=r"r\.toml") as caught:
        load_recipe(tmp_path / "r.toml")
    assert said in str(caught.value)


def test_a_trained_model_loads_and_holds_no_flow(recipe, trained, tmp_path):
    work, net = trained
    assert {"stage1.ckpt", "stage2.ckpt", "log.csv", "validation.csv"} <= {p.name for p in work.iterdir()}
    stored = torch.load(work / "stage2.ckpt", weights_only=True)["net"]
    assert any(name.startswith("flow.") for name in stored)
    loaded = open_model(save_model(net, tmp_path / "m", name="m", dtype=torch.float16))
    assert loaded.header.kind == "dsta"
    assert loaded.net.config == recipe.model
    clip = torch.rand(1, 3, 3, 64, 48)
    with torch.no_grad():
        assert torch.allclose(net(clip).coordinates, loaded.net(clip).coordinates, atol=0.02)


def test_the_same_again_after_an_interruption(recipe, trained, tiny_pack, tmp_path):
    calls = []

    def interrupt():
        calls.append(1)
        if len(calls) == 6:  # four steps of stage 1, two of stage 2
            raise KeyboardInterrupt

    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train_dsta(recipe, tiny_pack, tmp_path, threads=1, after_step=interrupt)
    assert equal(train_dsta(recipe, tiny_pack, tmp_path, threads=1), trained[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_other_labels_and_another_start_are_refused_unless_accepted(recipe, trained, tiny_pack, tmp_path):
    data, work = tmp_path / "data", tmp_path / "run"
    shutil.copytree(tiny_pack, data)
    shutil.copytree(trained[0], work)
    assert equal(train_dsta(recipe, data, work, threads=1), trained[1])  # only its place is another
    with pytest.raises(UsageError, match=r"stage1\.ckpt: was trained without --init"):
        train_dsta(recipe, data, work, init=trained[1], threads=1)
    (data / "stills.json").write_text((data / "stills.json").read_text() + " ")
    with pytest.raises(
        UsageError, match=r"stage1\.ckpt: was trained on other labels: stills has changed since"
    ) as caught:
        train_dsta(recipe, data, work, threads=1)
    assert caught.value.exit_code == 2
    assert equal(train_dsta(recipe, data, work, threads=1, accept_changes=True), trained[1])


def test_a_frozen_backbone_stays(recipe, trained, tiny_pack, tmp_path):
    only = train_dsta(replace(recipe, stage2=None), tiny_pack, tmp_path, threads=1)
    assert equal(only.backbone, trained[1].backbone)
    assert not equal(only.to_tokens, trained[1].to_tokens)


def test_everything_is_trained_where_nothing_is_frozen(recipe, tiny_pack, tmp_path):
    free = replace(recipe, stage1=None, freeze_backbone=False, stage2=StageConfig(steps=1, batch=2, warmup=0, ema=0.0))
    start = dsta._start(recipe, torch.device("cpu")).net
    net = train_dsta(free, tiny_pack, tmp_path, threads=1)
    # Of the residual branches, shut at the start, their last norms move first.
    names = [n for n, _ in start.named_parameters() if ".branches." in n and n.endswith("bn2.weight")]
    assert len(names) == 9
    assert not [name for name in names if torch.equal(start.get_parameter(name), net.get_parameter(name))]


def test_where_a_training_starts_from(recipe):
    net = dsta._start(recipe, torch.device("cpu")).net
    other = DCPose(DCPoseConfig(backbone=recipe.model.backbone, input_size=(48, 64), combine_width=8, dilations=(2,)))
    for source, part in ((other, other.backbone), (HRNet(recipe.model.backbone), None)):
        part = part or source
        start_from(net, source)
        assert torch.equal(net.backbone.conv1.weight, part.conv1.weight)
        assert torch.equal(net.backbone.stage4[0].branches[3][0].bn2.bias, part.stage4[0].branches[3][0].bn2.bias)
    again = DSTA(recipe.model)
    start_from(again, net)
    assert equal(again, net)
    with pytest.raises(UsageError, match=r"\[model\]"):
        start_from(net, HRNet(replace(recipe.model.backbone, width=12)))
    with pytest.raises(UsageError, match="kind Linear"):
        start_from(net, torch.nn.Linear(1, 1))


def test_targets_and_weights():
    joints = torch.zeros(1, 17, 3)
    joints[..., 0], joints[..., 1], joints[..., 2] = 6.0, 8.0, 1.0  # heatmap pixels
    joints[0, 9, 2] = 0.5
    joints[0, 10, 0] = 12.0  # outside of a crop 48 pixels wide
    target, weight = targets_of(joints, (48, 64))
    assert target[0, 0].tolist() == [0.5, 0.5]
    assert weight[0, :, 0].tolist() == pytest.approx([1, 1, 1, 0, 0, 1, 1, 1.2, 1.2, 0.75, 0, 1, 1, 1.2, 1.2, 1.5, 1.5])


def test_frames_in_the_order_of_time():
    single = torch.rand(2, 1, 5)
    assert torch.equal(in_time(single, 3), single.repeat(1, 3, 1))
    current, previous, following = window = [torch.rand(2, 5) for _ in range(3)]
    assert torch.equal(in_time(torch.stack(window, 1), 3), torch.stack([previous, current, following], 1))
    assert torch.equal(in_time(torch.stack(window, 1), 1), current[:, None])


def test_the_command_takes_either_kind(path, tiny_pack, tiny_folder, tmp_path):
    from dcpose_cli.cli.train_command import train_model

    common = {"device": "cpu", "threads": 1, "overwrite": False, "quiet": True}
    train_model(path, tiny_pack, tmp_path / "out", tmp_path / "work", init=f"{tiny_folder}:single", **common)
    header = open_model(tmp_path / "out").header
    assert (header.kind, header.name, header.joints) == ("dsta", "tiny-dsta", "posetrack")
    assert header.predicts == tuple(slot for slot in range(17) if slot not in (3, 4))
