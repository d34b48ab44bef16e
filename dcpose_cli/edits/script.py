"""Edits as text: one per line, so that they can be read, kept and carried out again.

    merge 3 7 9                          tracks 7 and 9 become track 3
    split 3 at 120 as 12                 track 3 is track 12 from frame 120 on; without `as` it gets a new id
    delete 5                             track 5 is taken out
    delete 5 from 100 to 4.8s            the same, in frame 100 to second 4.8
    separate 3                           people of one frame who are all track 3 get ids of their own; `all`: any track
    swap-ids 3 7 from 120                tracks 3 and 7 exchange their ids from frame 120 on
    swap-sides 3 from 120 to 150         the left and right joints of track 3 change places in these frames
    move 3 left_wrist at 120 to 410.5 220   a joint is put to this place, in pixels

A time is a frame number of the video, or seconds with an `s`; `to` is included. What follows `#` is a comment. As JSON
a script is the list of its lines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from .._reading import read_file
from .._text import printable, whole_number
from ..errors import InputError, UsageError
from ..types import FrameResult
from .operations import END, Delete, Edit, Merge, Move, Split, SwapIds, SwapSides
from .separation import Separate

#: Longest script, characters.
_LONGEST: Final = 10_000_000
_FLOAT32_WHOLE: Final = 1e7

#: Frame number of a time as the script writes it.
Frame: TypeAlias = Callable[[str], int]


def read_script(path: Path) -> list[str]:
    """The lines of a script, comments and empty lines left out. Raises InputError."""
    try:
        text = read_file(path, 4 * _LONGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
        raise InputError(f"cannot be read: {reason}", path=path, hint="check the file") from error
    if len(text) > _LONGEST:
        raise InputError("is too long for a script of edits", path=path)
    lines = _json_lines(text, path) if text.lstrip()[:1] in ("[", "{") else text.splitlines()
    return [plain for line in lines if (plain := " ".join(line.partition("#")[0].split()))]


def _json_lines(text: str, path: Path) -> list[str]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("not valid JSON", path=path, hint="write one edit per line") from error
    lines = data.get("edits") if isinstance(data, dict) else data
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise InputError("is no list of edits", path=path, hint='write ["merge 3 7", "delete 5"]')
    return lines


def parse(line: str, frames: Sequence[FrameResult]) -> Edit:
    """The edit of a line; frames: of the result, which say what frame a time is in. Raises UsageError."""
    verb, *words = line.split() or [""]
    if verb not in _VERBS:
        raise UsageError(f"unknown edit {printable(verb)!r:.40}", hint=f"use {', '.join(_VERBS)}")
    form, make = _VERBS[verb]
    try:
        return make(words, lambda text: frame_at(text, frames))
    except (ValueError, IndexError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{printable(line)!r:.80} is not of the form `{form}`") from error


def frame_at(text: str, frames: Sequence[FrameResult]) -> int:
    """The frame number in "120" or "4.8s": the frame that is shown at that second. Raises ValueError, UsageError."""
    if not text.endswith("s"):
        return _whole(text)
    seconds = float(text[:-1])
    if not math.isfinite(seconds):
        raise ValueError(text)
    shown = [frame.index for frame in frames if frame.time <= seconds + 1e-4]
    if not shown:
        raise UsageError(f"the result begins after {text}")
    return shown[-1]


def _whole(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise ValueError(text)
    return number


def _range(words: Sequence[str], frame: Frame) -> tuple[int, int]:
    """First and last frame of [from A] [to B]."""
    first, last, left = 0, END, list(words)
    if left[:1] == ["from"]:
        first, left = frame(left[1]), left[2:]
    if left[:1] == ["to"]:
        last, left = frame(left[1]), left[2:]
    if left or last < first:
        raise ValueError(words)
    return first, last


def _merge(words: Sequence[str], frame: Frame) -> Edit:
    del frame
    tracks = tuple(map(_whole, words))
    if len(tracks) < 2 or len(set(tracks)) < len(tracks):
        raise ValueError(words)
    return Merge(tracks)


def _split(words: Sequence[str], frame: Frame) -> Edit:
    track, at, when, *rest = words
    if at not in ("at", "from") or (rest and (len(rest) != 2 or rest[0] != "as")):
        raise ValueError(words)
    return Split(_whole(track), frame(when), _whole(rest[1]) if rest else None)


def _delete(words: Sequence[str], frame: Frame) -> Edit:
    return Delete(_whole(words[0]), *_range(words[1:], frame))


def _separate(words: Sequence[str], frame: Frame) -> Edit:
    del frame
    tracks = () if list(words) == ["all"] else tuple(map(_whole, words))
    if not words or len(set(tracks)) < len(tracks):
        raise ValueError(words)
    return Separate(tracks)


def _swap_ids(words: Sequence[str], frame: Frame) -> Edit:
    one, other = _whole(words[0]), _whole(words[1])
    if one == other:
        raise ValueError(words)
    return SwapIds(one, other, *_range(words[2:], frame))


def _swap_sides(words: Sequence[str], frame: Frame) -> Edit:
    return SwapSides(_whole(words[0]), *_range(words[1:], frame))


def _move(words: Sequence[str], frame: Frame) -> Edit:
    track, joint, at, when, to, x, y = words
    place = float(x), float(y)
    if (at, to) != ("at", "to") or not all(abs(value) < _FLOAT32_WHOLE for value in place):
        raise ValueError(words)
    return Move(_whole(track), joint, frame(when), *place)


#: Verb -> its form for messages, and what makes the edit of the words behind it.
_VERBS: Final[dict[str, tuple[str, Callable[[Sequence[str], Frame], Edit]]]] = {
    "merge": ("merge TRACK TRACK ...", _merge),
    "split": ("split TRACK at FRAME [as TRACK]", _split),
    "delete": ("delete TRACK [from FRAME] [to FRAME]", _delete),
    "separate": ("separate TRACK ... | all", _separate),
    "swap-ids": ("swap-ids TRACK TRACK [from FRAME] [to FRAME]", _swap_ids),
    "swap-sides": ("swap-sides TRACK [from FRAME] [to FRAME]", _swap_sides),
    "move": ("move TRACK JOINT at FRAME to X Y", _move),
}
