"""Targets are checked first, a conversion that fails keeps the result, and runs of every format can be resumed."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcpose_cli import OutputError, PoseEstimator, UsageError, chunks, export_json, read_posetrack

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "product.py")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return PRODUCT.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


def with_crowd(folder, *args, **options):
    return PoseEstimator(folder, "cpu", detector=PRODUCT.Crowd(*args), **options)


@pytest.fixture(scope="module")
def two(tiny_folder):
    """An estimator that sees two people."""
    return with_crowd(tiny_folder)


def interrupted(frame):
    """A progress report that stops the run after so many frames."""

    def report(progress):
        if progress.frames == frame:
            raise KeyboardInterrupt

    return report


def test_a_converted_export_goes_on_from_its_parts(tiny_folder, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)
    crowd = with_crowd(tiny_folder)
    with pytest.raises(KeyboardInterrupt):
        export_json(clip, tmp_path / "a.csv", to="csv", estimator=crowd, resume=True, progress=interrupted(25))
    assert ".a.csv.segments.part/1.people" in PRODUCT.files_in(tmp_path)
    assert not [name for name in PRODUCT.files_in(tmp_path) if "segments" not in name]
    before = crowd.detector.calls
    summary = export_json(clip, tmp_path / "a.csv", to="csv", estimator=crowd, resume=True)
    assert crowd.detector.calls == before + 1  # the last of three chunks
    assert (summary.json, summary.exports) == (
        None,
        tuple(tmp_path / f"a{end}.csv" for end in ("", "_angles", "_quality")),
    )
    export_json(clip, tmp_path / "b.csv", to="csv", estimator=crowd)
    assert PRODUCT.files_in(tmp_path) == [f"{name}{end}.csv" for name in "ab" for end in ("", "_angles", "_quality")]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize(
    ("to", "name", "taken"),
    [("trc", "x.trc", "x_track1.trc"), ("csv", "x.csv", "x_angles.csv"), ("openpose", "x", "x/notes.txt")],
)
def test_targets_of_every_format_are_checked_before_a_model_is_loaded(clip, tmp_path, monkeypatch, to, name, taken):
    monkeypatch.setattr("dcpose_cli.pipeline._load", lambda _: pytest.fail("a model was loaded"))
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    with pytest.raises(OutputError, match=Path(taken).name):
        export_json(clip, tmp_path / name, to=to)
    assert PRODUCT.files_in(tmp_path) == [taken]


def test_a_failed_conversion_keeps_the_native_result(tiny_folder, clip, tmp_path, two):
    (tmp_path / "a.posetrack18.json").write_text("mine")
    with pytest.raises(
        OutputError, match=r"nobody is in the result.*kept in .*a\.2\.posetrack18\.json.*dcpose convert"
    ):
        export_json(clip, tmp_path / "a.trc", to="trc", estimator=with_crowd(tiny_folder, 0), max_frames=3)
    assert PRODUCT.files_in(tmp_path) == ["a.2.posetrack18.json", "a.posetrack18.json"]
    assert len(read_posetrack(tmp_path / "a.2.posetrack18.json").frames) == 3

    def appears(progress):
        (tmp_path / "b_track1.trc").write_text("mine")

    with pytest.raises(OutputError, match=r"b_track1\.trc: exists already.*kept in .*b\.posetrack18\.json"):
        export_json(clip, tmp_path / "b.trc", to="trc", estimator=two, max_frames=2, progress=appears)
    assert (tmp_path / "b_track1.trc").read_text() == "mine"
    assert len(read_posetrack(tmp_path / "b.posetrack18.json").frames) == 2


def test_choices_of_a_stopped_run_hold_for_the_resumed_one(tiny_folder, clip, tmp_path, monkeypatch):
    """An automatic choice that would fall out otherwise now: the stored one is used, and is in the header."""
    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)
    crowd = with_crowd(tiny_folder)

    def automatic(every):
        monkeypatch.setattr(crowd, "detect_every", every)  # as a choice that is no longer the same

    automatic(4)
    export_json(clip, tmp_path / "straight.json", estimator=crowd)
    with pytest.raises(KeyboardInterrupt):
        export_json(clip, tmp_path / "a.json", estimator=crowd, resume=True, progress=interrupted(20))
    automatic(1)
    export_json(clip, tmp_path / "a.json", estimator=crowd, resume=True)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "straight.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text())["dcpose"]["settings"]["detect_every"] == 4


def test_other_settings_than_those_asked_for_before_are_refused_by_name(tiny_folder, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)
    with pytest.raises(KeyboardInterrupt):
        export_json(clip, tmp_path / "a.json", estimator=with_crowd(tiny_folder), resume=True, progress=interrupted(20))
    with pytest.raises(UsageError, match=r"other settings \(detect_every\)"):
        export_json(clip, tmp_path / "a.json", estimator=with_crowd(tiny_folder, detect_every=2), resume=True)
