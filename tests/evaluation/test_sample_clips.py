"""The sample-clip measure and the ground truth made from the clips' true joints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.evaluation.poseval import evaluate_ap
from dcpose_cli.evaluation.sample_clips import clips_ap, match_people, score_clip, score_frames
from dcpose_cli.evaluation.sample_truth import TruePerson, posetrack_ground_truth, read_truth
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.skeleton import LABELLED_SLOTS
from dcpose_cli.types import FrameResult, Person

CLIPS = ("plaza", "portrait", "sprint")


@pytest.fixture(scope="module")
def samples(root: Path) -> Path:
    return root / "sample_videos"


def as_person(true: TruePerson, shift: float = 0.0) -> Person:
    keypoints = true.keypoints.astype(np.float32)
    labelled = keypoints[:, 2] > 0
    keypoints[labelled, 0] += np.float32(shift)
    keypoints[:, 2] = labelled * np.float32(0.9)
    return Person(true.track_id, true.bbox.astype(np.float32), 0.9, keypoints)


def count_joints(frames: Sequence[Sequence[TruePerson]], visibility: int) -> int:
    """Joints of one visibility among the people with a head box."""
    people = [true for frame in frames for true in frame if true.head_box is not None]
    return sum(int((true.keypoints[:, 2] == visibility).sum()) for true in people)


def write_result(path: Path, frames: Sequence[Sequence[Person]]) -> Path:
    with PoseTrackWriter(path, {"time_base": "1/25"}) as writer:
        for index, people in enumerate(frames):
            writer.write(FrameResult(index, index, index / 25, tuple(people)))
    return path


@pytest.mark.parametrize("name", CLIPS)
def test_truth_of_the_shipped_clips(samples: Path, name: str) -> None:
    frames = read_truth(samples / f"{name}.json")
    raw = json.loads((samples / f"{name}.json").read_text())
    assert len(frames) == len(raw["frames"]) == 75
    people = [person for frame in frames for person in frame]
    assert len(people) > 60
    entry = raw["frames"][0]["persons"][0]
    first = frames[0][0]
    assert first.keypoints[[3, 4]].tolist() == [[0, 0, 0]] * 2
    # The pixel convention: the image corner is (0, 0) in the file, the first pixel's centre is (0, 0) here.
    visible = [slot for slot in LABELLED_SLOTS if first.keypoints[slot, 2] > 0]
    for slot in visible:
        x, y, v = entry["keypoints"][LABELLED_SLOTS.index(slot)]
        assert first.keypoints[slot].tolist() == [x - 0.5, y - 0.5, v]
    assert len(visible) > 10
    assert first.head_size == pytest.approx(0.6 * np.hypot(*entry["head_box"][2:]))


@pytest.mark.parametrize("name", CLIPS)
def test_the_truth_itself_scores_everything(samples: Path, tmp_path: Path, name: str) -> None:
    truth = samples / f"{name}.json"
    frames = read_truth(truth)
    result = write_result(tmp_path / "r.json", [[as_person(true) for true in frame] for frame in frames])
    score = score_clip(result, truth)
    expected = count_joints(frames, 2)
    assert score.hits == score.joints == expected > 500
    assert score.value == 1
    assert score.people == score.matched
    assert score.surplus == 0
    assert sum(joints for _, joints in score.groups.values()) == score.joints
    assert clips_ap([(result, truth)]).total == pytest.approx(100)


def test_half_a_head_decides(samples: Path, tmp_path: Path) -> None:
    truth = samples / "portrait.json"
    frames = read_truth(truth)
    near = [[as_person(true, 0.49 * true.head_size) for true in frame] for frame in frames]
    far = [[as_person(true, 0.51 * true.head_size) for true in frame] for frame in frames]
    assert score_clip(write_result(tmp_path / "near.json", near), truth).value == 1
    score = score_clip(write_result(tmp_path / "far.json", far), truth)
    assert score.hits == 0
    assert score.matched == score.people  # still the same person: the boxes overlap
    assert clips_ap([(tmp_path / "far.json", truth)]).total == 0


def test_missing_people_count_as_missed_and_extra_ones_as_surplus(samples: Path) -> None:
    frames = read_truth(samples / "plaza.json")
    only_first = [
        FrameResult(index, index, 0.0, tuple(as_person(true) for true in frame if true.track_id == 1))
        for index, frame in enumerate(frames)
    ]
    score = score_frames(only_first, frames)
    assert 0.2 < score.value < 0.5
    assert score.matched < score.people
    doubled = [FrameResult(r.index, r.pts, r.time, r.people * 2) for r in only_first]
    twice = score_frames(doubled, frames)
    # Where two people cross, a duplicate may stand in for the other one; everywhere else it is left over.
    assert sum(len(r.people) for r in only_first) - 3 <= twice.surplus <= sum(len(r.people) for r in only_first)
    assert score.hits <= twice.hits <= score.hits + 5
    assert score_frames([], frames).hits == 0
    assert score_frames([], frames).joints == score.joints


def test_swapped_left_and_right_is_wrong(samples: Path) -> None:
    frames = read_truth(samples / "sprint.json")
    swapped = []
    for index, frame in enumerate(frames):
        people = [as_person(true) for true in frame]
        for guess in people:
            guess.keypoints[[13, 14, 15, 16]] = guess.keypoints[[14, 13, 16, 15]]
        swapped.append(FrameResult(index, index, 0.0, tuple(people)))
    score = score_frames(swapped, frames)
    assert score.groups["shoulder"][0] == score.groups["shoulder"][1]
    assert score.groups["ankle"][0] < 0.4 * score.groups["ankle"][1]


def true_person(x: float, head: bool = True) -> TruePerson:
    keypoints = np.full((17, 3), 2.0)
    keypoints[:, 0] = x + np.arange(17)
    keypoints[:, 1] = np.arange(17) * 6
    head_box = np.array([x, 0, 12.0, 16.0]) if head else None
    return TruePerson(1, keypoints, np.array([x, 0, 30.0, 100.0]), head_box)


def test_matching_is_one_to_one_and_prefers_more_joints() -> None:
    truth = [true_person(0), true_person(7)]
    guesses = [as_person(true_person(8)), as_person(true_person(1))]
    assert match_people(guesses, truth) == [(0, 1), (1, 0)]
    assert match_people(guesses[:1], truth) == [(0, 1)]
    assert match_people([as_person(true_person(300))], truth) == []
    assert match_people([], truth) == []


def test_people_without_head_box_are_skipped_and_explain_their_prediction() -> None:
    truth = [[true_person(0, head=False), true_person(200)]]
    frames = [FrameResult(0, 0, 0.0, (as_person(true_person(0)), as_person(true_person(200))))]
    score = score_frames(frames, truth)
    assert (score.people, score.joints, score.hits, score.surplus) == (1, 15, 15, 0)


def test_ground_truth_is_posetrack18_that_ap_accepts(samples: Path, tmp_path: Path) -> None:
    frames = read_truth(samples / "plaza.json")
    data = posetrack_ground_truth(frames)
    (tmp_path / "gt.json").write_text(json.dumps(data, allow_nan=False))
    result = write_result(tmp_path / "r.json", [[as_person(true) for true in frame] for frame in frames])
    assert evaluate_ap(tmp_path / "gt.json", result).total == pytest.approx(100)
    heads = sum(true.head_box is not None for frame in frames for true in frame)
    assert len(data["annotations"]) == heads
    assert len({entry["id"] for entry in data["annotations"]}) == heads
    annotated = sum(sum(entry["keypoints"][2::3]) for entry in data["annotations"])
    assert annotated == count_joints(frames, 1) + count_joints(frames, 2)
    assert count_joints(frames, 1) > 50


def test_people_without_head_box_become_ignore_regions() -> None:
    data = posetrack_ground_truth([[true_person(5, head=False), true_person(200)]])
    assert len(data["annotations"]) == 1
    assert data["images"][0]["ignore_regions_x"] == [[5, 35, 35, 5]]
    assert data["images"][0]["ignore_regions_y"] == [[0, 0, 100, 100]]


def test_wrong_pairs_and_files_are_named(samples: Path, tmp_path: Path) -> None:
    long = write_result(tmp_path / "long.json", [[]] * 80)
    with pytest.raises(InputError, match="wrong pair"):
        score_clip(long, samples / "plaza.json")
    with pytest.raises(InputError, match="80 frames"):
        clips_ap([(long, samples / "plaza.json")])
    with pytest.raises(InputError, match="cannot be read"):
        read_truth(tmp_path / "gone.json")
    contents: list[Any] = [[], {}, {"joints": ["tail"], "frames": []}, {"joints": ["nose"], "frames": [{"frame": 3}]}]
    for content in contents:
        (tmp_path / "t.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"t\.json"):
            read_truth(tmp_path / "t.json")
