"""Former names of modules keep working, with a note for whoever wrote them."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from dcpose_cli import _moved

#: What users of version 0.6 took from these modules.
NAMES = {
    "weights": ["empty_net", "find_weights", "load_model", "open_model", "save_model", "read_weights", "load_state"],
    "weights ": ["ModelHeader", "LoadedModel", "KINDS", "WEIGHTS_NAME", "verify", "shipped_models", "read_metadata"],
    "detect": ["PersonDetector", "load_detector", "DetectorModel", "Letterbox", "select"],
    "track": ["Tracker"],
    "infer": ["PoseNetwork", "resolve_device", "resolve_precision", "DEFAULT_BATCH"],
    "methods": ["method_of", "reach_of"],
    "crop": ["crop_affines", "sample_crops", "MEAN", "STD"],
    "decode": ["DECODERS", "to_image"],
    "onnx_export": ["export_onnx", "OnnxFile", "OPSET"],
    "header": ["made_by"],
    "export.posetrack": ["read_posetrack"],
    "dataset": ["export_dataset"],
    "dataset.boxes": [],
    "training.recipe": ["Recipe", "StageConfig"],
    "training.train": ["train"],
    "training.detector_recipe": [],
    "training.losses": [],
    "share": ["own_crops", "shared_crops", "CropPlan"],
    "export.reading": ["read_result", "DEFAULT_FPS"],
    "export._posetrack_reader": ["PoseTrackResult", "load_json"],
    "export._posetrack_writer": ["PoseTrackWriter"],
    "segments.keeping": ["is_unfinished", "segment_key"],
    "segments.parts": ["Parts"],
}
#: Every module of version 0.6.0 below the package; packages by their names.
MODULES = (Path(__file__).parent / "data" / "modules-0.6.0.txt").read_text().split()
PACKAGE = Path(_moved.__file__).parent


def former(name):
    """A module by its former name, as at the first import."""
    sys.modules.pop(f"dcpose_cli.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"dcpose_cli\.{name} is called dcpose_cli\..* now"):
        return import_module(f"dcpose_cli.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_former_modules_are_the_present_ones(name):
    module = former(name.strip())
    assert module is import_module(_moved.present_name(f"dcpose_cli.{name.strip()}"))
    for thing in NAMES[name]:
        assert hasattr(module, thing), thing


@pytest.mark.parametrize("old", _moved.MOVED)
def test_every_former_module_imports(old):
    assert former(old).__name__ == f"dcpose_cli.{_moved.MOVED[old]}"


def is_module(name):
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_0_6_is_there_or_moved_or_dropped(name):
    if is_module(name):
        assert _moved.present_name(f"dcpose_cli.{name}") is None
        assert name not in _moved.DROPPED
    elif name in _moved.DROPPED:
        with pytest.raises(ModuleNotFoundError, match=f"{name} was dropped after version 0.6: {_moved.DROPPED[name]}"):
            import_module(f"dcpose_cli.{name}")
    else:
        present = _moved.present_name(f"dcpose_cli.{name}")
        assert present is not None
        assert is_module(present.removeprefix("dcpose_cli."))


def test_nothing_is_mapped_that_was_not_there():
    assert len(MODULES) == 180
    assert {*_moved.MOVED, *_moved.CONTENTS, *_moved.DROPPED} <= set(MODULES)


@pytest.mark.parametrize(
    ("package", "name", "place"),
    [(package, name, place) for package, names in _moved.CONTENTS.items() for name, place in names.items()],
)
def test_former_contents_of_modules_that_are_packages_now(package, name, place):
    with pytest.warns(DeprecationWarning, match=rf"dcpose_cli\.{package}\.{name} is in dcpose_cli\.{place} now"):
        found = getattr(import_module(f"dcpose_cli.{package}"), name)
    assert found is getattr(import_module(f"dcpose_cli.{place}"), name)


def test_what_is_patched_under_a_former_name_is_patched(monkeypatch):
    module = former("weights")
    monkeypatch.setattr(module, "empty_net", "patched")
    assert import_module("dcpose_cli.checkpoints.files").empty_net == "patched"


def test_packages_have_no_other_names():
    for package in _moved.CONTENTS:
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            _ = import_module(f"dcpose_cli.{package}").nonsense


def test_other_names_are_left_to_python():
    assert _moved.present_name("dcpose_cli.weighty") is None
    assert _moved.present_name("weights") is None
    with pytest.raises(ModuleNotFoundError, match="weighty"):
        import_module("dcpose_cli.weighty")


def test_the_note_names_the_line_of_the_user_and_loads_nothing_by_itself():
    code = "import sys, dcpose_cli\nassert 'torch' not in sys.modules\nimport dcpose_cli.header\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "<string>:3: DeprecationWarning: dcpose_cli.header is called dcpose_cli.results.header now" in done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_module("dcpose_cli.results.header")
