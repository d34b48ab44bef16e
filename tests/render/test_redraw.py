"""Results drawn again: the same pictures, clock and sound as the first time, and everything that can be chosen."""

from __future__ import annotations

import json
import runpy
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dcpose_cli import FrameResult, InputError, OutputError, Person, UsageError, read_posetrack
from dcpose_cli.files import sha256_of
from dcpose_cli.render import draw_people
from dcpose_cli.render.redraw import RenderConfig, render
from dcpose_cli.render.results import Choice
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.video.reader import VideoReader

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))


def person(track, x, index):
    """A walker of 90 pixels, all joints sure, about whom everything moves a little."""
    keypoints = np.zeros((17, 3), np.float32)
    sway = 4 * (-1) ** index
    for slot in range(17):
        keypoints[slot] = (x + 8 + 3 * (slot % 5) + index / 2 + (sway if slot in (9, 15) else 0), 5 + 5 * slot, 0.9)
    return Person(track, np.array([x, 2, 36, 90], np.float32), 0.8, keypoints)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clip with sound, and results of all of it and of a part: two people, 0 to the left and 1 to the right."""
    folder = tmp_path_factory.mktemp("made")
    clip = PRODUCT.make_clip(folder / "clip.mp4", frames=30, size=(160, 96), audio=True)
    header = {"time_base": "1/12800", "width": 160, "height": 96}
    header["input"] = {"name": "clip.mp4", "sha256": sha256_of(clip)}
    part = {"start": 0.2, "end": 0.8, "max_frames": 10}
    for name, frames, settings in (("whole", range(30), {}), ("part", range(5, 15), part)):
        with PoseTrackWriter(folder / f"{name}.json", {**header, "settings": settings}) as writer:
            for i in frames:
                writer.write(FrameResult(i, 512 * i, i / 25, (person(0, 10 + i, i), person(1, 90, i))))
    return folder


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def stamps(path):
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def difference(first, second):
    return np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(pictures(first), pictures(second), strict=True)])


def again(made, out, beside=None, result="whole.json", **options):
    return render(made / "clip.mp4", made / result, out, config=RenderConfig(**options), beside=beside)


def test_the_same_pictures_clock_and_sound(made, tmp_path):
    summary = again(made, tmp_path / "out.mp4")
    assert (summary.frames, summary.warnings) == (30, ())
    assert stamps(tmp_path / "out.mp4") == stamps(made / "clip.mp4")
    people = read_posetrack(made / "whole.json").frames
    for picture, frame, result in zip(
        pictures(tmp_path / "out.mp4"), VideoReader(made / "clip.mp4"), people, strict=True
    ):
        expected = draw_people(frame.image, result.people, kpt_thr=0.3)
        drawn = (expected != frame.image).any(axis=2)
        assert drawn.mean() > 0.1
        assert np.abs(picture.astype(int) - expected)[drawn].mean() < 25
        assert np.abs(picture.astype(int) - frame.image)[drawn].mean() > 50
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio


def test_the_part_the_result_covers(made, tmp_path):
    assert again(made, tmp_path / "out.mp4", result="part.json").frames == 10
    assert stamps(tmp_path / "out.mp4") == [moment - Fraction(1, 5) for moment in stamps(made / "clip.mp4")[5:15]]
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.pts is not None]
    assert 0.2 < max(sound) < 0.5


def test_on_black_only_people_are_left(made, tmp_path):
    again(made, tmp_path / "out.mp4", black=True, style="lines", boxes=False, ids=False)
    picture = pictures(tmp_path / "out.mp4")[10]
    assert 0.3 < (picture.max(axis=2) < 24).mean() < 1
    assert picture.max() > 100
    again(made, tmp_path / "none.mp4", black=True, style="none", boxes=False, ids=False)
    assert pictures(tmp_path / "none.mp4")[10].max() < 24


def test_chosen_people_alone(made, tmp_path):
    plain = {"boxes": True, "style": "none", "ids": False, "black": True}
    again(made, tmp_path / "all.mp4", **plain)
    again(made, tmp_path / "one.mp4", choice=Choice(tracks=(1,)), **plain)
    whole, one = (pictures(tmp_path / f"{name}.mp4")[5].max(axis=2) > 60 for name in ("all", "one"))
    # Box 0 lies in the left half of the picture, box 1 in the right one.
    assert whole[:, :70].any()
    assert not one[:, :70].any()
    assert one[:, 90:].any()


def test_faces_are_hidden_of_people_who_are_not_chosen_too(made, tmp_path):
    options = {"boxes": False, "style": "none", "ids": False}
    again(made, tmp_path / "a.mp4", **options)
    again(made, tmp_path / "b.mp4", blur_faces=True, choice=Choice(tracks=(0,)), **options)
    again(made, tmp_path / "c.mp4", blur_faces=True, **options)
    assert difference(tmp_path / "b.mp4", tmp_path / "c.mp4") < 0.01
    assert difference(tmp_path / "a.mp4", tmp_path / "c.mp4") > 1


def test_two_results_side_by_side(made, tmp_path):
    again(made, tmp_path / "out.mp4", beside=made / "whole.json")
    picture = pictures(tmp_path / "out.mp4")[3]
    assert picture.shape == (96, 320, 3)
    lower = picture[40:].astype(int)
    assert np.abs(lower[:, :160] - lower[:, 160:]).mean() < 6
    assert stamps(tmp_path / "out.mp4") == stamps(made / "clip.mp4")


def test_trails_and_smoothing_change_the_picture(made, tmp_path):
    again(made, tmp_path / "plain.mp4")
    for name, options in (("trails", {"trails": 0.5}), ("smooth", {"smooth": "gaussian"})):
        again(made, tmp_path / f"{name}.mp4", **options)
        assert difference(tmp_path / "plain.mp4", tmp_path / f"{name}.mp4") > 0.2, name


def test_another_video_is_a_warning_and_another_size_an_error(made, tmp_path):
    other = PRODUCT.make_clip(tmp_path / "other.mp4", frames=12, size=(160, 96))
    summary = render(other, made / "whole.json", tmp_path / "out.mp4")
    assert summary.frames == 12
    [warning] = summary.warnings
    assert "not the file" in warning
    small = PRODUCT.make_clip(tmp_path / "small.mp4", frames=5)
    with pytest.raises(InputError, match="96x64"):
        render(small, made / "whole.json", tmp_path / "no.mp4")
    assert not (tmp_path / "no.mp4").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [({"style": "fancy"}, "limbs"), ({"trails": -1}, "--trails"), ({"smooth": "x"}, "gaussian"),
     ({"choice": Choice(tracks=(9,))}, "no track 9")],
)  # fmt: skip
def test_what_cannot_be_meant(made, tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        again(made, tmp_path / "out.mp4", **options)
    assert PRODUCT.files_in(tmp_path) == []


def test_outputs_are_protected(made, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        again(made, tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="is the input"):
        render(made / "clip.mp4", made / "whole.json", made / "clip.mp4", config=RenderConfig(overwrite=True))
    with pytest.raises(UsageError, match=r"\.mkv"):
        again(made, tmp_path / "out.gif")
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["start", "end", "max_frames", "interval"])
def test_strange_settings_in_a_result_are_named(made, tmp_path, name):
    data = json.loads((made / "whole.json").read_text())
    data["dcpose"]["settings"] = {name: {}}
    (tmp_path / "odd.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"odd\.json: .*settings\.{name} must be"):
        render(made / "clip.mp4", tmp_path / "odd.json", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
