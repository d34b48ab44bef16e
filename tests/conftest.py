"""Fixtures every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set before torch is imported anywhere: the suite must not fight with itself for cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference and data folder beside the checkout; tests that need it are skipped without it."""
    if not (SHARED / "reference").is_dir():
        pytest.skip("needs the reference and data folder beside the checkout")
    return SHARED
