"""Muon: orthogonal steps for wide matrices and kernels, AdamW's steps for everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from dcpose_cli.nets import DCPose
from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.engine.loop import Loop
from dcpose_cli.training.engine.muon import Muon, is_matrix, orthogonal
from dcpose_cli.training.recipes import load_recipe

CONFIG = StageConfig(steps=12, batch=4, lr=0.02, warmup=2, ema=0.9, optimizer="muon", weight_decay=0.1)


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.Conv2d(24, 32, 3), nn.ReLU(), nn.Conv2d(32, 17, 1))


def loss_for(net):
    """A loss that depends on the step alone."""

    def loss_of(step):
        x = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(step))
        return (net(x) - x.mean(dim=(1, 2, 3), keepdim=True)).square().mean()

    return loss_of


def make(folder, net, config=CONFIG):
    folder.mkdir(exist_ok=True)
    parameters = list(net.parameters())
    return Loop("stage1", net, parameters, config, folder, device=torch.device("cpu"), report=lambda progress: None)


@pytest.mark.parametrize("shape", [(3, 24, 216), (1, 96, 24), (2, 32, 32)])
def test_singular_values_come_near_one_and_their_vectors_stay(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 100
    found = orthogonal(matrices)
    values = torch.linalg.svdvals(found)
    assert values[:, :-4].min() > 0.6  # the smallest of a square matrix may be too small to grow in so few rounds
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    # In the basis of the matrix's own singular vectors the result is diagonal, all entries positive.
    inner = u.transpose(1, 2) @ found @ v.transpose(1, 2)
    off = inner - torch.diag_embed(inner.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 0.05
    assert inner.diagonal(dim1=1, dim2=2).min() > 0


def test_first_step_of_a_matrix_has_the_length_of_adamw():
    weight = nn.Parameter(torch.zeros(32, 24, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * 1e-4
    Muon([weight], lr=0.5).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(
        0.5 * 0.2, rel=0.2
    )  # singular values 0.7 to 1.2


def test_what_is_no_wide_matrix_moves_as_with_adamw():
    net, twin = small_net(), small_net()
    assert [is_matrix(p) for p in net.parameters()] == [True, False, False, False, True, False, False, False]
    steps = [
        (net, Muon([{"params": net.parameters(), "weight_decay": 0.1}], lr=0.01)),
        (twin, torch.optim.AdamW(twin.parameters(), lr=0.01, weight_decay=0.1)),
    ]
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        gradients = [torch.randn(p.shape, generator=generator) for p in net.parameters()]
        for module, optimizer in steps:
            for p, gradient in zip(module.parameters(), gradients, strict=True):
                p.grad = gradient.clone()
            optimizer.step()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6) != is_matrix(p)


def test_which_matrices_of_the_released_network_go_to_adamw(root):
    net = DCPose(load_recipe(root / "models" / "dcpose-s" / "recipe.toml").model)
    matrices = {name: p for name, p in net.named_parameters() if p.ndim > 1}
    narrow = {name: p for name, p in matrices.items() if not is_matrix(p)}
    assert (len(matrices), len(narrow)) == (114, 6)
    assert {len(p) for p in narrow.values()} == {16, 17}
    outputs = {"backbone.final_layer.weight", "warps.0.weight"}
    assert outputs <= set(narrow)
    weights = [sum(p.numel() for p in group.values()) for group in (narrow, matrices)]
    assert 0.002 < weights[0] / weights[1] < 0.003


def test_parameters_without_a_gradient_stay():
    weight = nn.Parameter(torch.ones(32, 32))
    Muon([{"params": [weight], "weight_decay": 0.5}], lr=0.5).step()
    assert torch.equal(weight, torch.ones(32, 32))


def test_it_learns_and_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path):
    whole = make(tmp_path / "whole", small_net())
    before = loss_for(whole.net)(0).item()
    whole.run(loss_for(whole.net))
    assert loss_for(whole.net)(0).item() < before / 2
    first = make(tmp_path / "parts", small_net())

    def stop():
        if first.step == 5:
            raise KeyboardInterrupt

    first.after_step = stop
    with pytest.raises(KeyboardInterrupt):
        first.run(loss_for(first.net))
    second = make(tmp_path / "parts", small_net())
    assert second.resume()
    assert second.step == 5
    second.run(loss_for(second.net))
    assert all(torch.equal(a, b) for a, b in zip(whole.net.parameters(), second.net.parameters(), strict=True))


def test_the_schedule_reaches_both_kinds(tmp_path):
    net = small_net()
    loop = make(tmp_path, net, replace(CONFIG, steps=40))
    loop.run(loss_for(net))
    rates = [group["lr"] for group in loop.optimizer.param_groups]
    assert rates == pytest.approx([CONFIG.lr * CONFIG.final_lr] * 2, rel=0.2)
