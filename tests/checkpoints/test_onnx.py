"""Networks as ONNX files. The real exports are slow, and need the extra `onnx`."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from dcpose_cli import OutputError, UsageError
from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.checkpoints.onnx import export_onnx
from dcpose_cli.nets import HRNet


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
