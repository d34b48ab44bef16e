"""Batches made on the device, here the CPU: the same crops as those of OpenCV, the same damage in kind and measure."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dcpose_cli.pose.crop import MEAN, STD
from dcpose_cli.training.data import device_damage as damage
from dcpose_cli.training.data.batches import training_batch
from dcpose_cli.training.data.config import AugmentConfig
from dcpose_cli.training.data.damage import motion_blur
from dcpose_cli.training.data.device_batches import DeviceBatches, fits
from dcpose_cli.training.data.device_pictures import DevicePictures
from dcpose_cli.training.data.pack import read_parts
from dcpose_cli.training.dcpose.train import train
from dcpose_cli.training.recipes import load_recipe

CPU = torch.device("cpu")
SIZE = (48, 64)
PLAIN = AugmentConfig(color=0.0, damage=0.0, neighbour_damage=0.0)


@pytest.fixture(scope="module")
def samples(tiny_pack):
    return read_parts(tiny_pack, ["stills", "triplets"], split="train")


@pytest.fixture(scope="module")
def batches(samples):
    return DeviceBatches(samples, CPU)


def pixels(batch):
    """Crops in 0..255, (B, frames, 3, h, w)."""
    images = batch.images.unflatten(1, (-1, 3))
    return (images * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]) * 255


def options(**changes):
    return {"batch": 5, "size": SIZE, "config": PLAIN, "seed": 7, "window": True, **changes}


def test_crops_are_those_of_opencv(samples):
    pictures = DevicePictures(samples, CPU)
    matrices = np.array([[[0.8, 0.1, 3.3], [-0.1, 0.8, 5.1]], [[1.7, 0, -20.25], [0, 1.7, -30.5]]])
    numbers = [pictures.of_sample[0][0], pictures.of_sample[-1][2]]
    crops = pictures.cut(numbers, matrices, SIZE).numpy()
    for crop, picture, matrix in zip(crops, (samples[0].pictures[0], samples[-1].pictures[2]), matrices, strict=True):
        theirs = cv2.warpAffine(picture, matrix, SIZE, flags=cv2.INTER_LINEAR).astype(float)
        assert np.abs(crop - theirs).mean() < 1.0
        assert np.abs(crop - theirs)[4:-4, 4:-4].max() < 12  # OpenCV rounds positions to 1/32 pixel


@pytest.mark.parametrize("config", [PLAIN, replace(PLAIN, cut_prob=0.7)])
@pytest.mark.parametrize("window", [False, True])
def test_geometry_is_that_of_the_other_path(samples, batches, window, config):
    for step in range(4):
        ours = batches(step, **options(window=window, config=config))
        theirs = training_batch(samples, step, **options(window=window, config=config))
        assert ours.images.shape == theirs.images.shape
        assert torch.equal(ours.margin, theirs.margin)
        assert torch.allclose(ours.joints, theirs.joints, atol=1e-4)
        assert (pixels(ours) - pixels(theirs)).abs().mean() < 1.5


@pytest.mark.parametrize("window", [False, True])
def test_trimmed_crops_are_those_of_the_other_path(samples, batches, window):
    sizes = set()
    for step in range(16):
        ours = batches(step, **options(window=window, size=(96, 128), margin=0.1, batch=2))
        theirs = training_batch(samples, step, **options(window=window, size=(96, 128), margin=0.1, batch=2))
        assert ours.images.shape == theirs.images.shape
        assert torch.allclose(ours.joints, theirs.joints, atol=1e-4)
        assert (pixels(ours) - pixels(theirs)).abs().mean() < 1.5
        sizes.add(tuple(ours.images.shape[2:]))
    assert len(sizes) > 1


def test_a_batch_is_a_function_of_seed_and_step(batches):
    wild = options(config=AugmentConfig(damage=1.0, neighbour_damage=0.5))
    first = batches(3, **wild)
    batches(9, **wild)
    again = batches(3, **wild)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, batches(4, **wild).images)
    assert not torch.equal(first.images, batches(3, **{**wild, "seed": 8}).images)
    assert (pixels(first) > -0.5).all()
    assert (pixels(first) < 255.5).all()


def test_only_damaged_frames_change(batches):
    calm, hurt = (batches(2, **options(config=replace(PLAIN, damage=d))) for d in (0.0, 1.0))
    change = (pixels(calm) - pixels(hurt)).abs().amax(dim=(2, 3, 4))
    assert (change[:, 0] > 3).all()  # current
    assert (change[:, 1:] < 1e-3).all()


def test_colours_are_alike_over_a_window(batches):
    plain, coloured = (pixels(batches(1, **options(config=replace(PLAIN, color=c)))) for c in (0.0, 0.5))
    for before, after in zip(plain, coloured, strict=True):
        inner = (after > 1).all(dim=1) & (after < 254).all(dim=1) & (before.amax(dim=1) > 1)
        if inner[0].sum() > 20 and inner[1].sum() > 20:
            fits_ = [np.polyfit(before[k, 0][inner[k]].numpy(), after[k, 0][inner[k]].numpy(), 1)[0] for k in (0, 1)]
            assert fits_[0] == pytest.approx(fits_[1], abs=0.05)


# --- kinds of damage


def crop(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)


def as_batch(*crops):
    return torch.from_numpy(np.stack(crops)).float()


def test_blur_and_defocus_are_those_of_opencv():
    first, second = crop(0), crop(1)
    kernels = [damage.blur_kernel(14, 30.0), damage.gaussian_kernel(2.5)]
    out = damage.filtered(as_batch(first, second), kernels).numpy()
    assert np.abs(out[0] - motion_blur(first, 14, 30.0)).max() <= 1
    assert np.abs(out[1] - cv2.GaussianBlur(second, (0, 0), 2.5)).max() <= 2
    huge = damage.filtered(as_batch(first), [damage.gaussian_kernel(40.0)]).numpy()
    assert huge.std() < first.std()


def test_fewer_pixels_and_the_losses_of_jpeg():
    image = crop(3)
    out = damage.coarsened(as_batch(image)[0], 2.0, 20).numpy()
    assert out.shape == image.shape
    small = cv2.resize(image, (24, 32), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    theirs = cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR), SIZE, interpolation=cv2.INTER_LINEAR)
    assert 2 < np.abs(out - image).mean() < 2.5 * np.abs(theirs.astype(float) - image).mean() + 2
    gentle = damage.coarsened(as_batch(image)[0], 1.0, 95).numpy()
    assert np.abs(gentle - image).mean() < 3


def test_covers_and_people_lie_where_they_are_drawn(samples):
    body = (12.0, 10.0, 36.0, 54.0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cover = damage.draw_cover(body, SIZE, samples[0], rng)
        x0, y0, x1, y1 = cover.box
        assert 0 <= x0 < x1 <= SIZE[0]
        assert 0 <= y0 < y1 <= SIZE[1]
        assert 0.05 < (x1 - x0) * (y1 - y0) / (24 * 44) < 0.5
        person = damage.draw_person(body, samples[0], rng)
        assert 0.75 < (person.box[3] - person.box[1]) / 44 < 1.25
        middle = abs((person.box[0] + person.box[2]) / 2 - 24)
        assert 3 < middle < 40  # beside, at most half before
        corner = person.matrix[:, :2] @ samples[0].boxes[0, :2] + person.matrix[:, 2]
        assert corner[1] == pytest.approx(person.box[1], abs=1e-3)
        assert min(abs(corner[0] - person.box[0]), abs(corner[0] - person.box[2])) < 1e-3
        hard, soft = damage.masks([cover, person], SIZE, CPU)[..., 0]
        assert hard.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.35)
        assert set(hard.unique().tolist()) <= {0.0, 1.0}
        assert ((soft > 0.05) & (soft < 0.95)).any()


# --- the whole training


def test_training_with_pictures_on_the_device(tiny_recipe, tiny_pack, tmp_path):
    recipe = load_recipe(tiny_recipe)
    nets = [train(recipe, tiny_pack, tmp_path / str(k), threads=1, on_device=True).state_dict() for k in range(2)]
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])
    assert all(torch.isfinite(v).all() for v in nets[0].values())


def test_a_cpu_is_left_to_the_other_path(samples):
    assert not fits(samples, CPU)
