"""A network at work: devices, precision, batches, and running out of memory."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dcpose_cli import DeviceError, UsageError
from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.pose import network as infer
from dcpose_cli.pose.network import DEFAULT_BATCH, PoseNetwork, resolve_device, resolve_precision

CPU = torch.device("cpu")


def people(count):
    """Frames, windows, boxes and margins of `count` people in six frames."""
    rng = np.random.default_rng(4)
    frames = list(rng.integers(0, 255, (6, 80, 100, 3), np.uint8))
    centre = rng.integers(1, 5, count)
    windows = np.stack([centre - 1, centre, centre + 1], 1)
    boxes = np.concatenate([rng.uniform(0, 50, (count, 2)), rng.uniform(20, 45, (count, 2))], 1).astype(np.float32)
    return frames, windows, boxes, rng.integers(1, 4, (count, 2))


@pytest.fixture
def network(tiny_folder):
    def make(**options):
        # fp32: the heatmaps of an untrained network are flat, and a rounding moves their peaks.
        return PoseNetwork(open_model(tiny_folder), device=CPU, **{"precision": "fp32"} | options)

    return make


def test_shape_and_nobody(network):
    net = network()
    poses = net.poses(*people(5))
    assert poses.shape == (5, 17, 3)
    assert poses.dtype == np.float32
    assert np.isfinite(poses).all()
    assert net.poses(*people(0)).shape == (0, 17, 3)


def test_batch_does_not_change_the_poses(network):
    whole = network(batch=64).poses(*people(37))
    for batch in (1, 5, 36):
        other = network(batch=batch).poses(*people(37))
        np.testing.assert_allclose(other, whole, atol=1e-3)
        assert np.ptp(whole[..., 0]) > 10


def out_of_memory(kind):
    if kind == "cuda":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    if kind == "cpu":
        return RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried")
    return MemoryError()


class Greedy:
    """Makes a network's passes fail above `most` people."""

    def __init__(self, network, most, kind):
        self.sizes, self._most, self._kind = [], most, kind
        self._real = network._pass
        network._pass = self

    def __call__(self, work, part, margins):
        self.sizes.append(len(part))
        if len(part) > self._most:
            raise out_of_memory(self._kind)
        return self._real(work, part, margins)


@pytest.mark.parametrize("kind", ["cuda", "cpu", "python"])
def test_out_of_memory_halves_the_batch_for_good(network, kind):
    expected = network(batch=64).poses(*people(100))
    net = network(batch=64)
    greedy = Greedy(net, 40, kind)
    np.testing.assert_allclose(net.poses(*people(100)), expected, atol=1e-3)
    assert greedy.sizes == [64, 32, 32, 32, 4]
    assert net.batch == 32


def test_out_of_memory_for_one_person(network):
    net = network(batch=4)
    greedy = Greedy(net, 0, "cuda")
    with pytest.raises(DeviceError, match="too little memory for one person"):
        net.poses(*people(9))
    assert greedy.sizes == [4, 2, 1]


def test_several_cores_give_the_same_poses(network):
    alone = network(batch=4).poses(*people(37))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        several = network(batch=4)
        np.testing.assert_allclose(several.poses(*people(37)), alone, atol=1e-3)
        greedy = Greedy(several, 4, "cpu")
        np.testing.assert_allclose(several.poses(*people(37)), alone, atol=1e-3)
        assert greedy.sizes == [12, *[4] * 9, 1]  # one core after another before the batch is halved
        assert several.batch == 4
    finally:
        torch.set_num_threads(before)


