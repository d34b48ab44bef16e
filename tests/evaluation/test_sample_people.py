"""The sample clips person by person, with results that are the truth itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dcpose_cli.evaluation.sample_people import draw_sheets, read_run, sample_ap, sample_hit_rates, sample_shares
from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture(scope="module")
def sprint(root, tmp_path_factory):
    """(clip, result, truth) of one clip; the first person's right half is 40 px off, a ghost stands in each frame."""
    clip = root / "sample_videos" / "sprint.mp4"
    result = tmp_path_factory.mktemp("results") / "sprint.json"
    with PoseTrackWriter(result, {"time_base": "1/25"}) as writer:
        truth = read_truth(clip.with_suffix(".json"))
        first = truth[0][0].track_id
        for index, frame in enumerate(truth):
            people = []
            for true in frame:
                keypoints = true.keypoints.astype(np.float32)
                keypoints[:, 2] = 0.82 * (keypoints[:, 2] > 0)
                if true.track_id == first:
                    keypoints[6::2, 0] += 40
                    keypoints[6::2, 2] *= 0.5
                people.append(Person(true.track_id, true.bbox.astype(np.float32), 0.9, keypoints))
            ghost = np.zeros((17, 3), np.float32)
            ghost[:, 2] = 0.1
            people.append(Person(99, np.array([0, 0, 5, 5], np.float32), 0.3, ghost))
            writer.write(FrameResult(index, index, index / 25, tuple(people)))
    return clip, result, clip.with_suffix(".json")


def test_everybody_is_counted_once_per_frame(sprint):
    run = read_run([sprint])
    truth = read_truth(sprint[2])
    assert len(run.people) == sum(p.head_box is not None for frame in truth for p in frame)
    assert len(run.frames) == len(truth)
    assert all(len(frame.surplus) == 1 for frame in run.frames)
    shares = sample_shares(run)
    assert shares["total"].people == len({p.owner for p in run.people})
    assert shares["head"].value == 1
    assert 0.3 < shares["wrist"].value < 1
    low, high = shares["wrist"].interval
    assert low < shares["wrist"].value < high or low == high


def test_scores_tell_right_from_wrong_here(sprint):
    rates = {rate.score: rate for rate in sample_hit_rates(read_run([sprint]))}
    assert rates[0.8].value == 1
    assert rates[0.5].value < 0.2  # 0.41: what was moved


def test_ap_falls_with_the_moved_half(sprint):
    ap = sample_ap(read_run([sprint]))
    assert ap["head"].value > 0.95  # the ghosts come last
    assert ap["wrist"].value < ap["head"].value


def test_sheets_show_the_best_and_the_worst(sprint, tmp_path):
    run = read_run([sprint])
    draw_sheets(run, tmp_path)
    good, bad = (cv2.imread(str(tmp_path / f"{name}.jpg")) for name in ("good", "bad"))
    assert good.shape[1] == bad.shape[1] == 8 * 160
    assert good.shape[0] % 160 == 0
    assert good[:160, :160].std() > 10
    assert not np.array_equal(good[:160, :160], bad[:160, :160])
