from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from dcpose_cli.pose.crop import MEAN, STD
from dcpose_cli.pose.crop_shape import CropShape
from dcpose_cli.training.data import batches
from dcpose_cli.training.data.augment import Crops
from dcpose_cli.training.data.batches import BLOCK, Draw, Same, collate, epoch_order, plain_batch, training_batch
from dcpose_cli.training.data.config import AugmentConfig
from dcpose_cli.training.data.pack import read_parts

SIZE = (48, 64)


@pytest.fixture(scope="module")
def samples(tiny_pack):
    return read_parts(tiny_pack, ["stills", "triplets"], split="train")


def make(samples, step, **changes):
    options = {"batch": 3, "size": SIZE, "config": AugmentConfig(), "seed": 7, "window": True, **changes}
    return training_batch(samples, step, **options)


def same(a, b):
    return torch.equal(a.images, b.images) and torch.equal(a.joints, b.joints) and torch.equal(a.margin, b.margin)


def test_shapes(samples):
    windows, singles = make(samples, 0), make(samples, 0, window=False)
    assert windows.images.shape == (3, 9, 64, 48)
    assert singles.images.shape == (3, 3, 64, 48)
    assert windows.images.dtype == windows.joints.dtype == windows.margin.dtype == torch.float32
    assert windows.joints.shape == (3, 17, 3)
    assert windows.margin.shape == (3, 2)


def test_a_batch_is_a_function_of_seed_and_step(samples):
    wanted = make(samples, 5)
    make(samples, 40)  # another epoch in between
    assert same(make(samples, 5), wanted)
    assert not same(make(samples, 6), wanted)
    assert not same(make(samples, 5, seed=8), wanted)


def test_every_sample_once_per_epoch(samples):
    count = len(samples)
    assert count == 9
    assert sorted(epoch_order(count, 7, 3)) == list(range(count))
    assert not np.array_equal(epoch_order(count, 7, 3), epoch_order(count, 7, 4))
    still = {"batch": 3, "window": True, "config": AugmentConfig(flip_prob=0)}
    margins = torch.cat([make(samples, step, **still).margin for step in range(3)])
    assert sorted(map(tuple, margins.tolist())) == sorted((float(a), float(b)) for a, b in (s.margin for s in samples))


def test_the_order_of_frames_is_current_previous_next():
    images = np.stack([np.full((8, 8, 3), v, np.uint8) for v in (10, 20, 30)])  # previous, current, next
    joints = np.stack([np.full((17, 3), v, np.float32) for v in (1, 2, 3)])
    batch = collate([Crops(images, joints)], [(1, 2)])
    pixels = batch.images.view(3, 3, 8, 8) * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert (pixels.mean(dim=(1, 2, 3)) * 255).tolist() == pytest.approx([20, 10, 30], abs=0.01)
    assert batch.joints[0, 0].tolist() == [0.5, 0.5, 2]  # of the current frame, in heatmap pixels; the weight stays
    assert batch.margin.tolist() == [[1, 2]]


def test_plain_batches_do_not_vary(samples):
    windows = [s for s in samples if len(s.pictures) == 3]
    assert same(plain_batch(windows, CropShape(SIZE)), plain_batch(windows, CropShape(SIZE)))
    batch = plain_batch(windows, CropShape(SIZE))
    assert batch.images.shape == (3, 9, 64, 48)
    # The box is centred, so the middle of the labelled joints is near the middle of the heatmap.
    labelled = batch.joints[:, [0, 1, 2, *range(5, 17)], :2]
    middle = (labelled.amax(dim=1) + labelled.amin(dim=1)) / 2
    assert (middle - torch.tensor([6.0, 8.0])).abs().max() < 1


LARGE = (96, 128)
CALM = AugmentConfig(color=0.0, damage=0.0, neighbour_damage=0.0)


def trimmed(samples, step, **changes):
    return make(samples, step, **{"size": LARGE, "margin": 0.1, "batch": 2, **changes})


