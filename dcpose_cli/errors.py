"""Every error this package raises on purpose, and the exit code the command line gives it.

    DCPoseError                1   a bug of ours, unless a subclass says otherwise
    ├── UsageError             2   options or arguments that cannot be meant
    ├── InputError             3   the input is missing, empty, or not a video we can decode
    ├── OutputError            4   the output exists, cannot be written, or the disk is full
    ├── WeightsError           5   weights are missing, damaged, of the wrong shape, or unsafe to load
    ├── DeviceError            6   the device is missing, or out of memory after backing off
    └── TrainingError          9   a training diverged: its loss or gradient is not finite

Two exit codes belong to runs that did finish: 7 (a batch in which some videos failed) and 8 (more than a tenth of
the input's frames were damaged, or the input changed while it was read). 130 and 143 are SIGINT and SIGTERM.

A message says to which file what happened and what to do about it, in one line; see DCPoseError.
"""

from __future__ import annotations

import os
from typing import Self

from ._text import printable, shortened

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_OUTPUT = 4
EXIT_WEIGHTS = 5
EXIT_DEVICE = 6
EXIT_BATCH = 7
EXIT_DAMAGED = 8
EXIT_TRAINING = 9
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class DCPoseError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for it.

    reason: what happened. path: the file, folder or address that it happened to, as text; None when there is none.
    hint: what to do about it, may be empty. The text of the error is made of them, in one line:
    `PATH: REASON; HINT`.
    """

    exit_code: int = EXIT_BUG

    def __init__(self, reason: str = "", *, path: str | os.PathLike[str] | None = None, hint: str = "") -> None:
        self.reason, self.hint = shortened(reason), hint
        self.path = None if path is None else os.fspath(path)
        place = "" if self.path is None else f"{printable(self.path)}: "
        super().__init__(f"{place}{self.reason}{'; ' if hint else ''}{hint}")

    def with_hint(self, hint: str) -> Self:
        """The same error with one more thing to do about it."""
        return type(self)(self.reason, path=self.path, hint="; ".join(filter(None, (self.hint, hint))))


class UsageError(DCPoseError):
    """Options or arguments that cannot be meant."""

    exit_code = EXIT_USAGE


class InputError(DCPoseError):
    """The input is missing, empty, or not something we can decode."""

    exit_code = EXIT_INPUT


class OutputError(DCPoseError):
    """The output exists already, cannot be written, or the disk is full."""

    exit_code = EXIT_OUTPUT


class WeightsError(DCPoseError):
    """Weights are missing, damaged, of the wrong shape, or unsafe to load."""

    exit_code = EXIT_WEIGHTS


class DeviceError(DCPoseError):
    """The device is missing, or ran out of memory even after backing off."""

    exit_code = EXIT_DEVICE


class TrainingError(DCPoseError):
    """A training diverged: its loss or gradient is not finite."""

    exit_code = EXIT_TRAINING
