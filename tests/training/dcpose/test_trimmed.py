"""A training on trimmed crops: people of like shape go together, and the model looks at such crops afterwards."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest
import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.training.data import batches
from dcpose_cli.training.dcpose import stages
from dcpose_cli.training.dcpose.train import save, train
from dcpose_cli.training.recipes import load_recipe

SIZE = (96, 128)


@pytest.fixture
def recipe(tiny_recipe):
    whole = load_recipe(tiny_recipe)
    model, stage1 = replace(whole.model, input_size=SIZE), replace(whole.stage1, phases=())
    return replace(whole, crop_margin=0.1, model=model, stage1=stage1)


def test_a_model_trained_on_trimmed_crops_looks_at_them(recipe, tiny_pack, tmp_path, monkeypatch):
    shapes, real = [], stages.training_batch

    def spied(*given, **options):
        batch = real(*given, **options)
        shapes.append(tuple(batch.images.shape))
        return batch

    monkeypatch.setattr(stages, "training_batch", spied)
    net = train(recipe, tiny_pack, tmp_path / "run", threads=1)
    assert batches._sizes_of_block.cache_info().currsize == 0  # the samples are not kept
    assert {channels for _, channels, _, _ in shapes} == {3, 9}
    assert any((width, height) != SIZE for _, _, height, width in shapes)
    assert all(width <= SIZE[0] and height <= SIZE[1] for _, _, height, width in shapes)
    assert open_model(save(net, recipe, tmp_path / "model", overwrite=False)).header.crop_margin == 0.1
    worst = cv2.imread(str(tmp_path / "run" / "worst-stage1.png"))
    assert worst.shape[1] % SIZE[0] == 0
    assert worst.shape[0] % SIZE[1] == 0


def test_a_stopped_training_goes_on_with_the_same_crops(recipe, tiny_pack, tmp_path, monkeypatch):
    whole, real = train(recipe, tiny_pack, tmp_path / "whole", threads=1), stages.training_batch

    for window, last in ((False, 3), (True, 2)):

        def stopped(samples, step, *, at=(window, last), **options):
            if (options["window"], step) == at:
                raise KeyboardInterrupt
            return real(samples, step, **options)

        monkeypatch.setattr(stages, "training_batch", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tiny_pack, tmp_path / "run", threads=1)
    monkeypatch.setattr(stages, "training_batch", real)
    resumed = train(recipe, tiny_pack, tmp_path / "run", threads=1)
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items())


def test_margins_that_cannot_be(recipe):
    for margin in (-0.1, 11.0):
        with pytest.raises(ValueError, match=r"crop_margin must be in 0..10"):
            replace(recipe, crop_margin=margin).check()
