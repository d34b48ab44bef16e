"""Joints of the pool's labels on its whole pictures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from dcpose_cli.training.data.pool_joints import main as add_joints


def test_joints_of_the_pool_reach_its_whole_pictures(tmp_path: Path):
    label = {
        "path": "a/b.jpg", "w": 200, "h": 100, "boxes": [[0, 0, 50, 90, 0.9], [60, 0, 90, 90, 0.3]],
        "people": [{"i": 1, "k": [[70, 10, 0.9], [71, 9, 0.2], *[[80, 50, 0.8]] * 15], "f": [0, 0, *[0.5] * 15]}],
    }  # fmt: skip
    (tmp_path / "labels").mkdir()
    with gzip.open(tmp_path / "labels" / "sports.jsonl.gz", "wt") as file:
        file.write(json.dumps(label) + "\n")
    part = tmp_path / "poolnet.json"
    images = [{"id": 1, "source": "pool_sports", "origin": "a/b.jpg", "width": 100, "height": 50}]
    part.write_text(json.dumps({"images": images, "annotations": [{"image_id": 1}, {"image_id": 1}]}))
    add_joints([str(tmp_path / "labels"), str(part)])
    first, second = json.loads(part.read_text())["annotations"]
    assert "keypoints" not in first
    assert second["keypoints"][:6] == [35, 5, 2, 0, 0, 0]
    assert sum(second["keypoints"][6:]) == 0
