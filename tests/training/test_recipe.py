from __future__ import annotations

import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.nets import DCPose
from dcpose_cli.training.recipe import load_recipe


def test_the_released_recipe(root):
    recipe = load_recipe(root / "models" / "dcpose-s" / "recipe.toml")
    assert recipe.name == "dcpose-s"
    assert recipe.model.input_size == (144, 192)
    assert recipe.stage1.phases[-1].size == recipe.model.input_size
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
        ("seed = 1", "seed = -1", "seed"),
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
