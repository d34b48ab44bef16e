"""AP over a generated PoseTrack: a model that knows the truth gets 100, boxes decide who is looked at."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.evaluation.posetrack_set import BOX_SCORE, evaluate_set, read_boxes


class Knowing:
    """Answers with the joints of the figure that fills the box; notes which frames it was shown."""

    def __init__(self, posetrack, *, grown=False):
        self.posetrack, self.grown, self.windows = posetrack, grown, []

    def poses(self, previous, current, next, boxes, margin=(1, 1)):  # noqa: A002
        assert current.dtype == np.uint8
        assert margin == (1, 1)
        self.windows.append((previous is current, next is current, len(boxes)))
        out = np.ones((len(boxes), 17, 3), np.float32)
        for k, box in enumerate(boxes.astype(float)):
            if self.grown:  # the box around the joints, with its border: back to the figure's
                w, h = box[2] / 1.3 / 0.9, box[3] / 1.3 / 0.94
                box = np.array([box[0] + 0.15 * 0.9 * w - 0.05 * w, box[1] + 0.15 * 0.94 * h - 0.02 * h, w, h])
            out[k, :, :2] = self.posetrack.joints(box)
        return out


@pytest.mark.parametrize("style", ["annotations", "annotations17"])
def test_the_truth_scores_hundred_in_both_styles(posetrack, posetrack_root, tmp_path, style):
    knowing = Knowing(posetrack, grown=style == "annotations17")
    result = evaluate_set(knowing, posetrack_root / style / "val", posetrack_root, tmp_path / "out")
    assert result.total == pytest.approx(100)
    assert knowing.windows == [(True, False, 2), (False, False, 2), (False, True, 2)]
    written = json.loads((tmp_path / "out" / "000003_mpii_test.json").read_text())["annolist"]
    assert len(written) == posetrack.FRAMES
    nobody = written[posetrack.UNLABELLED]["annorect"]
    assert [(r["score"], r["annopoints"][0]["point"][0]["score"]) for r in nobody] == [([0.0], [-100.0])]
    assert [p["id"] for p in written[0]["annorect"][0]["annopoints"][0]["point"]] == [[k] for k in range(15)]


def test_box_files(posetrack, posetrack_root, tmp_path):
    boxes = read_boxes(posetrack_root / "val_boxes.json")
    assert len(boxes) == posetrack.FRAMES
    assert all(rows.shape == (2, 5) and (rows[:, 4] >= BOX_SCORE).all() for rows in boxes.values())
    knowing = Knowing(posetrack)
    truth = posetrack_root / "annotations" / "val" / "000003_mpii_test.json"
    result = evaluate_set(knowing, truth, posetrack_root, tmp_path / "out", boxes=posetrack_root / "val_boxes.json")
    assert result.total == pytest.approx(100)
    assert len(knowing.windows) == posetrack.FRAMES  # the unlabelled frame has boxes too
    person = json.loads((tmp_path / "out" / truth.name).read_text())["annolist"][0]["annorect"][1]
    assert person["score"] == [pytest.approx(0.4)]
    assert person["annopoints"][0]["point"][0]["score"] == [pytest.approx(0.4)]


def test_missing_pictures_are_named(posetrack, posetrack_root, tmp_path):
    with pytest.raises(InputError, match=r"000000\.jpg: cannot be read: No such file"):
        evaluate_set(Knowing(posetrack), posetrack_root / "annotations" / "val", tmp_path, tmp_path / "out")
