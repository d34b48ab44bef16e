"""The fixtures of training and evaluation, which benchmarks use too."""

from __future__ import annotations

import runpy
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
for room in ("training", "evaluation"):
    names = runpy.run_path(str(TESTS / room / "conftest.py"))
    globals().update({name: value for name, value in names.items() if not name.startswith("__")})
