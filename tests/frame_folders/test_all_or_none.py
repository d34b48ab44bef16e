"""The files of a data set get their names together."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from dcpose_cli import _sets
from dcpose_cli.config import EstimateConfig
from dcpose_cli.errors import OutputError
from dcpose_cli.frame_folders import export_dataset

MADE = runpy.run_path(str(Path(__file__).with_name("test_frame_folders.py")))


def test_all_files_are_new_or_all_are_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, boxes, _ = MADE["make"](tmp_path, "posetrack18")
    out, config = tmp_path / "out", EstimateConfig(overwrite=True)
    options: dict[str, Any] = {"to": "posetrack18", "config": config}
    export_dataset(frames, boxes, out, estimator=MADE["StandIn"](), **options)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    real = _sets.give_name

    def give_name(temporary: Path, target: Path, *, overwrite: bool) -> None:
        if target.name == sorted(before)[1] and not target.name.startswith("."):
            raise OutputError("no room", path=target)
        real(temporary, target, overwrite=overwrite)

    monkeypatch.setattr(_sets, "give_name", give_name)
    with pytest.raises(OutputError, match="no room"):
        export_dataset(frames, boxes, out, estimator=MADE["StandIn"](tuple(range(13))), **options)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    monkeypatch.setattr(_sets, "give_name", real)
    export_dataset(frames, boxes, out, estimator=MADE["StandIn"](tuple(range(13))), **options)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)
