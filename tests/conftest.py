"""Fixtures every room's tests share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Set before torch is imported anywhere: threads that wait for each other on a busy machine are many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]

# Hundreds of processes are started: where Python is told to keep no bytecode, each compiles everything it imports.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache" / "bytecode"))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

SHARED = ROOT.parent / "shared"

TINY_MODEL = """
[model]
input_size = [48, 64]
combine_width = 8
prf_blocks = 1
combine_blocks = 1
dilations = [2]
[model.backbone]
width = 8
stem = 8
layer1_width = 8
layer1_blocks = 1
modules = [1, 1, 1]
blocks = [1, 1, 1]
"""


#: A recipe of both stages on the generated PoseTrack (tests/posetrack_files.py), one epoch each.
TINY_RECIPE = (
    """
name = "own"
[data]
format = "coco"
train = "coco_train.json"
val = "coco_val.json"
[stage1]
epochs = 1
batch = 2
[stage2]
epochs = 1
batch = 2
"""
    + TINY_MODEL
)


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: many tests wait for processes, time-outs and signals."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference and data folder beside the checkout; tests that need it are skipped without it."""
    if not (SHARED / "reference").is_dir():
        pytest.skip("needs the reference and data folder beside the checkout")
    return SHARED


def _beside(name: str) -> object:
    """A module of this folder."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def product() -> object:
    """tests/product.py."""
    return _beside("product")


@pytest.fixture(scope="session")
def dcpose(product: object, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    """Runs `dcpose` with a random pose model and a random detector; see tests/product.py."""
    detector = product.save_random_detector(tmp_path_factory.mktemp("detector"))
    return product.Command(tiny_folder, detector)


@pytest.fixture(scope="session")
def clip(product: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of 96x64; not to be written to."""
    return product.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", audio=True)


@pytest.fixture(scope="session")
def tiny_model() -> str:
    """What a recipe says of its network, for one that trains in seconds."""
    return TINY_MODEL


@pytest.fixture(scope="session")
def tiny_recipe() -> str:
    """A whole recipe for such a network."""
    return TINY_RECIPE


@pytest.fixture(scope="session")
def small_nets() -> object:
    """tests/small_nets.py."""
    return _beside("small_nets")


@pytest.fixture(scope="session")
def golden() -> object:
    """tests/golden.py."""
    return _beside("golden")


@pytest.fixture(scope="session")
def fake_cuda() -> object:
    """A context in which the device "cuda" exists, without values; see tests/fake_cuda.py."""
    return _beside("fake_cuda").cuda


@pytest.fixture(scope="session")
def layouts() -> object:
    """tests/layouts.py."""
    return _beside("layouts")


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """A server of published files, which is $DCPOSE_MIRROR, and user folders in `tmp_path`; see tests/shelf.py."""
    server = _beside("shelf").Shelf()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DCPOSE_MIRROR", server.address)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def posetrack() -> object:
    """tests/posetrack_files.py."""
    return _beside("posetrack_files")


@pytest.fixture(scope="session")
def posetrack_root(posetrack: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated PoseTrack in every layout there is."""
    root = tmp_path_factory.mktemp("posetrack")
    posetrack.write_all(root)
    return root


@pytest.fixture(scope="session")
def w48_folder(tmp_path_factory: pytest.TempPathFactory, golden: object) -> Path:
    """DCPose-W48 with formula-filled weights, saved as an official legacy .pth and brought in by the importer."""
    import torch

    from dcpose_cli.checkpoints.importing import import_checkpoint

    folder = tmp_path_factory.mktemp("w48")
    container = {
        "begin_epoch": 20,
        "state_dict": {f"module.{k}": v for k, v in golden.official_state().items()},
        "optimizer": {"state": {}, "param_groups": []},
        "tensorboard_global_steps": 1,
    }
    torch.save(container, folder / "epoch_19_state.pth", _use_new_zipfile_serialization=False)
    import_checkpoint(folder / "epoch_19_state.pth", folder / "dcpose-w48")
    (folder / "epoch_19_state.pth").unlink()
    return folder / "dcpose-w48"


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, small_nets: Any) -> Path:
    """A small DCPose model folder with random weights."""
    import torch

    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets.dcpose import init_head
    from dcpose_cli.nets.hrnet import init_weights

    torch.manual_seed(3)
    net = small_nets.net("dcpose")
    init_weights(net.backbone)
    init_head(net)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(net, folder, name="tiny", dtype=torch.float16)
    return folder


@pytest.fixture(scope="session")
def real(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result file of dcpose; not to be written to."""
    import dcpose_cli

    out = tmp_path_factory.mktemp("real") / "plaza.json"
    clip = root / "sample_videos" / "plaza.mp4"
    dcpose_cli.export_json(clip, out, device="cpu", max_frames=6, start=0.4, offline=True)
    return out


@pytest.fixture(scope="session")
def native(real: Path) -> dict[str, Any]:
    """Its JSON."""
    data: dict[str, Any] = json.loads(real.read_text())
    return data


@pytest.fixture(scope="session")
def result(real: Path) -> object:
    """The same, typed."""
    from dcpose_cli.results import read_posetrack

    return read_posetrack(real)
