"""The guides of docs/guides, followed word for word: every block of shell and Python, with few frames and steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Commands that analyse whole videos; here they stop after a few frames.
LONG = re.compile(r"^dcpose (estimate|batch|export-json|compare) .*$", re.MULTILINE)


def steps(guide):
    """(language, text) of the blocks of a guide, shortened."""
    for language, text in BLOCK.findall(guide.read_text(encoding="utf-8")):
        if language == "sh":
            text = LONG.sub(r"\g<0> --max-frames 8", text)
            text = re.sub(r" --truth \S+", "", text)  # it needs the whole clip
        yield language, text


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_guide_runs_without_a_stumble(guide, tmp_path):
    for name in ("sample_videos", "examples", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = 0
    for language, text in steps(guide):
        command = [sys.executable, "-c", text] if language == "python" else ["bash", "-euc", text]
        bin_folder = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{text}\n{run.stdout}\n{run.stderr}"
        recipe = tmp_path / "labels/recipe.toml"
        if recipe.exists():
            recipe.write_text(re.sub(r"^steps = \d+", "steps = 2", recipe.read_text(), flags=re.MULTILINE))
        done += 1
    assert done >= 4
