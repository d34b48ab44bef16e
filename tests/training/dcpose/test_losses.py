from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcpose_cli.training.dcpose.losses import (
    gaussian_targets,
    hardest,
    heatmap_loss,
    published_loss,
    rounded_targets,
    stage_loss,
    swap_emphasis,
)
from dcpose_cli.training.dcpose.recipe import StageConfig


def joint(x, y, w=1.0):
    return torch.tensor([[[x, y, w]]], dtype=torch.float32)


def test_target_has_its_centre_exactly_there():
    target = gaussian_targets(joint(10.3, 7.8), (24, 20), 2.0)
    assert target.shape == (1, 1, 20, 24)
    ys, xs = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    mass = target[0, 0].double()
    assert float((mass * xs).sum() / mass.sum()) == pytest.approx(10.3, abs=1e-2)
    assert float((mass * ys).sum() / mass.sum()) == pytest.approx(7.8, abs=1e-2)
    assert float(target[0, 0, 8, 10]) == pytest.approx(np.exp(-(0.3**2 + 0.2**2) / 8))


def test_on_a_pixel_the_peak_is_one_and_sigma_is_sigma():
    target = gaussian_targets(joint(5, 6), (16, 16), 2.0)[0, 0]
    assert float(target[6, 5]) == 1
    assert float(target[6, 7]) == pytest.approx(np.exp(-0.5))
    assert float(target[8, 5]) == pytest.approx(np.exp(-0.5))
    assert torch.equal(target.argmax(), torch.tensor(6 * 16 + 5))


def test_published_targets_are_ours_of_the_rounded_centre(golden):
    """The published code rounds the centre and stops at 3 sigma; everything inside the patch is the same."""
    prepost = golden.arrays(golden.DATA / "prepost.npz")
    joints, seen = prepost["target_joints"][0], prepost["target_weight"][0, :, 0] > 0.5
    centres = np.trunc(joints[:, :2] / 4 + 0.5)
    ours = gaussian_targets(torch.tensor(np.c_[centres, seen][None], dtype=torch.float32), (72, 96), 3.0)[0].numpy()
    theirs = prepost["target_item0"]
    assert seen.sum() > 5
    for j in np.flatnonzero(seen):
        inside = theirs[j] > 0
        assert inside.any()
        assert np.abs(ours[j] - theirs[j])[inside].max() < 1e-6
        assert ours[j][~inside].max() < np.exp(-0.5 * (10 / 3) ** 2) + 1e-6
    # And the weight: published joints out of the crop have none.
    assert np.array_equal(prepost["target_sum"][0] > 0, seen)


def test_unrounded_centres_differ_by_less_than_half_a_pixel(golden):
    prepost = golden.arrays(golden.DATA / "prepost.npz")
    joints, seen = prepost["target_joints"][0, :, :2] / 4, prepost["target_weight"][0, :, 0] > 0.5
    ours = gaussian_targets(torch.tensor(np.c_[joints, seen][None], dtype=torch.float32), (72, 96), 3.0)[0]
    inner = seen & (joints > 1).all(1) & (joints < [70, 94]).all(1)
    assert inner.sum() == 5
    for j in np.flatnonzero(inner):
        y, x = divmod(int(prepost["target_peak"][0, j]), 72)
        assert np.abs(joints[j] - [x, y]).max() <= 0.5
        assert int(ours[j].argmax()) == y * 72 + x


def test_loss_against_the_published_formula(golden):
    """Published: mean over batch and pixels of the squared weighted difference, mean over 17 slots (SPEC 8.2).

    Ours sums over pixels and divides by the labelled joints; with weights of 0 and 1 the two differ by a factor.
    """
    prepost = golden.arrays(golden.DATA / "prepost.npz")
    predicted = torch.from_numpy(golden.module("inputs").loss_prediction())
    weight = torch.from_numpy(prepost["target_weight"][..., 0].copy())
    # The stored targets are complete for item 0 only, so the other two take no part.
    target = torch.zeros_like(predicted)
    target[0] = torch.from_numpy(prepost["target_item0"])
    weight[1:] = 0
    published = torch.stack(
        [((predicted[:, j] - target[:, j]) * weight[:, j, None, None]).square().mean() for j in range(17)]
    ).mean()
    ours = heatmap_loss(predicted, target, weight)
    factor = predicted.numel() / float(weight.sum())
    assert float(ours) == pytest.approx(float(published) * factor, rel=1e-4)


def test_joints_of_weight_zero_count_for_nothing():
    torch.manual_seed(0)
    predicted, target = torch.rand(2, 3, 4, 5, requires_grad=True), torch.rand(2, 3, 4, 5)
    weight = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 1.0]])
    loss = heatmap_loss(predicted, target, weight)
    loss.backward()
    touched = predicted.grad.abs().sum(dim=(2, 3)) > 0
    assert torch.equal(touched, weight > 0)
    spoilt = predicted.detach().clone()
    spoilt[0, 1] = 1e6
    assert torch.equal(heatmap_loss(spoilt, target, weight), loss)


def test_weights_are_shares():
    predicted, target = torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3)
    assert float(heatmap_loss(predicted, target, torch.tensor([[1.0, 1.0]]))) == pytest.approx(9)
    predicted[0, 1] = 1  # perfect there, so only joint 0's error counts, by its share of the weight
    assert float(heatmap_loss(predicted, target, torch.tensor([[1.0, 0.5]]))) == pytest.approx(9 / 1.5)


def test_nothing_labelled_is_zero_not_nan():
    out = heatmap_loss(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.zeros(1, 2))
    assert float(out) == 0


def test_half_precision_predictions_are_compared_in_float32():
    out = heatmap_loss(torch.ones(1, 1, 300, 300, dtype=torch.bfloat16), torch.zeros(1, 1, 300, 300), torch.ones(1, 1))
    assert out.dtype == torch.float32
    assert float(out) == 90_000


