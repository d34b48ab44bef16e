"""The README and the guides, followed word for word: every block of shell and Python, with few frames and steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = [ROOT / "README.md", ROOT / "docs/python.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Commands that analyse whole videos; here they stop after a few frames.
LONG = re.compile(r"^(?P<command>dcpose (estimate|batch|export-json|compare) [^#\n]*?) *(#.*)?$", re.MULTILINE)


def steps(guide):
    """(language, text) of the blocks of a guide, shortened. README's lines of shell are indented instead of fenced."""
    text = guide.read_text(encoding="utf-8")
    text = re.sub(r"^    (dcpose|python|pip install \. &&) (.*)$", r"```sh\n\1 \2\n```", text, flags=re.MULTILINE)
    for language, block in BLOCK.findall(text):
        if language == "sh" and block.startswith("pip install . && "):
            block = block.removeprefix("pip install . && ")  # dcpose is installed; README evaluates all frames of it
        elif language == "sh":
            block = LONG.sub(r"\g<command> --max-frames 8", block)
            block = re.sub(r" --truth \S+", "", block)  # it needs the whole clip
        yield language, block


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
        for recipe in tmp_path.glob("*labels/recipe.toml"):
            recipe.write_text(re.sub(r"^steps = \d+", "steps = 2", recipe.read_text(), flags=re.MULTILINE))
        done += 1
    assert done >= 4
