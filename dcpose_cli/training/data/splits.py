"""The samples of a training: those to train on, those held out, and stills set in motion."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Final

from ...errors import UsageError
from .config import DataConfig
from .pack import PoseSample
from .readers import read_samples

#: At most so many people of the validation split are measured, per part.
VALIDATION_LIMIT: Final = 200


def read_splits(
    data: Path, config: DataConfig, limit: int | None, *, nothing: str
) -> tuple[list[PoseSample], list[PoseSample]]:
    """Samples to train on and samples held out. limit: of each part; nothing: what to say when there are none.

    Raises InputError or UsageError.
    """
    held = read_samples(data, config, split="val", limit=VALIDATION_LIMIT if limit is None else limit)
    samples = read_samples(data, config, split="train", limit=limit)
    if not samples:
        raise UsageError(nothing)
    times = {one.source: one.times for one in config.repeat}
    measured = {source for group in config.measure for source in group.sources}
    for key, named, there, what in (
        ("repeat", set(times), samples, "train"),
        ("validate", {one.source for one in config.validate}, held, "validate"),
        ("measure", measured, held, "validate"),
    ):
        unknown = sorted(named - {s.source for s in there})
        if unknown:
            raise UsageError(f"data.{key} names {unknown[0]}, a source that no person to {what} on has")
    more = [[s] * (times.get(s.source, config.human_repeat if s.human else 1) - 1) for s in samples]
    return samples + list(chain.from_iterable(more)), held


def described(samples: list[PoseSample], held: list[PoseSample]) -> str:
    """How many people there are, those that an epoch shows several times counted once."""
    return f"{len({id(s) for s in samples}):,} labelled people to train on, {len(held):,} to validate on"


def with_motion(samples: list[PoseSample], stills_share: float) -> list[PoseSample]:
    """The windows, and `stills_share` times as many stills to set in motion; all stills where there is no window."""
    windows = [s for s in samples if len(s.pictures) == 3]
    stills = [s for s in samples if len(s.pictures) == 1]
    wanted = stills_share * len(windows) if windows else len(stills)
    if not wanted:
        return windows
    every = max(1, int(len(stills) / wanted))
    return [*windows, *stills[::every]]
