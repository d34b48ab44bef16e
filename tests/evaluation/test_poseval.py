"""AP equal to poseval's: golden figures of both styles, and each rule by itself."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.evaluation.poseval import TABLE, evaluate_ap, evaluate_videos
from dcpose_cli.evaluation.poseval_files import EVAL_JOINTS, EvalFrame, EvalPerson, frames_of, read_frames


@pytest.fixture(scope="module")
def golden(root: Path) -> Path:
    return root / "tests" / "data" / "poseval"


@pytest.mark.parametrize("style", ["pred18", "pred17"])
def test_equal_to_poseval(golden: Path, style: str) -> None:
    expected = json.loads((golden / "expected_ap.json").read_text())[style]
    result = evaluate_ap(golden / "gt", golden / style)
    assert list(EVAL_JOINTS) == expected["joint_names"]
    assert result.frames == expected["frames_evaluated"]
    assert result.ground_truth.tolist() == expected["n_gt_per_joint"]
    np.testing.assert_allclose(result.ap, expected["ap_per_joint_then_total"][:15], atol=1e-6)
    assert result.total == pytest.approx(expected["ap_per_joint_then_total"][15], abs=1e-6)
    np.testing.assert_allclose(result.precision, expected["precision"][:15], atol=1e-6)
    np.testing.assert_allclose(result.recall, expected["recall"][:15], atol=1e-6)
    table = result.table()
    assert list(table) == [*TABLE, "Total"]
    np.testing.assert_allclose(list(table.values()), expected["table_head_shou_elb_wri_hip_knee_ankl_total"], atol=1e-6)


def to_style17(data: dict[str, Any]) -> dict[str, Any]:
    """PoseTrack18 ground truth in PoseTrack17's clothes."""
    names = data["categories"][0]["keypoints"]
    annolist = []
    for image in data["images"]:
        rects = []
        for entry in (entry for entry in data["annotations"] if entry["image_id"] == image["id"]):
            points = []
            for joint, name in enumerate(EVAL_JOINTS):
                x, y, visible = entry["keypoints"][3 * names.index(name) :][:3]
                if (x, y, visible) != (0, 0, 0):
                    points.append({"id": [joint], "x": [x], "y": [y], "is_visible": [visible]})
            x, y, width, height = entry["bbox_head"]
            box = {"x1": [x], "y1": [y], "x2": [x + width], "y2": [y + height]}
            rects.append(box | {"annopoints": [{"point": points}]})
        regions = [
            {"point": [{"x": [x], "y": [y]} for x, y in zip(xs, ys, strict=True)]}
            for xs, ys in zip(image.get("ignore_regions_x", []), image.get("ignore_regions_y", []), strict=True)
        ]
        annolist.append({"image": {"name": image["file_name"]}, "annorect": rects, "ignore_regions": regions})
    return {"annolist": annolist}


def test_ground_truth_in_the_old_style_gives_the_same(golden: Path, tmp_path: Path) -> None:
    for path in (golden / "gt").glob("*.json"):
        (tmp_path / path.name).write_text(json.dumps(to_style17(json.loads(path.read_text()))))
    for style in ("pred17", "pred18"):
        old, new = evaluate_ap(tmp_path, golden / style), evaluate_ap(golden / "gt", golden / style)
        np.testing.assert_array_equal(old.ap, new.ap)
    assert any(frame.ignore for frame in read_frames(tmp_path / "000001_mpii_test.json"))


def test_single_files_and_fifteen_joint_categories(golden: Path, tmp_path: Path) -> None:
    name = "000001_mpii_test.json"
    data = json.loads((golden / "pred18" / name).read_text())
    keep = [slot for slot in range(17) if slot not in (3, 4)]
    data["categories"][0]["keypoints"] = [data["categories"][0]["keypoints"][slot] for slot in keep]
    for entry in data["annotations"]:
        entry["keypoints"] = [v for slot in keep for v in entry["keypoints"][3 * slot : 3 * slot + 3]]
        entry["scores"] = [entry["scores"][slot] for slot in keep]
    (tmp_path / name).write_text(json.dumps(data))
    one = evaluate_ap(golden / "gt" / name, tmp_path / name)
    np.testing.assert_array_equal(one.ap, evaluate_ap(golden / "gt" / name, golden / "pred18" / name).ap)
    assert one.frames < 6


def person(x: float = 0.0, score: float = 0.9, joints: range = range(15), head: bool = False) -> EvalPerson:
    points = np.full((15, 2), np.nan)
    for joint in joints:
        points[joint] = (x + 10 * joint, 50)
    # Head size 0.6 * 10 = 6 pixels, so a joint matches within 3.
    return EvalPerson(points, np.full(15, score), (0, 0, 6, 8) if head else None)


