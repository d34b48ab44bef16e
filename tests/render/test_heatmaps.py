"""Heatmaps on show: five panels per frame that agree with the keypoints of the result."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dcpose_cli import PoseEstimator, UsageError, estimate, read_posetrack
from dcpose_cli.pose.heatmaps import peaks
from dcpose_cli.render.heatmaps import PANEL_HEIGHT, HeatmapPanels, joint_slot, render_heatmaps
from dcpose_cli.types import Window
from dcpose_cli.video.reader import VideoReader

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))


@pytest.fixture(scope="module")
def people(tiny_folder):
    # In fp32, as the panels: in bf16 the peaks of an untrained network's flat heatmaps are elsewhere.
    return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(), precision="fp32")


@pytest.fixture(scope="module")
def made(people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    clip = PRODUCT.make_clip(folder / "clip.mp4", frames=8, size=(160, 96))
    estimate(clip, estimator=people, json=folder / "clip.json")
    return folder


def test_the_final_heatmap_is_where_the_keypoint_came_from(people, made):
    import torch

    from dcpose_cli.pose.heatmaps import to_image

    frames = list(VideoReader(made / "clip.mp4"))
    result = read_posetrack(made / "clip.json").frames[3]
    person = result.people[1]
    for joint in ("nose", "left_wrist", "right_ankle"):
        maker = HeatmapPanels(people, joint_slot(joint))
        crops, heat = maker._maps(Window(frames[2], frames[3], frames[4], (1, 1)), person, 1.0)
        assert [crop.shape for crop in crops] == [(64, 48, 3)] * 3
        peak = peaks(torch.from_numpy(heat[4])[None, None]).numpy()
        size = (heat[4].shape[1], heat[4].shape[0])
        place = to_image(peak, person.bbox[None], size, people.network.box_scale)[0, 0]
        np.testing.assert_allclose(place[:2], person.keypoints[joint_slot(joint), :2], atol=0.05)
        assert place[2] == pytest.approx(float(person.keypoints[joint_slot(joint), 2]), abs=1e-3)


def test_heatmaps_of_trimmed_crops_lie_in_the_whole_one(people, made, tmp_path):
    from dcpose_cli.checkpoints.files import save_model
    from dcpose_cli.nets import DCPose

    config = replace(people.network.model.header.network, input_size=(96, 128))
    save_model(DCPose(config), tmp_path / "trimmed", name="trimmed", crop_margin=0.0)
    trimmed = PoseEstimator(tmp_path / "trimmed", "cpu", detector=PRODUCT.Crowd(), precision="fp32")
    frames = list(VideoReader(made / "clip.mp4", max_frames=3))
    person = replace(
        read_posetrack(made / "clip.json").frames[1].people[0], bbox=np.array([40, 10, 20, 80], np.float32)
    )
    crops, heat = HeatmapPanels(trimmed, 0)._maps(Window(*frames, (1, 1)), person, 1.0)
    assert [crop.shape for crop in crops] == [(128, 96, 3)] * 3
    assert all(one.shape == (32, 24) for one in heat)
    assert not heat[0][:, :4].any()
    assert not heat[0][:, -4:].any()
    assert heat[0][:, 4:-4].all()


def test_a_video_of_five_panels(people, made, tmp_path):
    summary = render_heatmaps(
        made / "clip.mp4", made / "clip.json", tmp_path / "out.mp4", track=0, joint="left_knee", estimator=people
    )
    assert summary.frames == 8
    with av.open(str(tmp_path / "out.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 8
    assert pictures[0].shape == (PANEL_HEIGHT, 5 * PANEL_HEIGHT * 48 // 64, 3)
    panels = np.split(pictures[4].astype(int), 5, axis=1)
    assert np.abs(panels[0] - panels[1]).mean() > 1  # other frames


def test_a_frame_without_the_person_is_black(people, made):
    frames = list(VideoReader(made / "clip.mp4", max_frames=1))
    picture = HeatmapPanels(people, 0)(Window(frames[0], frames[0], frames[0], (1, 1)), None)
    assert picture[40:].max() == 0


def test_what_cannot_be_shown(people, made, tmp_path):
    def show(track=0, joint="nose"):
        render_heatmaps(
            made / "clip.mp4", made / "clip.json", tmp_path / "out.mp4", track=track, joint=joint, estimator=people
        )

    with pytest.raises(UsageError, match="no track 7"):
        show(track=7)
    with pytest.raises(UsageError, match="left_elbow"):
        show(joint="tail")
    other = SimpleNamespace(network=SimpleNamespace(model=SimpleNamespace(net=None, header=SimpleNamespace(name="x"))))
    with pytest.raises(UsageError, match="no DCPose"):
        HeatmapPanels(other, 0)
    assert PRODUCT.files_in(tmp_path) == []
