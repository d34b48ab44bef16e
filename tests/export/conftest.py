"""A real result, made once by the shipped models from the first frames of a sample clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dcpose_cli.export import PoseTrackResult, read_posetrack

FRAMES = 6


@pytest.fixture(scope="session")
def real(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result file of dcpose; not to be written to."""
    import dcpose_cli

    out = tmp_path_factory.mktemp("real") / "plaza.json"
    clip = root / "sample_videos" / "plaza.mp4"
    dcpose_cli.export_json(clip, out, device="cpu", max_frames=FRAMES, start=0.4, offline=True)
    return out


@pytest.fixture(scope="session")
def native(real: Path) -> dict[str, Any]:
    """Its JSON."""
    data: dict[str, Any] = json.loads(real.read_text())
    return data


@pytest.fixture(scope="session")
def result(real: Path) -> PoseTrackResult:
    """The same, typed."""
    return read_posetrack(real)
