"""Annotation files whose numbers no picture has."""

from __future__ import annotations

import json

import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.evaluation.poseval_files import EVAL_JOINTS, read_frames


def files(**changes):
    """A file of each style with one person, whose values are changed."""
    person = {"keypoints": [1.0, 2.0, 1.0] * 15, "bbox": [0, 0, 9, 9], "bbox_head": [1, 1, 2, 2], "score": 0.5}
    person |= {"image_id": 1, "track_id": 0, "scores": [0.5] * 15} | changes
    image = {"id": 1, "ignore_regions_x": [[1, 2, 3]], "ignore_regions_y": [changes.get("region", [1, 2, 3])]}
    category = {"keypoints": list(EVAL_JOINTS)}
    yield {"images": [image], "annotations": [person], "categories": [category]}
    head, x, y = person["bbox_head"], *person["keypoints"][:2]
    point = {"id": [0], "x": [x], "y": [y], "score": [person["scores"][0]]}
    rect = {"x1": [head[0]], "y1": [head[1]], "x2": [head[2]], "y2": [head[3]], "annopoints": [{"point": [point]}]}
    rect |= {"track_id": [0], "score": [person["score"]], "bbox": person["bbox"]}
    region = {"point": [{"x": [1], "y": [value]} for value in changes.get("region", [1, 2, 3])]}
    yield {"annolist": [{"annorect": [rect], "ignore_regions": [region]}]}


def test_good_files(tmp_path):
    for data in files():
        (tmp_path / "a.json").write_text(json.dumps(data))
        [frame] = read_frames(tmp_path / "a.json")
        assert frame.people[0].points[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"keypoints": [1e308, 2, 1] * 15},
        {"keypoints": [float("nan"), 2, 1] * 15},
        {"bbox": [0, 0, 1e30, 1]},
        {"bbox_head": [0, 0, float("-inf"), 1]},
        {"score": float("nan")},
        {"scores": [float("inf")] * 15},
        {"region": [1, 2, 1e9]},
    ],
    ids=str,
)
def test_numbers_that_are_no_places_or_scores(tmp_path, changes):
    for data in files(**changes):
        (tmp_path / "a.json").write_text(json.dumps(data))
        with pytest.raises(InputError, match=r"out of range|not finite"):
            read_frames(tmp_path / "a.json")
