"""What the terminal sees: progress, messages, exit codes and signals. Results go to files, everything else to stderr."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..errors import EXIT_BUG, EXIT_OUTPUT, EXIT_SIGINT, EXIT_SIGTERM, DCPoseError

if TYPE_CHECKING:
    from rich.console import Console

    from ..pipeline import Progress as State


class Terminated(BaseException):
    """SIGTERM arrived; like KeyboardInterrupt it passes through `except Exception`, and clean-up runs on its way."""


def stderr_console() -> Console:
    """Where messages and progress go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def message(text: str) -> None:
    """One line on stderr, whatever characters it holds."""
    line = " ".join(text.split("\n"))
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    try:
        sys.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody is listening


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and turn how it ends into an exit code; a traceback only with DCPOSE_DEBUG (set by --debug)."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return main() or 0
    except DCPoseError as error:
        _traceback()
        message(f"dcpose: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        message("dcpose: interrupted; unfinished outputs were removed")
        return EXIT_SIGINT
    except Terminated:
        message("dcpose: terminated; unfinished outputs were removed")
        return EXIT_SIGTERM
    except BrokenPipeError:
        # The reader of stdout has gone; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OUTPUT
    except Exception as error:
        _traceback()
        message(f"dcpose: internal error, please report it ({type(error).__name__}: {error}); --debug shows where")
        return EXIT_BUG


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _traceback() -> None:
    if os.environ.get("DCPOSE_DEBUG"):
        traceback.print_exc()


@contextmanager
def progress_display(title: str, *, quiet: bool) -> Iterator[Callable[[State], None] | None]:
    """A live line with frames, frames/s, people and time left; None when quiet or when stderr is no terminal."""
    console = stderr_console()
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[people]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console, transient=True, refresh_per_second=8) as display:
        task = display.add_task(title, total=None, count="loading", rate="", people="")

        def show(state: State) -> None:
            spent = display.tasks[0].elapsed or 0.0
            rate = f"{state.frames / spent:.1f} frames/s" if spent > 0.5 else ""
            count = f"{state.frames}/{state.total}" if state.total else f"{state.frames} frames"
            who = "1 person" if state.people == 1 else f"{state.people} people"
            display.update(task, total=state.total, completed=state.frames, count=count, rate=rate, people=who)

        yield show
