"""The loss of regression networks against the published one, and its behaviour where nothing is labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.nets.realnvp import RealNVP
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.training.dsta.rle import JOINT_WEIGHTS, regression_targets, rle_loss, rle_terms


@pytest.fixture(scope="module")
def fill(root):
    import importlib.util

    path = root / "tests" / "data" / "dsta" / "fill_weights.py"
    spec = importlib.util.spec_from_file_location("rle_fill_weights", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def flow(fill):
    density = RealNVP()
    state = {
        name: torch.from_numpy(np.array(fill.value_for(f"flow.{name}", tuple(value.shape))))
        for name, value in density.state_dict().items()
    }
    density.load_state_dict(state)
    return density


@pytest.fixture
def case(golden, root):
    arrays = golden.arrays(root / "tests" / "data" / "dsta" / "caseF_rle_loss.npz")
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def differs(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    return bool((ours - theirs).abs().max() > tolerance * theirs.abs().max())


def test_case_f(case, flow):
    pred, sigma = case["pred"].requires_grad_(), case["sigma"].requires_grad_()
    terms = rle_terms(pred, sigma, case["target"], flow)
    assert not differs(terms.log_phi, case["log_phi"])
    assert not differs(terms.nf, case["nf_loss"])
    assert not differs(terms.q, case["q_logprob"])
    loss = rle_loss(pred, sigma, case["target"], case["weight"], flow)
    assert loss.item() == pytest.approx(float(case["loss"]), rel=1e-5)
    loss.backward()
    assert not differs(pred.grad, case["grad_pred"])
    assert not differs(sigma.grad, case["grad_sigma"])
    parameters = dict(flow.named_parameters())
    names = [name for name in case if name.startswith("grad::")]
    assert len(names) == 3
    for name in names:
        assert not differs(parameters[name.removeprefix("grad::flow.")].grad, case[name]), name


def test_case_f_notices_another_prior(case, fill):
    assert float(case["prior_logprob_at_0"]) == pytest.approx(-0.25 - np.log(2 * np.pi), abs=1e-5)
    still = RealNVP()
    for parameter in still.parameters():
        torch.nn.init.zeros_(parameter)
    assert still.log_prob(torch.zeros(2)).item() == pytest.approx(float(case["prior_logprob_at_0"]), abs=1e-5)
    assert still(torch.full((2,), 0.5)).item() == pytest.approx(-np.log(2 * np.pi), abs=1e-5)


def test_the_flow_is_a_density(flow):
    """It integrates to one over the plane (mild couplings, so that a grid covers it)."""
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(0.5)
        side = torch.linspace(-10, 10, 201)
        grid = torch.stack(torch.meshgrid(side, side, indexing="ij"), dim=-1)
        mass = flow(grid).exp().sum() * float(side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1.0, abs=0.01)


def test_unlabelled_joints_may_hold_anything(case, flow):
    assert (case["weight"] == 0).any()
    pred, sigma = case["pred"].requires_grad_(), case["sigma"].requires_grad_()
    broken = torch.where(case["weight"] > 0, case["target"], torch.nan)
    loss = rle_loss(pred, sigma, broken, case["weight"], flow)
    loss.backward()
    assert loss.item() == pytest.approx(float(case["loss"]), rel=1e-5)
    assert not differs(pred.grad, case["grad_pred"])


def test_nothing_labelled_is_zero(case, flow):
    pred = case["pred"].requires_grad_()
    loss = rle_loss(pred, case["sigma"], torch.full_like(case["target"], torch.inf), case["weight"] * 0, flow)
    loss.backward()
    assert loss.item() == 0
    assert pred.grad.abs().max().item() == 0


def test_the_loss_falls_towards_the_target():
    torch.manual_seed(0)
    density = RealNVP()
    target = torch.rand(4, 17, 2)
    near = rle_loss(target + 0.01, torch.full_like(target, 0.1), target, torch.ones_like(target), density)
    far = rle_loss(target + 0.5, torch.full_like(target, 0.1), target, torch.ones_like(target), density)
    assert near < far


def test_targets_run_from_zero_to_one_and_end_at_the_crop():
    joints = torch.zeros(1, 17, 3)
    joints[..., 2] = 1
    joints[0, 9] = torch.tensor([96.0, 64.0, 1.0])  # left wrist
    joints[0, 1] = torch.tensor([191.0, 255.0, 1.0])  # the last pixel
    joints[0, 2] = torch.tensor([191.5, 10.0, 1.0])  # beyond it
    joints[0, 5] = torch.tensor([-0.5, 10.0, 1.0])
    joints[0, 6] = torch.tensor([torch.nan, 10.0, 0.0])
    target, weight = regression_targets(joints, (192, 256))
    assert target.shape == weight.shape == (1, 17, 2)
    assert target[0, 9].tolist() == [0.5, 0.25]
    assert weight[0, 9].tolist() == [1.5, 1.5]
    assert weight[0, 1].tolist() == [1, 1]
    assert weight[0, [2, 5, 6]].abs().max() == 0


def test_limb_ends_weigh_more():
    by_name = dict(zip(JOINT_NAMES, JOINT_WEIGHTS, strict=True))
    assert {n.split("_")[-1] for n, w in by_name.items() if w == 1.2} == {"elbow", "knee"}
    assert {n.split("_")[-1] for n, w in by_name.items() if w == 1.5} == {"wrist", "ankle"}