# --- the published variants, and the joints that are hardest


def published(golden):
    """Targets and weights of the golden's three people out of our own code, and its prediction."""
    prepost = golden.arrays(golden.DATA / "prepost.npz")
    joints = np.concatenate([prepost["target_joints"][..., :2] / 4, prepost["target_vis"][..., :1]], axis=2)
    target, weight = rounded_targets(torch.tensor(joints, dtype=torch.float32), (72, 96), 3.0)
    return prepost, target, weight, torch.from_numpy(golden.module("inputs").loss_prediction())


def test_rounded_targets_are_the_published_ones(golden):
    prepost, target, weight, _ = published(golden)
    assert np.array_equal(weight.numpy(), prepost["target_weight"][..., 0])
    assert np.abs(target[0].numpy() - prepost["target_item0"]).max() < 1e-6
    assert target.double().sum(dim=(2, 3)).numpy() == pytest.approx(prepost["target_sum"], rel=1e-5, abs=1e-6)
    drawn = weight.numpy() > 0.5
    assert np.array_equal(target.flatten(2).argmax(dim=2).numpy()[drawn], prepost["target_peak"][drawn])


def test_the_published_loss(golden):
    prepost, target, weight, predicted = published(golden)
    assert float(published_loss(predicted, target, weight)) == pytest.approx(float(prepost["loss"]), rel=1e-6)
    full = torch.ones_like(weight)
    assert float(published_loss(predicted, target, full)) == pytest.approx(float(prepost["loss_no_weight"]), rel=1e-6)


def test_the_hardest_joints_of_each_person():
    predicted = torch.zeros(2, 4, 3, 3)
    target = torch.tensor([[1.0, 4, 2, 3], [5, 1, 1, 2]])[..., None, None].expand(2, 4, 3, 3)
    weight = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.01, 1.0, 1.0, 0.0]])
    # A large error of no weight is not hard; of a small weight it is little.
    assert hardest(predicted, target, weight, 2).tolist() == [[0, 0, 1, 1], [0, 1, 1, 0]]
    assert torch.equal(hardest(predicted, target, weight, 4), weight)


def test_stages_choose_their_loss():
    torch.manual_seed(0)
    predicted = torch.rand(2, 17, 16, 12)
    joints = torch.rand(2, 17, 3) * torch.tensor([11.0, 15.0, 1.0])
    joints[..., 2] = (joints[..., 2] > 0.3).float()
    base = StageConfig(steps=1)
    plain = heatmap_loss(predicted, gaussian_targets(joints, (12, 16), 2.0), joints[..., 2])
    assert torch.equal(stage_loss(base, predicted, joints, 2.0), plain)
    rounded, weight = rounded_targets(joints, (12, 16), 2.0)
    ours = stage_loss(replace(base, coding="rounded", loss="mean"), predicted, joints, 2.0)
    assert torch.equal(ours, published_loss(predicted, rounded, weight))
    hard = [float(stage_loss(replace(base, hard_joints=k), predicted, joints, 2.0)) for k in (1, 4, 17)]
    assert hard[0] > hard[1] > hard[2] == pytest.approx(float(plain))
    mean = [float(stage_loss(replace(base, loss="mean", hard_joints=k), predicted, joints, 2.0)) for k in (4, 17)]
    assert mean[0] > mean[1]


def pair_of(left, right):
    """Joints (1, 17, 3) of which only the knees are labelled, at `left` and `right`."""
    joints = torch.zeros(1, 17, 3)
    for slot, place in zip((13, 14), (left, right), strict=True):
        if place is not None:
            joints[0, slot] = torch.tensor([*place, 1.0])
    return joints


def emphasis(joints, swap_weight=2.0):
    return swap_emphasis(gaussian_targets(joints, (24, 20), 2.0), joints[..., 2], swap_weight)[0]


def test_an_error_counts_more_where_the_other_of_a_pair_is():
    weights = emphasis(pair_of((5, 10), (18, 10)))
    assert weights.shape == (17, 20, 24)
    assert float(weights[13, 10, 18]) == float(weights[14, 10, 5]) == pytest.approx(3.0, abs=1e-3)
    assert float(weights[13, 10, 5]) == float(weights[14, 10, 18]) == 1
    assert (weights[13, :, 12:].max(), weights[0].max(), weights[12].max()) == (weights.max(), 1, 1)


def test_joints_that_cannot_be_told_apart_count_as_ever():
    assert torch.equal(emphasis(pair_of((9, 9), (9, 9))), torch.ones(17, 20, 24))  # both in one place
    alone = emphasis(pair_of((5, 10), None))
    assert torch.equal(alone[13], torch.ones(20, 24))  # nobody says where the partner is


def test_a_swap_costs_more_than_another_error():
    joints = pair_of((5, 10), (18, 10))
    truth, weight = gaussian_targets(joints, (24, 20), 2.0), joints[..., 2]
    swapped = truth.clone()
    swapped[:, [13, 14]] = truth[:, [14, 13]]
    elsewhere = gaussian_targets(pair_of((5, 2), (18, 18)), (24, 20), 2.0)
    plain = [heatmap_loss(maps, truth, weight) for maps in (truth, swapped, elsewhere)]
    more = [heatmap_loss(maps, truth, weight, 2.0) for maps in (truth, swapped, elsewhere)]
    assert plain[0] == more[0] == 0
    assert more[1] > 1.5 * plain[1]
    assert more[2] == pytest.approx(float(plain[2]), rel=0.05)
    config = StageConfig(steps=1, swap_weight=2.0)
    assert stage_loss(config, swapped, joints, 2.0) == more[1]
