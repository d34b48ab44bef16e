"""The figures of `dcpose evaluate`: golden ones, perfect ones, and cases of tracking and OKS worked by hand."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.evaluation.evaluate import as_json, available_metrics, evaluate
from dcpose_cli.evaluation.oks_ap import evaluate_oks
from dcpose_cli.evaluation.poseval_files import EVAL_JOINTS, EvalFrame, EvalPerson
from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.evaluation.tracking import TrackingResult, evaluate_tracking
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person

GROUPS = ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "total"]


@pytest.fixture(scope="module")
def golden(root: Path) -> Path:
    return root / "tests" / "data" / "poseval"


@pytest.mark.parametrize("style", ["pred17", "pred18"])
def test_every_golden_figure(golden: Path, style: str) -> None:
    expected = json.loads((golden / "expected_ap.json").read_text())[style]
    figures = as_json(evaluate(golden / "gt", golden / style))
    assert list(figures["ap"]) == GROUPS
    assert list(figures["ap"].values()) == pytest.approx(
        expected["table_head_shou_elb_wri_hip_knee_ankl_total"], abs=1e-6
    )
    assert figures["frames"] == expected["frames_evaluated"]
    assert list(figures["joints"]) == expected["joint_names"]
    for key, name in (("ap", "ap_per_joint_then_total"), ("precision", "precision"), ("recall", "recall")):
        assert [joint[key] for joint in figures["joints"].values()] == pytest.approx(expected[name][:15], abs=1e-6)
    assert [joint["annotated"] for joint in figures["joints"].values()] == expected["n_gt_per_joint"]
    assert list(figures["sequences"]) == ["000001_mpii_test", "000002_mpiinew_test"]
    assert sum(sequence["frames"] for sequence in figures["sequences"].values()) == 6
    assert set(figures) == {"frames", "ap", "pckh", "oks", "mota", "idf1", "switches", "joints", "sequences"}


def test_pckh_counts_joints_not_groups(golden: Path) -> None:
    result = evaluate(golden / "gt", golden / "pred18", metrics=["pckh"]).total.ap
    found = sum(float(r) / 100 * n for r, n in zip(result.recall, result.ground_truth, strict=True))
    assert result.pckh_table()["Total"] == pytest.approx(100 * found / result.ground_truth.sum())


def write_truth_as_result(truth: Path, out: Path) -> None:
    """A result that knows everything."""
    with PoseTrackWriter(out, {"time_base": "1/25"}) as writer:
        for index, people in enumerate(read_truth(truth)):
            guesses = []
            for true in people:
                keypoints = true.keypoints.astype(np.float32)
                keypoints[:, 2] = (keypoints[:, 2] > 0) * np.float32(0.9)
                guesses.append(Person(true.track_id, true.bbox.astype(np.float32), 0.9, keypoints))
            writer.write(FrameResult(index, index, index / 25, tuple(guesses)))


def test_sample_truth_is_ground_truth(root: Path, tmp_path: Path) -> None:
    for name in ("plaza", "sprint"):
        shutil.copy(root / "sample_videos" / f"{name}.json", tmp_path / f"{name}.json")
    (tmp_path / "._plaza.json").write_bytes(b"\0\5\x16\7")  # as macOS leaves them
    (tmp_path / "pred").mkdir()
    for name in ("plaza", "sprint"):
        write_truth_as_result(tmp_path / f"{name}.json", tmp_path / "pred" / f"{name}.json")
    figures = as_json(evaluate(tmp_path, tmp_path / "pred"))
    for key in ("ap", "pckh", "mota", "idf1"):
        assert list(figures[key].values()) == pytest.approx([100.0] * 8), key
    assert figures["oks"] == pytest.approx({"ap": 100.0, "ap50": 100.0, "ap75": 100.0, "recall": 100.0})
    assert figures["switches"] == 0
    # A file alone, and a file with a folder that holds its namesake.
    for predicted in (tmp_path / "pred", tmp_path / "pred" / "plaza.json"):
        alone = evaluate(tmp_path / "plaza.json", predicted, metrics=["ap"])
        assert alone.total.ap.total == pytest.approx(100)
        assert alone.total.oks is None
        assert alone.total.tracking is None


def person(track: int, x: float = 0.0, score: float = 0.9, head: bool = False) -> EvalPerson:
    points = np.column_stack([x + 10.0 * np.arange(15), np.full(15, 50.0)])
    # Head size 0.6 * 10 = 6 pixels, so a joint matches within 3.
    box = (x, 0.0, 150.0, 100.0)
    return EvalPerson(points, np.full(15, score), (0.0, 0.0, 6.0, 8.0) if head else None, box, track, 1.0)


def track(truth: list[list[EvalPerson]], guesses: list[list[EvalPerson]], **options: Any) -> TrackingResult:
    frames = [EvalFrame(people, []) for people in truth], [EvalFrame(people, []) for people in guesses]
    return evaluate_tracking(frames, **options)


def test_switch_of_identity() -> None:
    truth = [[person(1, head=True)] for _ in range(4)]
    result = track(truth, [[person(7)], [person(7)], [person(8)], [person(8)]])
    assert result.switches == 15
    assert result.mota.tolist() == [75.0] * 15  # one switch in four
    assert result.idf1.tolist() == [50.0] * 15  # either name is right in two frames of four
    assert result.table(result.mota)["Total"] == 75


def test_misses_and_surplus() -> None:
    truth = [[person(1, head=True)] for _ in range(4)]
    assert track(truth, [[], [person(7)], [person(7)], []]).mota.tolist() == [50.0] * 15
    assert track(truth, [[person(7), person(9, 500)]] * 4).mota.tolist() == [0.0] * 15
    assert track(truth, [[person(7, 4)]] * 4).mota.tolist() == [-100.0] * 15  # too far: missed, and nobody's
    quiet = track(truth, [[person(7), person(9, 500, score=0.2)]] * 4)
    assert quiet.mota.tolist() == [100.0] * 15  # joints below the threshold take no part
    loud = track(truth, [[person(7), person(9, 500, score=0.2)]] * 4, least_score=0.1)
    assert loud.mota.tolist() == [0.0] * 15


def test_frames_without_annotations_and_ignore_regions_are_left_out() -> None:
    everything = np.array([(400, 0), (900, 0), (900, 100), (400, 100)], float)
    truth = [EvalFrame([person(1, head=True)], [everything]), EvalFrame([], [])]
    guesses = [EvalFrame([person(7), person(9, 500)], []), EvalFrame([person(7), person(3)], [])]
    assert evaluate_tracking((truth, guesses)).mota.tolist() == [100.0] * 15


def test_oks_falls_with_distance_and_ranks_by_score() -> None:
    def ap(*guesses: EvalPerson) -> Any:
        return evaluate_oks([([EvalFrame([person(1, head=True)], [])], [EvalFrame(list(guesses), [])])])

    assert ap(person(1)).ap == pytest.approx(100)
    near, far = ap(person(1, 8)), ap(person(1, 60))
    assert 0 < near.ap < 100
    assert near.ap50 == pytest.approx(100)
    assert far.ap < near.ap
    assert ap().ap == 0
    assert ap(person(1, score=0.9), person(2, 500, score=0.5)).ap == pytest.approx(100)
    assert ap(person(1, score=0.5), person(2, 500, score=0.9)).ap == pytest.approx(50, abs=1)
    nobody = evaluate_oks([([EvalFrame([], [])], [EvalFrame([], [])])])
    assert np.isnan(nobody.ap)


def test_oks_of_one_joint_by_hand() -> None:
    """exp(-d^2 / (2 area (2 sigma)^2)), as COCO has it: the ankle alone, at the distance where OKS is 0.625."""
    area, sigma = 150.0 * 100.0, 0.089
    distance = np.sqrt(-2 * area * (2 * sigma) ** 2 * np.log(0.625))
    points = np.full((15, 2), np.nan)
    points[0] = 50.0, 50.0
    truth = EvalPerson(points, np.full(15, 0.9), (0.0, 0.0, 6.0, 8.0), (0.0, 0.0, 150.0, 100.0), 1, 1.0)
    guess = EvalPerson(points + np.array((distance, 0)), np.full(15, 0.9), None, (0.0, 0.0, 150.0, 100.0), 1, 1.0)
    result = evaluate_oks([([EvalFrame([truth], [])], [EvalFrame([guess], [])])])
    assert result.ap == pytest.approx(30)  # right at 0.50, 0.55 and 0.60 of ten thresholds
    assert result.ap75 == 0


def test_missing_packages(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, metric in (("pycocotools", "oks"), ("motmetrics", "tracking")):
        for name in [package, f"{package}.coco", f"{package}.cocoeval"]:
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UsageError, match=rf"{package}; pip install 'dcpose\[evaluate\]'"):
            evaluate(golden / "gt", golden / "pred18", metrics=["ap", metric])
    assert available_metrics() == ("ap", "pckh")
    result = evaluate(golden / "gt", golden / "pred18")
    assert result.metrics == ("ap", "pckh")
    assert result.total.oks is None
    assert set(as_json(result)) == {"frames", "ap", "pckh", "joints", "sequences"}


def test_predictions_without_track_ids(golden: Path, tmp_path: Path) -> None:
    name = "000001_mpii_test.json"
    data = json.loads((golden / "pred17" / name).read_text())
    for frame in data["annolist"]:
        for rect in frame["annorect"]:
            rect.pop("track_id", None)
    (tmp_path / name).write_text(json.dumps(data))
    result = evaluate(golden / "gt" / name, tmp_path)
    assert result.total.tracking is None
    assert result.total.oks is not None
    with pytest.raises(UsageError, match="track_id"):
        evaluate(golden / "gt" / name, tmp_path, metrics=["tracking"])


@pytest.mark.parametrize("track_id", [10**400, 2**63, "x", 1.5, True, [[]]])
def test_odd_track_ids_are_refused(golden: Path, tmp_path: Path, track_id: Any) -> None:
    name = "000001_mpii_test.json"
    data = json.loads((golden / "pred18" / name).read_text())
    data["annotations"][0]["track_id"] = track_id
    (tmp_path / name).write_text(json.dumps(data))
    with pytest.raises(InputError, match="track_id"):
        evaluate(golden / "gt" / name, tmp_path)


def test_people_who_share_an_id_cannot_be_tracked(golden: Path, tmp_path: Path) -> None:
    name = "000001_mpii_test.json"
    data = json.loads((golden / "pred18" / name).read_text())
    for entry in data["annotations"]:
        entry["track_id"] = 3
    (tmp_path / name).write_text(json.dumps(data))
    assert evaluate(golden / "gt" / name, tmp_path, metrics=None).total.tracking is None


def test_wrong_uses(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ap, pckh, oks, tracking"):
        evaluate(golden / "gt", golden / "pred18", metrics=["f1"])
    with pytest.raises(
        InputError, match=r"no result for the clip 000001_mpii_test.*looked for .*000001_mpii_test\.json"
    ):
        evaluate(golden / "gt", tmp_path)
    with pytest.raises(InputError, match=r"is one file, but the ground truth is a folder of 2"):
        evaluate(golden / "gt", golden / "pred18" / "000001_mpii_test.json")
    with pytest.raises(InputError, match="head box"):
        evaluate(golden / "pred18", golden / "pred18")
    (tmp_path / "t.json").write_text('{"joints": ["nose"], "frames": [{"frame": 5}]}')
    with pytest.raises(InputError, match="truth of a sample clip"):
        evaluate(tmp_path / "t.json", golden / "pred18" / "000001_mpii_test.json")
    assert len(EVAL_JOINTS) == 15


def test_interpolated_people_are_evaluated_apart(golden: Path, tmp_path: Path) -> None:
    """Who is marked is missing in the second set of figures, which are those of a file without them."""
    name = "000001_mpii_test.json"
    data = json.loads((golden / "pred18" / name).read_text())
    marked = data["annotations"][::2]
    for entry in marked:
        entry["interpolated"] = True
    (tmp_path / name).write_text(json.dumps(data))
    figures = as_json(evaluate(golden / "gt" / name, tmp_path / name))
    detected = figures.pop("without_interpolated")
    assert figures == as_json(evaluate(golden / "gt" / name, golden / "pred18" / name))
    data["annotations"] = [entry for entry in data["annotations"] if entry not in marked]
    (tmp_path / name).write_text(json.dumps(data))
    assert detected == as_json(evaluate(golden / "gt" / name, tmp_path / name))
    assert detected["ap"]["total"] != figures["ap"]["total"]
