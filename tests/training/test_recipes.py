"""Every recipe in the box loads through `dcpose train`; kinds of training are one line of a registry."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.training.engine.config import LoopConfig
from dcpose_cli.training.recipes import KINDS, load_recipe

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(ROOT.glob("models/*/recipe*.toml")) + sorted(ROOT.glob("benchmarks/recipes/*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_recipes_load(path):
    recipe = load_recipe(path)
    assert recipe.kind in KINDS
    assert isinstance(recipe, KINDS[recipe.kind].recipe)
    assert all(isinstance(stage, LoopConfig) for stage in recipe.stages().values())
    if path.parent.parent.name == "models":
        assert recipe.name == path.parent.name
    if getattr(recipe.data, "format", "pack") == "pack":
        # Test clips, and sources whose licence forbids training for release.
        assert {"peers", "sapiens_itw", "propainter"} <= set(recipe.data.exclude)


def test_every_model_in_the_box_has_a_recipe(root):
    folders = {path.parent for path in (root / "models").glob("*/model.safetensors")}
    assert folders <= {path.parent for path in SHIPPED}
    assert len(SHIPPED) >= 8


def test_every_kind_of_recipe_has_the_same_frame():
    for kind, entry in KINDS.items():
        names = {field.name: field for field in fields(entry.recipe)}
        assert names["kind"].default == kind
        assert {"name", "data", "stage1", "seed"} <= set(names)


def test_an_unknown_kind_is_named(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("kind = 3\n")
    with pytest.raises(UsageError, match="known are dcpose, dsta, detector"):
        load_recipe(path)
