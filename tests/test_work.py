"""Detectors that ask for more memory or work than a detector needs are refused before they are built."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from dcpose_cli import _ultralytics, _work
from dcpose_cli._inductor import compiler_folder
from dcpose_cli._ultralytics import shapes_of
from dcpose_cli.errors import WeightsError
from dcpose_cli.people.detector_files import load_detector

CONV = [-1, 1, "Conv", [8, 3, 2]]
LARGER = [-1, 1, "nn.Upsample", [None, 12, "nearest"]]
SMALLER = [-1, 1, "nn.MaxPool2d", [12]]
#: Each would take hours, or hundreds of gigabytes; none holds a parameter more than the first layer and the head.
BLOW_UPS = {
    "one huge factor": ([CONV, [-1, 1, "nn.Upsample", [None, 8000, "nearest"]]], "memory"),
    "many small factors": ([CONV, [-1, 13, "nn.Upsample", [None, 2, "nearest"]]], "memory"),
    "channels doubled": ([CONV, *([[[-1, -1], 1, "Concat", [1]]] * 40)], "memory"),
    "padding": ([CONV, [-1, 1, "nn.ZeroPad2d", [8000]]], "memory"),
    "up and down": ([CONV, *([LARGER, SMALLER] * 95)], "work"),
    "repeated at full size": ([[-1, 1, "Conv", [8, 3, 1]], *([[-1, 64, "nn.ReLU", []]] * 50)], "work"),
}


def architecture(layers):
    return {"nc": 1, "backbone": layers, "head": [[[0], 1, "Detect", ["nc"]]]}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", BLOW_UPS)
@pytest.mark.parametrize("container", ["safetensors", "pt"])
def test_a_file_that_asks_for_too_much_is_not_built(dcpose, clip, product, tmp_path, monkeypatch, container, kind):
    layers, says = BLOW_UPS[kind]
    path = tmp_path / f"x.{container}"
    state = {"model.0.conv.weight": torch.zeros(8, 3, 3, 3)}
    if container == "pt":
        save_pickled(architecture(layers), path)
    else:
        from safetensors.torch import save_file

        header = {"format": 1, "kind": "detector", "name": "x", "names": ["person"], "imgsz": 64}
        save_file(state, path, {"dcpose": json.dumps(header | {"architecture": architecture(layers)})})
    monkeypatch.setattr("dcpose_cli._ultralytics.detection_model", lambda *_: pytest.fail("it was built"))
    with pytest.raises(WeightsError, match=r"parameters|work|memory"):
        load_detector(path)
    result = dcpose.estimate_with("--detector", path, clip, tmp_path / "o.mp4")
    assert result.returncode == 5, result.stderr
    product.one_line(result)
    with pytest.raises(WeightsError, match=says):
        shapes_of(architecture(layers), 1, 10**6)


def save_pickled(yaml, path):
    """A checkpoint of ultralytics, as far as it is read."""
    _ultralytics._load()
    tasks = sys.modules["ultralytics.nn.tasks"]
    root = object.__new__(tasks.DetectionModel)
    layer = torch.nn.Conv2d(3, 8, 3, bias=False)
    parts = {"model": torch.nn.Sequential(layer)}
    root.__dict__.update(yaml=yaml, names={0: "person"}, _parameters={}, _buffers={}, _modules=parts)
    torch.save({"model": root}, path)


@pytest.mark.timeout(60)
def test_work_inside_of_layers_counts():
    """Attention of every place with every other one: its output is no larger than what it is given."""
    layers = [[-1, 1, "Conv", [128, 3, 1]], [-1, 1, "C2PSA", [128]]]
    with pytest.raises(WeightsError, match="memory"):
        shapes_of(architecture(layers), 1, 10**7)


@pytest.mark.timeout(60)
def test_work_of_few_parameters_counts():
    """Convolutions of a picture at its full size: each parameter is used 400,000 times."""
    full = [-1, 1, "Conv", [200, 3, 1]]
    with pytest.raises(WeightsError, match="work"):
        shapes_of(architecture([full, [-1, 16, "Conv", [200, 3, 1]]]), 1, 10**9)
    assert shapes_of(architecture([full, full]), 1, 10**9)


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolov9e.yaml", "yolo12x.yaml", "yolov8x-p2.yaml", "yolov3-spp.yaml"])
def test_stock_detectors_are_within_the_limits(monkeypatch, name):
    """With a margin: they are not tried when their file is read."""
    stock = _ultralytics._stock_architecture(name)
    assert _ultralytics._is_stock(stock)
    for limit in ("_MAX_ACTIVATION", "_MAX_VALUES", "_MAX_MULTIPLY_ADDS"):
        monkeypatch.setattr(_work, limit, getattr(_work, limit) // 2)
    tried = []
    monkeypatch.setattr(_ultralytics, "_is_stock", lambda _: tried.append(1))
    assert shapes_of(stock, _ultralytics._STOCK_CLASSES, 10**8)
    assert tried


def test_what_differs_from_a_stock_detector_is_tried():
    stock = _ultralytics._stock_architecture("yolov8n.yaml")
    layers = [*stock["backbone"][:-1], LARGER]
    for changed in (
        {"scale": "y"},
        {"scales": {"n": [0.33, 0.25, 2048]}},
        {"width_multiple": 8},
        {"reg_max": 8192},
        {"backbone": layers},
        {"head": stock["head"][1:]},
    ):
        assert not _ultralytics._is_stock(stock | changed)
    for same in ({"nc": 3}, {"scale": "x"}, {"ch": 3, "channels": 3, "yaml_file": "x.yaml"}):
        assert _ultralytics._is_stock(stock | same)


def test_short_ranges_have_values_on_meta_and_long_ones_no_memory(tmp_path):
    with compiler_folder(tmp_path), torch.device("meta"), _work.ShortRanges():
        assert torch.arange(16).device.type == "cpu"
        assert torch.arange(1 << 40).device.type == "meta"
        assert torch.arange(16, device="meta").device.type == "meta"
        assert torch.zeros(4).device.type == "meta"
