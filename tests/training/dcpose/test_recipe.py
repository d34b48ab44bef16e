from __future__ import annotations

from dataclasses import replace

import pytest

from dcpose_cli.checkpoints.files import find_weights, open_model, shipped_models
from dcpose_cli.errors import UsageError, WeightsError
from dcpose_cli.nets import DCPose, DCPoseConfig
from dcpose_cli.training.engine.config import learning_rate
from dcpose_cli.training.recipes import load_recipe


def test_the_released_recipe(root):
    folder = root / "models" / "dcpose-s"
    recipe = load_recipe(folder / "recipe.toml")
    assert recipe.name == "dcpose-s"
    header = open_model(folder).header
    assert (header.input_size, header.decoding) == (recipe.model.input_size, recipe.decoding)
    assert [phase.size for phase in recipe.stage1.phases[-1:]] in ([], [recipe.model.input_size])
    assert {"peers", "sapiens_itw", "propainter"} <= set(recipe.data.exclude)
    assert sum(p.numel() for p in DCPose(recipe.model).parameters()) > 1e6


def test_defaults_and_overrides(tiny_recipe):
    recipe = load_recipe(tiny_recipe)
    assert (recipe.stage1.steps, recipe.stage1.lr, recipe.augment.flip_prob, recipe.seed) == (6, 1e-3, 0.5, 1)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("seed = 1", "seed = 1\ncolour = 3", "unknown key colour"),
        ("[stage2]", "[stage2]\nwarmpu = 3", "unknown key stage2.warmpu"),
        ("[stage2]", "[augment]\nflip = 0.5\n[stage2]", "unknown key augment.flip"),
        ("\nwidth = 8", '\nwidth = "8"', "model.backbone.width must be int"),
        ("steps = 6", "steps = 6.5", "stage1.steps must be int"),
        ("steps = 6", "steps = true", "stage1.steps must be int"),
        ("steps = 6\n", "", "missing key stage1.steps"),
        ('name = "tiny"', "", "missing key name"),
        ('stills = ["stills"]', 'stills = "stills"', "data.stills must be a list"),
        ("input_size = [48, 64]", "input_size = [48]", "model.input_size must have 2 entries"),
        ("input_size = [48, 64]", "input_size = [50, 64]", "model.input_size must be multiples of 16"),
        ("size = [32, 48]", "size = [30, 48]", "stage1.phases.0.size must be multiples of 16"),
        ("size = [32, 48], share = 0.5", "size = [32, 48], share = 0.4", "stage1.phases add up to 0.9"),
        ("size = [32, 48], share = 0.5", "size = [32, 48]", "missing key stage1.phases.share"),
        ("steps = 4", "steps = 0", "stage2.steps"),
        ("batch = 2\nwarmup = 1", "batch = 0", "stage2.batch"),
        ("batch = 2\nwarmup = 1", "lr = 0.0", "stage2.lr"),
        ("batch = 2\nwarmup = 1", "ema = 1.0", "stage2.ema"),
        ("batch = 2\nwarmup = 1", "sigma = 0.0", "stage2.sigma"),
        ("[stage2]", "[augment]\ndamage = 25.0\n[stage2]", "augment.damage"),
        ("[stage2]", "[augment]\ncut_prob = -0.1\n[stage2]", "augment.cut_prob"),
        ("seed = 1", "seed = -1", "seed"),
        ("steps = 4", "steps = 4\nepochs = 2", "missing key stage2.steps (or stage2.epochs"),
        ("steps = 4", "steps = -4", "stage2.steps"),
        ("steps = 4", 'steps = 4\noptimizer = "sgd"', "stage2.optimizer must be one of adamw, adam"),
        ("steps = 4", 'steps = 4\nschedule = "step"', "stage2.schedule must be one of cosine, multistep"),
        ("steps = 4", 'steps = 4\ncoding = "x"', "stage2.coding must be one of"),
        ("steps = 4", 'steps = 4\nloss = "x"', "stage2.loss must be one of"),
        ("steps = 4", 'steps = 4\nbackbone_norm = "x"', "stage2.backbone_norm must be one of"),
        ("steps = 4", 'steps = 4\ninit = "x"', "stage2.init must be one of"),
        ("steps = 4", "steps = 4\nhard_joints = 18", "stage2.hard_joints"),
        ("steps = 4", "steps = 4\nclip = -1.0", "stage2.clip"),
        ("steps = 4", "steps = 4\ndecay = 1.5", "stage2.decay"),
        ("steps = 4", "steps = 4\nswap_weight = -1.0", "stage2.swap_weight"),
        ("steps = 4", 'steps = 4\nswap_weight = 1.0\nloss = "mean"', "stage2.swap_weight needs the loss sum"),
        ("steps = 4", "steps = 4\nmilestones = [3.0, 1.0]", "stage2.milestones must rise"),
        ("[data]", '[data]\nformat = "voc"', "data.format must be one of pack, coco"),
        ("[data]", '[data]\nformat = "coco"', "missing key data.train, which coco needs"),
        ("[data]", "[data]\ndistance = 1", "data.distance"),
        ("[data]", "[data]\nhold_out_clips = 1.0", "data.hold_out_clips"),
        ("[data]", "[data]\nhuman_repeat = 0", "data.human_repeat"),
        ("[data]", '[data]\nvalidate = [{ source = "a", share = 1.1 }]', "data.validate: share"),
        ("[data]", '[data]\nvalidate = [{ source = "a", share = 1 }, { source = "a", share = 1 }]', "source twice"),
        ("[data]", '[data]\nformat = "coco"\ntrain = "t"\nvalidate = [{ source = "a", share = 1 }]', "format pack"),
        ("[data]", '[data]\nmeasure = [{ name = "a b", sources = [] }]', "data.measure: name"),
        ("[data]", '[data]\nmeasure = [{ name = "a", sources = [] }, { name = "a", sources = [] }]', "a name twice"),
        ("[data]", '[data]\nrepeat = [{ source = "a", times = 0 }]', "data.repeat: times"),
        ("[data]", '[data]\nrepeat = [{ source = "a", times = 2 }, { source = "a", times = 2 }]', "source twice"),
        ('stills = ["stills"]\ntriplets = ["triplets"]', "", "missing key data.stills or data.triplets"),
        ("[model]", "[model", "not valid TOML"),
    ],
)
def test_what_does_not_fit_is_named(tiny_recipe, tmp_path, old, new, named):
    text = tiny_recipe.read_text()
    assert old in text
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert named in message
    assert str(path) in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(tmp_path / "raw.toml")


