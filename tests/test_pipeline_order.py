"""What of a run happens beside something else."""

from __future__ import annotations

import runpy
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcpose_cli import DeviceError, PoseEstimator, export_json, pipeline
from dcpose_cli.video import VideoReader

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "product.py")))


@pytest.fixture
def clip(tmp_path):
    return PRODUCT.make_clip(tmp_path / "clip.mp4", frames=4)


def test_decoding_begins_while_a_model_is_loaded_and_settings_are_chosen(tiny_folder, clip, tmp_path, monkeypatch):
    decoded, waited, convert = threading.Event(), [], VideoReader._convert
    monkeypatch.setattr(VideoReader, "_convert", lambda *args: (decoded.set(), convert(*args))[1])

    def load(_):
        waited.append(decoded.wait(60))
        return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())

    monkeypatch.setattr(pipeline, "_load", load)
    assert export_json(clip, tmp_path / "out.json").frames == 4
    assert waited == [True]


def test_where_no_model_can_be_loaded_reading_ends(clip, tmp_path, monkeypatch):
    def load(_):
        raise DeviceError("none")

    monkeypatch.setattr(pipeline, "_load", load)
    with pytest.raises(DeviceError, match="none"):
        export_json(clip, tmp_path / "out.json")
    assert not [thread for thread in threading.enumerate() if thread.name == "dcpose-read"]
    assert not (tmp_path / "out.json").exists()
