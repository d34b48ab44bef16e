"""DCPose trained on another backbone than HRNet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.errors import UsageError
from dcpose_cli.nets import SimpleBaseline, SimpleBaselineConfig
from dcpose_cli.training.dcpose.train import train
from dcpose_cli.training.recipes import load_recipe


def test_the_recipe_on_simplebaseline(root):
    recipe = load_recipe(root / "models" / "dcpose-sb18" / "recipe.toml")
    assert recipe.model.backbone == SimpleBaselineConfig(depth=18, width=128)
    assert all(side % 32 == 0 for phase in recipe.stage1.phases for side in phase.size)


def test_both_stages_on_simplebaseline(tiny_recipe, tiny_pack, tmp_path):
    recipe = load_recipe(tiny_recipe)
    model = replace(recipe.model, backbone=SimpleBaselineConfig(depth=18, width=8))
    short = [replace(stage, steps=1, batch=2, phases=()) for stage in (recipe.stage1, recipe.stage2)]
    net = train(replace(recipe, model=model, stage1=short[0], stage2=short[1]), tiny_pack, tmp_path / "w", threads=1)
    loaded = open_model(save_model(net, tmp_path / "m", name="m", dtype=torch.float16))
    assert isinstance(loaded.net.backbone, SimpleBaseline)
    single = open_model(f"{tmp_path / 'm'}:single")
    assert single.header.kind == "simplebaseline"
    with torch.no_grad():
        assert single.net(torch.rand(1, 3, 64, 48)).shape == (1, 17, 16, 12)


@pytest.mark.parametrize("wrong", ['kind = "vit"', 'kind = "simplebaseline"\ndepth = 20'])
def test_backbones_that_are_not_are_named(tiny_recipe, tmp_path, wrong):
    text = tiny_recipe.read_text()
    start = text.index("[model.backbone]")  # the last table
    path = tmp_path / "recipe.toml"
    path.write_text(f"{text[:start]}[model.backbone]\n{wrong}\n")
    with pytest.raises(UsageError, match=r"kind is 'vit'|depth is 20"):
        load_recipe(path)