def ap(truth: list[EvalPerson], guesses: list[EvalPerson], ignore: Any = ()) -> Any:
    return evaluate_videos([([EvalFrame(truth, list(ignore))], [EvalFrame(guesses, [])])])


def test_perfect_and_nothing() -> None:
    assert ap([person(head=True)], [person(2.9)]).total == 100
    assert ap([person(head=True)], [person(3.1)]).total == 0
    assert ap([person(head=True)], []).total == 0


def test_frames_without_annotated_people_are_dropped() -> None:
    truth = [EvalFrame([person(head=True)], []), EvalFrame([], [])]
    guesses = [EvalFrame([person()], []), EvalFrame([person(500, 1.0)] * 5, [])]
    result = evaluate_videos([(truth, guesses)])
    assert result.frames == 1
    assert result.total == 100


def test_low_scored_extras_cost_nothing_and_high_scored_ones_do() -> None:
    truth, good = [person(head=True)], person(score=0.5)
    assert ap(truth, [good, person(500, 0.4)]).total == 100
    assert ap(truth, [good, person(500, 0.6)]).total == 50
    assert ap(truth, [good, person(500, 0.5)]).total == 50  # wrong ones first among equals


def test_score_plays_no_part_in_assignment() -> None:
    # The first of two equally good duplicates is taken, whatever its score.
    result = ap([person(head=True)], [person(score=0.1), person(score=0.9)])
    assert result.total == 50


def test_a_prediction_serves_only_its_best_person() -> None:
    # Both people stand within reach of the one prediction: the second stays without.
    result = ap([person(0, head=True), person(1, head=True)], [person(0.4)])
    assert result.recall.tolist() == [50] * 15


def test_predicted_joints_the_truth_lacks_are_wrong() -> None:
    result = ap([person(joints=range(10), head=True)], [person()])
    assert result.ap[:10].tolist() == [100] * 10
    assert np.isnan(result.ap[10:]).all()
    assert result.total == 100
    more = evaluate_videos(
        [
            ([EvalFrame([person(joints=range(10), head=True)], [])], [EvalFrame([person(score=0.9)], [])]),
            ([EvalFrame([person(head=True)], [])], [EvalFrame([person(score=0.5)], [])]),
        ]
    )
    assert more.ap[:10].tolist() == [100] * 10
    assert more.ap[10:].tolist() == [50] * 5


def test_ignore_regions_take_points_of_both_sides() -> None:
    left_half = np.array([(-5, 0), (45, 0), (45, 100), (-5, 100)], float)
    result = ap([person(head=True)], [person(), person(2, 0.99, range(5))], [left_half])
    assert result.ground_truth.tolist() == [0] * 5 + [1] * 10
    assert result.total == 100
    everything = np.array([(-500, 0), (500, 0), (500, 100), (-500, 100)], float)
    gone = ap([person(head=True)], [person()], [everything])
    assert gone.frames == 1
    assert np.isnan(gone.total)


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", "{}", '{"annolist": 3}', '{"annolist": [{"annorect": [{"x1": []}]}]}']
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=r"x\.json"):
        read_frames(tmp_path / "x.json")


def test_mistakes_are_named(golden: Path, tmp_path: Path) -> None:
    name = "000001_mpii_test.json"
    with pytest.raises(InputError, match="no result for the clip 000001_mpii_test, nor for 1 more"):
        evaluate_ap(golden / "gt", tmp_path)
    with pytest.raises(InputError, match=r"no \.json"):
        evaluate_ap(tmp_path, golden / "gt")
    with pytest.raises(InputError, match="cannot be read"):
        evaluate_ap(golden / "gt" / name, tmp_path / name)
    with pytest.raises(InputError, match="has 4 frames, its ground truth 6"):
        evaluate_ap(golden / "gt" / name, golden / "pred18" / "000002_mpiinew_test.json")
    with pytest.raises(InputError, match="head box"):
        evaluate_ap(golden / "pred18" / name, golden / "pred18" / name)


def test_broken_annotations_are_refused(golden: Path, tmp_path: Path) -> None:
    good = json.loads((golden / "pred18" / "000001_mpii_test.json").read_text())
    assert len(frames_of(good)) == 6
    for key, value in (("image_id", 5), ("keypoints", [1, 2]), ("keypoints", [10**400] * 51), ("scores", [0.1])):
        bad = copy.deepcopy(good)
        bad["annotations"][0][key] = value
        (tmp_path / "bad.json").write_text(json.dumps(bad))
        with pytest.raises(InputError, match=r"bad\.json"):
            read_frames(tmp_path / "bad.json")