def test_trimmed_batches_show_the_middle_of_whole_crops(samples):
    draw = Draw(Same(samples), 2, CropShape(LARGE, 1.25, 0.1), CALM, 7, True)
    sizes = set()
    for step in range(2 * BLOCK):
        positions, size = draw.members(step)
        ours = trimmed(samples, step, config=CALM)
        assert ours.images.shape == (2, 9, size[1], size[0])
        left, top = ((np.array(LARGE) - size) // 2).tolist()
        sizes.add(size)
        for row, position in enumerate(positions):
            whole = make(samples, position, size=LARGE, config=CALM, batch=1)
            middle = whole.images[0, :, top : top + size[1], left : left + size[0]]
            assert (ours.images[row] - middle).abs().max() < 0.08  # OpenCV rounds positions to 1/32 pixel
            kept = ours.joints[row, :, 2] > 0
            moved = whole.joints[0, :, :2] - torch.tensor([left, top]) / 4
            assert torch.allclose(ours.joints[row, kept, :2], moved[kept], atol=1e-4)
            assert torch.equal(ours.joints[row, kept, 2], whole.joints[0, kept, 2])
    assert len(sizes) > 2
    assert all((a - b) % 32 == 0 for size in sizes for a, b in zip(size, LARGE, strict=True))


def test_trimmed_batches_hold_every_sample_of_a_block_once(samples):
    draw = Draw(Same(samples), 3, CropShape(LARGE, 1.25, 0.1), AugmentConfig(), 7, True)
    for block in range(2):
        steps = range(block * BLOCK, (block + 1) * BLOCK)
        seen = sorted(position for step in steps for position in draw.members(step)[0])
        assert seen == list(range(block * BLOCK * 3, (block + 1) * BLOCK * 3))


def test_trimmed_batches_are_a_function_of_seed_and_step(samples):
    wanted = trimmed(samples, 5)
    trimmed(samples, 40)
    assert same(trimmed(samples, 5), wanted)
    assert same(trimmed(list(samples), 5), wanted)
    assert not same(trimmed(samples, 5, seed=8, margin=None), wanted)


def test_the_part_of_a_crop_holds_the_labelled_joints(samples):
    calm = AugmentConfig(rotation=20.0, half_body_prob=0.0)
    lost = total = 0
    for step in range(2 * BLOCK):
        batch, whole = trimmed(samples, step, config=calm), 0
        draw = Draw(Same(samples), 2, CropShape(LARGE, 1.25, 0.1), calm, 7, True)
        for row, position in enumerate(draw.members(step)[0]):
            whole = make(samples, position, size=LARGE, config=calm, batch=1).joints[0, :, 2] > 0
            lost += int((whole & ~(batch.joints[row, :, 2] > 0)).sum())
            total += int(whole.sum())
    assert total > 200
    assert lost <= 0.01 * total


class Listed(list):
    """A list that tells when it is gone."""


def test_threads_that_need_a_block_find_its_sizes_out_once_and_let_go_of_the_samples(samples, monkeypatch):
    calls, real = [], batches.draw_geometry
    monkeypatch.setattr(batches, "draw_geometry", lambda *given, **options: calls.append(1) or real(*given, **options))
    listed = Listed(samples)
    draw = Draw(Same(listed), 2, CropShape(LARGE, 1.25, 0.1), CALM, 7, True)
    with ThreadPoolExecutor(4) as pool:
        assert len({str(members) for members in pool.map(draw.members, [0] * 8)}) == 1
    assert len(calls) == 2 * BLOCK
    gone = weakref.ref(listed)
    del listed, draw
    batches.forget_sizes()
    gc.collect()
    assert gone() is None


def test_a_data_set_smaller_than_a_batch(samples):
    few = samples[:1] + samples[-1:]
    draw = Draw(Same(few), 5, CropShape(LARGE, 1.25, 0.1), AugmentConfig(), 7, True)
    for step in (0, BLOCK):
        positions, size = draw.members(step)
        assert len(positions) == 5
        assert trimmed(few, step, batch=5).images.shape == (5, 9, size[1], size[0])
