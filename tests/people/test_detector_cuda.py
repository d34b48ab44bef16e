"""The detector on a CUDA device, as far as shapes, dtypes and devices go."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people import detector
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.types import Detections


@pytest.mark.parametrize("half", [False, True])
def test_detect(fake_cuda, product, tmp_path, monkeypatch, half):
    """What a fake device finds has no values to be sorted by: the rows are checked where they reach the CPU."""
    model = detector.load_detector(product.save_random_detector(tmp_path))
    strides = model.net.model[-1].stride.tolist()
    rows = []

    def boxes(_self, row, boxer):
        rows.append(row)
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    monkeypatch.setattr(detector, "load_detector", lambda *_, **__: model)
    monkeypatch.setattr(PersonDetector, "_boxes", boxes)
    with fake_cuda():
        found = PersonDetector("random", device="cuda", half=half)
        assert {p.device.type for p in found._net.parameters()} == {"cuda"}
        found._net.model[-1].stride = strides  # the network reads their values
        images = [np.zeros((48, 64, 3), np.uint8)] * 20 + [np.zeros((64, 48, 3), np.uint8)]
        assert len(found.detect(images)) == len(found.detect(images, size=96)) == 21
    assert len(rows) == 42
    assert {(row.device.type, str(row.dtype)) for row in rows} == {("cpu", "torch.float32")}
