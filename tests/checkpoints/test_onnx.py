"""Networks as ONNX files. The real exports are slow, and need the extra `onnx`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli import OutputError, UsageError
from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.checkpoints.onnx import export_onnx
from dcpose_cli.nets import HRNet

#: A session as the export makes one, of a network of one operator.
SESSION = """
from dcpose_cli.checkpoints.onnx import _runtime
runtime = _runtime()
from onnx import TensorProto, helper
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
import numpy
session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": numpy.ones(1, numpy.float32)})[0] == 1
"""


def test_what_cannot_be_exported_is_refused_before_anything_is_written(tiny_folder, tmp_path, monkeypatch):
    model = open_model(tiny_folder)
    with pytest.raises(UsageError, match=r"\.onnx"):
        export_onnx(model, tmp_path / "net.pt")
    with pytest.raises(UsageError, match="unknown part"):
        export_onnx(model, tmp_path / "net.onnx", part="tail")
    (tmp_path / "there.onnx").write_bytes(b"kept")
    with pytest.raises(OutputError):
        export_onnx(model, tmp_path / "there.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'dcpose\[onnx\]'"):
        export_onnx(model, tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]
    save_model(HRNet(model.net.config.backbone), tmp_path / "still", name="still", input_size=(48, 64))
    with pytest.raises(UsageError, match="only DCPose has parts"):
        export_onnx(open_model(tmp_path / "still"), tmp_path / "net.onnx", part="head")


def silent_run(command, folder):
    """Run a command with an empty HOME and TMPDIR: (finished process, files in them, calls of connect to the net)."""
    home = folder / "home"
    home.mkdir()
    # A variable CI also turns the reports of onnxruntime off, so it must not be set.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_")) and k != "CI"}
    calls = folder / "calls.txt"
    strace = ["strace", "-f", "-qq", "-o", str(calls), "-e", "trace=connect"] if shutil.which("strace") else []
    done = subprocess.run(
        [*strace, *map(str, command)],
        env=kept | {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    seen = calls.read_text(errors="replace").splitlines() if calls.exists() else []
    return done, [str(path) for path in home.rglob("*")], [line for line in seen if "AF_INET" in line]


def test_onnxruntime_sends_nothing(tmp_path):
    """It reports its use since 1.29 and stores a device id in HOME; older versions cannot fail here."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    done, files, connections = silent_run([sys.executable, "-c", SESSION], tmp_path)
    assert (done.returncode, files, connections) == (0, [], []), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_export_sends_nothing(tiny_folder, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    entry = "from dcpose_cli.cli.app import main; main()"
    command = [sys.executable, "-c", entry, "models", "export", tiny_folder, "-o", tmp_path / "net.onnx"]
    done, files, connections = silent_run(command, tmp_path)
    assert (done.returncode, files, connections) == (0, [], []), done.stderr
    assert (tmp_path / "net.onnx").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", ["whole", "backbone", "head"])
def test_the_exported_network_gives_the_same_heatmaps_for_any_batch(tiny_folder, tmp_path, part):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    made = export_onnx(open_model(tiny_folder), tmp_path / "net.onnx", part=part)
    assert made.difference < 1e-3
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    session = runtime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    assert {entry.name for entry in session.get_inputs()} == set(made.inputs)
    feed = {
        name: np.random.default_rng(1).random((5, *shape[1:]), np.float32) + 1 for name, shape in made.inputs.items()
    }
    (found,) = session.run(None, feed)
    assert found.shape == (5, 17, 16, 12)
    if part == "whole":
        net = open_model(tiny_folder).net
        with torch.no_grad():
            expected = net(torch.from_numpy(feed["x"]), torch.from_numpy(feed["margin"])).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-3)