def test_other_errors_are_not_taken_for_lack_of_memory(network):
    net = network()
    net._pass = lambda *_: (_ for _ in ()).throw(RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        net.poses(*people(9))
    assert net.batch == DEFAULT_BATCH["cpu"]


def still_people(count, frames=8):
    """Windows, boxes, margins and tracks of people who stand still in noise for some frames, frame by frame."""
    rng = np.random.default_rng(3)
    pictures = list(rng.integers(0, 255, (frames, 80, 100, 3), np.uint8))
    at = np.repeat(np.arange(frames), count)
    windows = np.stack([np.maximum(at - 1, 0), at, np.minimum(at + 1, frames - 1)], 1)
    boxes = np.tile(np.stack([[5 + 30 * i, 10, 25, 50] for i in range(count)]).astype(np.float32), (frames, 1))
    return (pictures, windows, boxes, np.ones((len(at), 2), np.int64)), np.tile(np.arange(count), frames)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_shared_crops_of_people_who_stand_still_are_exact_and_seen_once(network, batch):
    people_, tracks = still_people(2)
    exact, shared = network(batch=batch), network(batch=batch)
    expected, found = exact.poses(*people_), shared.poses(*people_, tracks=tracks)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.ptp(expected[..., 2]) > 0
    assert (exact.encoded, shared.encoded) == (48, 16)


@pytest.mark.parametrize("batch", [3, 64])
def test_flip_test_with_shared_crops(network, batch):
    """Two passes of the backbone a person and frame instead of six, and the poses of the exact mode."""
    people_, tracks = still_people(2)
    plain, exact, shared = network(), network(batch=batch, flip_test=True), network(batch=batch, flip_test=True)
    expected, found = exact.poses(*people_), shared.poses(*people_, tracks=tracks)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert (exact.encoded, shared.encoded) == (96, 32)
    assert np.abs(plain.poses(*people_) - expected).max() > 0.1


def test_shared_crops_survive_a_lack_of_memory(network):
    people_, tracks = still_people(3)
    expected = network(batch=64).poses(*people_, tracks=tracks)
    net = network(batch=16)
    greedy = Greedy(net, 5, "cpu")
    np.testing.assert_allclose(net.poses(*people_, tracks=tracks), expected, atol=1e-3)
    assert greedy.sizes[:3] == [16, 8, 4]


def test_half_precision_is_near(network):
    full, half = (network(precision=p).poses(*people(9)) for p in ("fp32", "bf16"))
    assert np.abs(full[..., 2] - half[..., 2]).max() < 0.1


def test_stills_ignore_the_neighbours(tiny_folder, tmp_path):
    """A single-frame model runs through the same door; slots it does not predict are absent."""
    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets import HRNet

    still = HRNet(open_model(tiny_folder).net.config.backbone)
    save_model(still, tmp_path / "still", name="still", input_size=(48, 64), predicts=tuple(range(1, 17)))
    net = PoseNetwork(open_model(tmp_path / "still"), device=CPU)
    frames, windows, boxes, margins = people(6)
    poses = net.poses(frames, windows, boxes, margins)
    alone = net.poses(frames, windows[:, [1, 1, 1]], boxes, np.ones_like(margins))
    np.testing.assert_array_equal(poses, alone)
    shared = net.poses(frames, windows, boxes, margins, tracks=np.zeros(len(boxes), np.int64))
    np.testing.assert_array_equal(poses, shared)
    assert (poses[:, 0] == 0).all()
    assert poses[:, 1:].any()


def test_joints_are_read_as_the_header_says(tiny_folder, tmp_path):
    from dcpose_cli.checkpoints.files import save_model

    found = []
    for name in ("quarter", "smoothed"):
        path = save_model(open_model(tiny_folder).net, tmp_path / name, name=name, decoding=name)
        found.append(PoseNetwork(open_model(path), device=CPU, precision="fp32", box_scale=1.0).poses(*people(5)))
    assert not np.allclose(found[0], found[1], atol=0.1)
    assert np.allclose(found[0][..., :2], found[1][..., :2], atol=200)


def test_a_udp_model_is_cut_and_read_as_udp(tmp_path, monkeypatch):
    """The transforms to the crop and back, with a flip test too."""
    from dcpose_cli.pose import crop_shape, network

    seen = []
    real = crop_shape.crop_affines
    monkeypatch.setattr(crop_shape, "crop_affines", lambda *a, **k: seen.append(k) or real(*a, **k))
    back = network.to_image
    monkeypatch.setattr(network, "to_image", lambda *a, **k: seen.append(k) or back(*a, **k))
    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets import HRNet, HRNetConfig

    shape = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
    for decoding, expected in (("udp", {"udp": True}), ("dark", {"udp": False})):
        path = save_model(HRNet(shape), tmp_path / decoding, name="x", input_size=(48, 64), decoding=decoding)
        for flip_test in (False, True):
            seen.clear()
            PoseNetwork(open_model(path), device=CPU, flip_test=flip_test).poses(*people(2))
            assert seen
            assert all(one == expected for one in seen)


def test_a_longer_clip_has_a_longer_window(tmp_path):
    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets import DSTA, DSTAConfig, HRNetConfig

    backbone = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
    save_model(DSTA(DSTAConfig(frames=5, input_size=(48, 64), backbone=backbone)), tmp_path / "five", name="five")
    net = PoseNetwork(open_model(tmp_path / "five"), device=CPU)
    assert net.reach == 2
    frames, windows, boxes, margins = people(3)
    with pytest.raises(ValueError, match="windows hold 3 frames, 5 are looked at"):
        net.poses(frames, windows, boxes, margins)
    poses = net.poses(frames, windows[:, [0, 0, 1, 2, 2]], boxes, margins)
    assert np.isfinite(poses).all()


def test_wide_pixels(network):
    """A picture stored at half its width gives the crops of the full one, and the same poses at half the x."""
    rng = np.random.default_rng(6)
    wide = [cv2.resize(rng.integers(0, 255, (8, 10, 3), np.uint8), (200, 80)) for _ in range(3)]
    stored = [np.ascontiguousarray(frame[:, ::2]) for frame in wide]
    boxes = np.array([[20, 10, 30, 50], [60, 5, 20, 70]], np.float32)
    windows, margins = np.array([[0, 1, 2]] * 2), np.ones((2, 2), np.int64)
    net, seen = network(), []

    class Fixed:
        """Keeps the crops and finds every joint in one place."""

        frames, passes, udp = (0,), 1, False

        def encode(self, crops):
            seen.append(crops)
            return crops

        def decode(self, codes, margin, size):
            return torch.tensor([28.0, 16.0, 1.0]).repeat(codes.shape[1], 17, 1)

    net.method = Fixed()
    squeezed = net.poses(stored, windows, boxes, margins, 2.0)
    full = net.poses(wide, windows, boxes * np.array([2, 1, 2, 1], np.float32), margins)
    np.testing.assert_allclose(squeezed * np.array([2, 1, 1]), full, atol=1e-3)
    assert (full[0, 0, :2] >= 10).all()
    assert (seen[0] - seen[1]).abs().mean() < 0.1 < seen[0].std()


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == CPU
    for absent in ("cuda", "cuda:3", "mps"):
        with pytest.raises(DeviceError, match="--device cpu"):
            resolve_device(absent)
    for wrong in ("gpu", "meta", "cuda:x", ""):
        with pytest.raises(UsageError, match="unknown device"):
            resolve_device(wrong)
    for several in ("all", "cpu,cpu"):
        with pytest.raises(UsageError, match="dcpose batch"):
            resolve_device(several)


def test_precisions(network, monkeypatch):
    for able, chosen in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(infer, "_cpu_computes_in_bf16", lambda able=able: able)
        assert resolve_precision("auto", CPU) == chosen
    for wrong in ("fp16", "int8"):
        with pytest.raises(UsageError):
            resolve_precision(wrong, CPU)
    with pytest.raises(UsageError, match="--batch"):
        network(batch=0)
