"""The door to ultralytics: silent, offline, leaves the process alone, and runs nothing a file brings along."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli import _ultralytics
from dcpose_cli.errors import WeightsError
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.people.detector_files import save_detector

TINY = {
    "nc": 1,
    "backbone": [[-1, 1, "Conv", [width, 3, 2]] for width in (8, 16, 16, 16, 16)],
    "head": [[[2, 3, 4], 1, "Detect", ["nc"]]],
}

PREDICT = """
import os, sys, threading
def refuse(event, arguments):
    if event.startswith(("socket.connect", "socket.bind", "socket.send", "socket.getaddrinfo", "socket.gethostby")):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(9)
sys.addaudithook(refuse)
import logging, numpy as np, torch, signal, warnings
from dcpose_cli._opencv import cv2
torch.set_num_threads(3); cv2.setNumThreads(2)
before = (dict(os.environ), np.get_printoptions(), vars(torch._tensor_str.PRINT_OPTS).copy(), torch.save,
          signal.getsignal(signal.SIGINT), list(warnings.filters), logging.getLogger().handlers[:])
from dcpose_cli.people.detector import PersonDetector
detector = PersonDetector(sys.argv[1], conf=0.01)
threads = torch.get_num_threads(), cv2.getNumThreads()
detector.detect([np.zeros((48, 64, 3), np.uint8)])
after = (dict(os.environ), np.get_printoptions(), vars(torch._tensor_str.PRINT_OPTS).copy(), torch.save,
         signal.getsignal(signal.SIGINT), list(warnings.filters), logging.getLogger().handlers[:])
from dcpose_cli._ultralytics import QUIET_ENVIRONMENT
for key in QUIET_ENVIRONMENT:
    assert after[0].pop(key) == QUIET_ENVIRONMENT[key]
    before[0].pop(key, None)
assert "ultralytics" in sys.modules
for name, old, new in zip("env numpy torch save signal warnings log".split(), before, after):
    if name != "warnings":
        assert old == new, (name, old, new)
assert not any("prim::Constant" in str(f[1]) for f in after[5]), "ultralytics' warning filters stayed"
assert threads == (3, 2) and (torch.get_num_threads(), cv2.getNumThreads()) == (3, 2), threads
assert threading.active_count() == 1
logging.getLogger("ultralytics").error("must not be seen")
"""


class Opens:
    """Touches a file when unpickled the careless way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


class Calls:
    """Unpickles as a call of a function that is named but must never be run."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


@pytest.fixture(scope="module")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return save_detector(_ultralytics.detection_model(TINY), folder, name="tiny", imgsz=64)


def test_predict_leaves_the_process_alone_and_opens_no_socket(tiny_detector: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "ULTRALYTICS_"))}
    for key in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.pop(key, None)
    environment |= {"TMPDIR": str(scratch), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, str(tiny_detector)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(scratch.iterdir()) == []


def test_a_pickle_that_opens_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for number, content in enumerate((Opens(touched), {"model": Opens(touched), "ema": None})):
        path = tmp_path / f"bad{number}.pt"
        torch.save(content, path)
        with pytest.raises(WeightsError, match=r"bad\d.pt: refused: it would run"):
            _ultralytics.read_checkpoint(path)
    assert not touched.exists()


def test_functions_of_ultralytics_named_by_a_file_are_never_called(tmp_path: Path) -> None:
    path = tmp_path / "call.pt"
    torch.save({"model": Calls(_ultralytics_writer(), str(tmp_path / "written.yaml"))}, path)
    with pytest.raises(WeightsError, match="not a YOLO detector"):
        _ultralytics.read_checkpoint(path)
    assert not (tmp_path / "written.yaml").exists()


def _ultralytics_writer() -> object:
    _ultralytics._load()
    from ultralytics.utils.files import increment_path

    return increment_path


def test_classes_trusted_elsewhere_are_not_trusted_here(tmp_path: Path) -> None:
    path = tmp_path / "trusted.pt"
    torch.save({"model": Opens(tmp_path / "touched")}, path)
    torch.serialization.add_safe_globals([open])
    try:
        with pytest.raises(WeightsError):
            _ultralytics.read_checkpoint(path)
        assert open in torch.serialization.get_safe_globals()
    finally:
        torch.serialization.clear_safe_globals()
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut zip", pickle.dumps({"model": 1})])
def test_damaged_files_are_weights_errors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"damaged\.pt"):
        _ultralytics.read_checkpoint(path)


LAYER = [-1, 1, "Conv", [16, 3, 2]]


@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"backbone": [LAYER], "head": [], "activation": "__import__('os').system('true')"},
        {"backbone": [[-1, 1, "TorchVision", [16, "resnet18", "DEFAULT"]]], "head": []},
        {"backbone": [[-1, 1, "os.system", [16]]], "head": []},
        {"backbone": [[-1, 1, "Conv", ["__import__('os')", 3, 2]]], "head": []},
        {"backbone": [[-1, 1, "Conv", [10**9, 3, 2]]], "head": []},
        {"backbone": [LAYER] * 500, "head": []},
        {"backbone": ["Conv"], "head": []},
        {"backbone": [LAYER], "head": [], "scales": {"n": ["x", 1, 2]}},
    ],
)
def test_architectures_that_ask_for_more_than_layers_are_refused(architecture: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        _ultralytics.check_architecture(architecture)


@pytest.mark.shared
def test_the_stock_detector_is_read_as_data(shared: Path) -> None:
    checkpoint = _ultralytics.read_checkpoint(shared / "weights" / "yolov8n.pt")
    assert checkpoint.names[0] == "person"
    assert len(checkpoint.names) == 80
    model = _ultralytics.detection_model(checkpoint.architecture, 80)
    assert set(checkpoint.state) == set(model.state_dict())
    assert sum(p.numel() for p in model.parameters()) == 3_157_200


@pytest.mark.parametrize("architecture", ["yolo11n.yaml", "yolov10n.yaml", "yolo26n.yaml"])
def test_checkpoints_as_ultralytics_writes_them_can_be_used(tmp_path: Path, architecture: str) -> None:
    model = _ultralytics.detection_model(architecture, 1)
    model.names = {0: "person"}
    path = tmp_path / "best.pt"
    extras = {"train_metrics": {"fitness": np.float64(0.5)}, "path": tmp_path, "epoch": 3, "optimizer": None}
    torch.save({"model": model.half(), "ema": None} | extras, path)
    checkpoint = _ultralytics.read_checkpoint(path)
    assert checkpoint.names == ("person",)
    for name, value in model.state_dict().items():
        assert torch.equal(checkpoint.state[name], value)
    detector = PersonDetector(path, imgsz=64, conf=1e-6)
    (found,) = detector.detect([np.zeros((40, 64, 3), np.uint8)])
    assert len(found) > 0
