"""Where results go, and what is wrong with an output before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcpose_cli.errors import OutputError, UsageError
from dcpose_cli.outputs import output_paths, require_outputs, require_video


def test_the_json_lies_beside_its_video():
    assert output_paths("a/x.mov", None) == (Path("a/x.mov"), Path("a/x.json"))
    assert output_paths("a/x.mov", "b.json") == (Path("a/x.mov"), Path("b.json"))
    assert output_paths(None, "b.json") == (None, Path("b.json"))


def test_outputs_that_cannot_be_meant(tmp_path):
    with pytest.raises(UsageError, match="nothing to write"):
        output_paths(None, None)
    with pytest.raises(UsageError, match="one file"):
        output_paths("x.json", None)
    source = tmp_path / "in.mp4"
    source.touch()
    with pytest.raises(UsageError, match=r"\.mkv"):
        require_outputs(source, tmp_path / "x.gif", tmp_path / "x.json", overwrite=False)
    with pytest.raises(UsageError, match=r"\.json"):
        require_outputs(source, None, tmp_path / "x.txt", overwrite=False)
    with pytest.raises(UsageError, match="is the input"):
        require_video(source, [tmp_path / "x.json", source], overwrite=True)


@pytest.mark.parametrize(("name", "says"), [("in.mp4", "exists already"), ("x" * 300 + ".mp4", "too long")])
def test_outputs_that_cannot_be_written(tmp_path, name, says):
    (tmp_path / "in.mp4").touch()
    with pytest.raises(OutputError, match=says):
        require_video(tmp_path / name, [], overwrite=False)
    with pytest.raises(OutputError, match=says):
        require_outputs(tmp_path / "other.mp4", tmp_path / name, tmp_path / "x.json", overwrite=False)
