"""The command with small random networks."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))


@pytest.fixture(scope="session")
def product():
    """tests/product.py."""
    return PRODUCT


@pytest.fixture(scope="session")
def dcpose(tiny_folder, tmp_path_factory):
    """Runs `dcpose` with a random pose model and a random detector; see tests/product.py."""
    detector = PRODUCT.save_random_detector(tmp_path_factory.mktemp("detector"))
    return PRODUCT.Command(tiny_folder, detector)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Twelve frames of 96x64; not to be written to."""
    return PRODUCT.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", audio=True)
