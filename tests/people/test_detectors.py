"""A new kind of detector is one line in the registry: it is named on the command line and in the header."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli import Detections, PoseEstimator, WeightsError
from dcpose_cli.people.detectors import DETECTORS


class Middle:
    """One person, in the middle of every image."""

    sha256 = "3" * 64

    def __init__(self, source, *, device, conf, half, offline):
        self.name, self.options = source, (str(device), conf, half, offline)

    def detect(self, images):
        boxes = [
            np.array([[i.shape[1] / 4, i.shape[0] / 4, i.shape[1] / 2, i.shape[0] / 2]], np.float32) for i in images
        ]
        return [Detections(box, np.array([0.9], np.float32)) for box in boxes]


def test_a_registered_kind_is_found_by_name(tiny_folder, clip, monkeypatch):
    monkeypatch.setitem(DETECTORS, "middle", Middle)
    estimator = PoseEstimator(tiny_folder, "cpu", detector="middle:of.the:frame", conf=0.4, offline=True)
    assert estimator.models()["detector"] == {"name": "of.the:frame", "sha256": "3" * 64}
    assert estimator.detector.options == ("cpu", 0.25, estimator.network.is_reduced, True)
    results = list(estimator.video(clip))
    assert len(results) == 12
    assert all(len(result.people) == 1 for result in results)


@pytest.mark.parametrize("source", ["nowhere:x.pt", "C:/nowhere/x.pt", "yolo:nowhere.pt"])
def test_other_names_are_files_of_networks(tiny_folder, source):
    with pytest.raises(WeightsError, match="nowhere"):
        PoseEstimator(tiny_folder, "cpu", detector=source, offline=True).load()
