"""Which people of a video are kept: the rules of `config.Selection` on the people of its frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from .config import Selection
from .errors import UsageError
from .types import FrameResult

#: Track ids that a message lists.
_LISTED: Final = 12


class Tracked(Protocol):
    """Somebody in one frame. bbox: xywh in pixels."""

    @property
    def track_id(self) -> Any:
        """Identity over time."""

    @property
    def bbox(self) -> Any:
        """Four numbers."""


P = TypeVar("P", bound=Tracked)


def require_selection(selection: Selection) -> None:
    """Raises UsageError for a selection that cannot be meant."""
    roi = selection.roi
    if roi is not None and not (np.isfinite(roi).all() and min(roi[2:]) > 0):
        raise UsageError("--roi is x,y,width,height in pixels, with width and height above 0")
    if selection.largest + selection.longest + selection.center > 1:
        raise UsageError("--largest, --longest and --center exclude each other", hint="give one of them")
    if selection.max_people is not None and selection.max_people < 1:
        raise UsageError(f"--max-people must be at least 1, got {selection.max_people}")
    if selection.min_height is not None and not 0 < selection.min_height < float("inf"):
        raise UsageError(f"--min-height must be above 0 pixels, got {selection.min_height}")


def require_threshold(least: float | None) -> None:
    """Raises UsageError for a least confidence of joints that is no number; None is none."""
    if least is not None and not np.isfinite(least):
        raise UsageError(f"--kpt-thr must be a number, got {least}")


def roi_of(text: str) -> tuple[float, float, float, float]:
    """A rectangle from "x,y,width,height". Raises UsageError."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--roi must be x,y,width,height in pixels, got {ascii(text)[1:-1]:.40}") from None
    return x, y, width, height


def selection_of(values: Mapping[str, Any]) -> Selection:
    """A selection from the options of a command: roi as text, tracks as a list or None. Raises UsageError."""
    chosen = dict(values)
    chosen["tracks"] = tuple(chosen.get("tracks") or ())
    chosen["roi"] = None if chosen.get("roi") is None else roi_of(chosen["roi"])
    selection = Selection(**chosen)
    require_selection(selection)
    return selection


def select(
    frames: Sequence[FrameResult], selection: Selection, size: tuple[int, int] | None = None
) -> list[FrameResult]:
    """The frames with the chosen people alone. size: of the picture, for `center`.

    Raises UsageError for a selection of nobody among people, a track that is not there, or one that cannot be carried
    out.
    """
    left = choose([frame.people for frame in frames], selection, size)
    return [replace(frame, people=tuple(people)) for frame, people in zip(frames, left, strict=True)]


def choose(people: Sequence[Sequence[P]], selection: Selection, size: tuple[int, int] | None = None) -> list[list[P]]:
    """`select` for the people of each frame alone."""
    require_selection(selection)
    known = {person.track_id for frame in people for person in frame}
    _require_tracks(known, selection)
    left = chosen(people, selection, size)
    if known and not any(left):
        raise UsageError(
            f"nobody in the result is chosen by {options_of(selection)}",
            hint="widen the selection; `dcpose report` shows the people",
        )
    return left


def chosen(people: Sequence[Sequence[P]], selection: Selection, size: tuple[int, int] | None = None) -> list[list[P]]:
    """`choose` where the choice may be empty."""
    left = [[person for person in frame if in_frame(person, selection)] for frame in people]
    if selection.min_height is not None:
        heights: defaultdict[int, list[float]] = defaultdict(list)
        for person in _all(left):
            heights[person.track_id].append(float(person.bbox[3]))
        tall = {track for track, values in heights.items() if np.median(values) >= selection.min_height}
        left = [[person for person in frame if person.track_id in tall] for frame in left]
    weights = _weights(left, selection, size)
    if selection.largest or selection.longest or selection.center:
        best = max(weights, key=lambda track: (weights[track], -track), default=None)
        left = [[person for person in frame if person.track_id == best] for frame in left]
    if selection.max_people is not None:
        left = [_largest_of(frame, weights, selection.max_people) for frame in left]
    return left


def in_frame(person: Tracked, selection: Selection) -> bool:
    """Whether the parts of a selection that need one frame only keep somebody."""
    if selection.tracks and person.track_id not in selection.tracks:
        return False
    if selection.roi is None:
        return True
    x, y, width, height = (float(value) for value in person.bbox)
    left, top, columns, rows = selection.roi
    return left <= x + width / 2 <= left + columns and top <= y + height / 2 <= top + rows


def options_of(selection: Selection) -> str:
    """The options of a selection, as on the command line."""
    parts = []
    for name, value in selection.header().items():
        option = "--track" if name == "tracks" else f"--{name.replace('_', '-')}"
        if name == "tracks":
            parts += [f"{option} {track}" for track in value]
        elif value is True:
            parts.append(option)
        else:
            parts.append(f"{option} {','.join(f'{v:g}' for v in value) if name == 'roi' else f'{value:g}'}")
    return " ".join(parts)


def _weights(people: Sequence[Sequence[P]], selection: Selection, size: tuple[int, int] | None) -> dict[int, float]:
    """How much speaks for each track."""
    weights: defaultdict[int, float] = defaultdict(float)
    if selection.center and size is None:
        raise UsageError("--center needs the size of the picture, which the result does not say")
    for person in _all(people):
        x, y, width, height = (float(value) for value in person.bbox)
        if selection.longest:
            weights[person.track_id] += 1
        elif selection.center and size is not None:
            distance = np.hypot(x + width / 2 - size[0] / 2, y + height / 2 - size[1] / 2)
            weights[person.track_id] += max(0.0, 1 - float(distance) / (np.hypot(*size) / 2))
        else:
            weights[person.track_id] += width * height
    return dict(weights)


def _largest_of(frame: Sequence[P], weights: Mapping[int, float], most: int) -> list[P]:
    """The people of the tracks with the largest weights, in their order."""
    order = sorted(range(len(frame)), key=lambda place: (-weights[frame[place].track_id], frame[place].track_id))
    return [frame[place] for place in sorted(order[:most])]


def _all(people: Sequence[Sequence[P]]) -> Iterable[P]:
    return (person for frame in people for person in frame)


def _require_tracks(known: set[int], selection: Selection) -> None:
    missing = [track for track in selection.tracks if track not in known]
    if not missing:
        return
    some = ", ".join(str(track) for track in sorted(known)[:_LISTED]) + (" ..." if len(known) > _LISTED else "")
    raise UsageError(f"no track {', '.join(map(str, missing))} in the result", hint=f"there are {some or 'none'}")
