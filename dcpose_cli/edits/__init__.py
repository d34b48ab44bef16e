"""Corrections of results by hand: tracks merged, split, deleted and exchanged, joints moved; replayable as a script."""

from __future__ import annotations

from .operations import Edit
from .result import EditSummary, edit_result
from .script import parse, read_script

__all__ = ["Edit", "EditSummary", "edit_result", "parse", "read_script"]
