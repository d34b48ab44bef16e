"""PCK, people found and swapped pairs on videos with labels: known figures, and those of the reference script."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from dcpose_cli import InputError
from dcpose_cli.evaluation.labelled_video import VideoScore, read_labels, score_video
from dcpose_cli.results import PoseTrackWriter, read_posetrack
from dcpose_cli.skeleton import FLIP_ORDER, JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

NAMES = list(JOINT_NAMES[5:])
#: Somebody who stands facing the camera, 100 pixels tall: shoulders to ankles, left and right in turn.
STANDING = np.array(
    [
        (60, 20),
        (40, 20),
        (66, 40),
        (34, 40),
        (70, 58),
        (30, 58),
        (56, 60),
        (44, 60),
        (57, 80),
        (43, 80),
        (58, 98),
        (42, 98),
    ]
)


def label(points, track=0, seen=2):
    low, high = points.min(axis=0), points.max(axis=0)
    keypoints = [[float(x), float(y), seen] for x, y in points]
    return {"track_id": track, "bbox": [*map(float, low), *map(float, high - low)], "keypoints": keypoints}


def write_labels(path, frames):
    path.write_text(
        json.dumps(
            {"joints": NAMES, "fps": 10, "frames": [{"frame": i, "persons": people} for i, people in enumerate(frames)]}
        )
    )


def person(points, track=0):
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[5:, :2], keypoints[5:, 2] = points, 0.8
    return Person(track, np.array([30, 20, 40, 80], np.float32), 0.9, keypoints)


def result(*frames):
    return [FrameResult(i, i, i / 10, tuple(people)) for i, people in enumerate(frames)]


@pytest.fixture
def labels(tmp_path):
    write_labels(tmp_path / "clip.json", [[label(STANDING)], [label(STANDING)]])
    return read_labels(tmp_path / "clip.json")


def test_everything_right(labels):
    score = score_video(result([person(STANDING)], [person(STANDING)]), labels)
    assert (score.pck, score.people, score.found) == (1.0, 2, 2)
    assert (score.swapped, score.pairs) == (0, 8)
    assert score.groups["knee"] == (4, 4)
    assert score.groups["head"] == (0, 0)


def test_people_not_found_are_missed_joints(labels):
    score = score_video(result([person(STANDING)]), labels)
    assert (score.pck, score.found, score.pairs) == (0.5, 1, 4)


def test_a_joint_counts_within_a_fifth_of_the_torso(labels):
    torso = np.hypot(16, 40)
    for share, hits in ((0.19, 12), (0.21, 11)):
        moved = STANDING.astype(float)
        moved[9, 1] += share * torso
        assert score_video(result([person(moved)]), labels).hits == hits


def test_left_taken_for_right(labels):
    legs = STANDING.copy()
    legs[[8, 9, 10, 11]] = legs[[9, 8, 11, 10]]
    score = score_video(result([person(legs)]), labels)
    assert (score.swapped, score.pairs, score.hits) == (2, 4, 8)


def test_pairs_that_lie_together_do_not_count(tmp_path):
    profile = STANDING.copy()
    profile[[8, 9]], profile[[10, 11]] = (50, 80), (50, 98)
    write_labels(tmp_path / "profile.json", [[label(profile)]])
    assert score_video(result([person(profile)]), read_labels(tmp_path / "profile.json")).pairs == 2


def test_far_away_is_somebody_else(labels):
    score = score_video(result([person(STANDING + 300)]), labels)
    assert (score.found, score.hits) == (0, 0)


def test_scores_add_up(labels):
    one = score_video(result([person(STANDING)], [person(STANDING)]), labels)
    total = sum([one, one], start=VideoScore())
    assert (total.people, total.joints, total.hits, total.pairs) == (4, 48, 48, 16)


def test_what_holds_no_labels_is_refused(tmp_path):
    for text in (
        "{}",
        '{"joints": ["tail"], "frames": []}',
        '{"joints": [], "frames": [{"frame": 0, "persons": [{}]}]}',
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match="no video labels"):
            read_labels(tmp_path / "bad.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "absent.json")


def test_equal_to_the_reference_script(shared, tmp_path):
    """Noisy, mirrored, absent and surplus people: the counts of tools/score_video.py."""
    rng = np.random.default_rng(3)
    (tmp_path / "labels").mkdir()
    (tmp_path / "results").mkdir()
    truth, found = [], []
    for number in range(60):
        people = [STANDING * rng.uniform(0.8, 2) + rng.uniform(0, 300, 2) for _ in range(rng.integers(0, 3))]
        truth.append([label(points, track) for track, points in enumerate(people)])
        if people and number % 3 == 0:
            truth[-1][0]["keypoints"][number % 12][2] = 0
        guesses = []
        for track, points in enumerate(people[: rng.integers(0, 4)]):
            points = points + rng.normal(0, 8, points.shape)
            mirrored = points[np.array(FLIP_ORDER[5:]) - 5]
            guesses.append(person(mirrored if rng.random() < 0.3 else points, track))
        guesses += [person(STANDING + rng.uniform(0, 300, 2), 9)] * (number % 2)
        found.append(guesses)
    write_labels(tmp_path / "labels" / "clip.json", truth)
    with PoseTrackWriter(tmp_path / "results" / "clip.json", {"time_base": "1/10"}) as writer:
        for frame in result(*found):
            writer.write(frame)
    script = shared / "tools" / "score_video.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path / "labels", tmp_path / "results"], capture_output=True, text=True, check=True
    )
    frames = read_posetrack(tmp_path / "results" / "clip.json").frames
    score = score_video(frames, read_labels(tmp_path / "labels" / "clip.json"))
    assert 0 < score.swapped < score.pairs
    assert 0 < score.found < score.people
    expected = f"PCK@0.2 {score.pck:.3f}  people {score.found}/{score.people}  swapped {score.swapped}/{score.pairs}"
    first, total = done.stdout.splitlines()
    assert expected in first
    groups = [score.groups[name] for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]
    assert total.endswith(
        " ".join(
            f"{name} {hits / joints:.2f}"
            for name, (hits, joints) in zip(("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), groups, strict=True)
        )
    )
