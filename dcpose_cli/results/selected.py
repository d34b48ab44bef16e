"""A result with some of its people: what every command that reads results does with `--track`, `--largest` ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..config import Selection
from ..selection import select
from .reader import PoseTrackResult


def picture_size(header: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of the upright frame in pixels; None where the header does not say."""
    width, height = header.get("width"), header.get("height")
    return (width, height) if type(width) is int and type(height) is int and min(width, height) > 0 else None


def selected(result: PoseTrackResult, selection: Selection) -> PoseTrackResult:
    """The result with the chosen people alone; its header says by what. Raises UsageError for a choice of nobody."""
    if selection.everybody:
        return result
    frames = select(result.frames, selection, picture_size(result.header))
    people = sum(len(frame.people) for frame in frames)
    # The annotated video of the whole result shows others, too.
    header = {**result.header, "video": None, "people": people, "selection": selection.header()}
    return replace(result, header=header, frames=frames)