def test_the_paper_recipe(root, golden):
    recipe = load_recipe(root / "models" / "dcpose-w48" / "recipe.toml")
    assert recipe.model == DCPoseConfig()
    assert (recipe.seed, recipe.data.distance, recipe.stage2.sigma) == (8888, 2, 3.0)
    assert sum(p.numel() for p in DCPose(recipe.model).parameters()) == 65_198_798


@pytest.mark.parametrize(("name", "lr", "gamma"), [("lr_posetrack17", 1e-3, 0.1), ("lr_posetrack18", 1e-4, 0.99)])
def test_the_paper_recipe_steps_as_published(root, golden, name, lr, gamma):
    stage = replace(load_recipe(root / "models" / "dcpose-w48" / "recipe.toml").stage2, lr=lr, gamma=gamma)
    config = stage.in_steps(640)  # ten steps an epoch
    assert (config.steps, config.epochs) == (200, 0)
    ours = [learning_rate(10 * epoch, config) for epoch in range(20)]
    assert ours == pytest.approx(golden.arrays(golden.DATA / "prepost.npz")[name].tolist(), rel=1e-6)
    assert learning_rate(49, config) == pytest.approx(lr)  # the last step of epoch 4


def test_a_recipe_without_weights_is_no_shipped_model(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in ("dcpose-sb18", "dcpose-w48"):
        assert (root / "models" / name / "recipe.toml").is_file()
        assert name not in [folder.name for folder in shipped_models()]
    with pytest.raises(
        WeightsError, match=r"dcpose-sb18: there is no such model; shipped pose models: dcpose-s, dsta-s$"
    ):
        find_weights("dcpose-sb18")
    with pytest.raises(WeightsError, match=r"not on this machine yet.*run dcpose models get dcpose-w48"):
        find_weights("dcpose-w48")
