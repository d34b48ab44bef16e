"""What the terminal sees: progress, messages, exit codes, signals. Results go to files, all else to stderr."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from .._memory import is_out_of_memory
from ..errors import (
    EXIT_BUG,
    EXIT_OUTPUT,
    EXIT_SIGINT,
    EXIT_SIGTERM,
    EXIT_USAGE,
    DCPoseError,
    DeviceError,
    InputError,
    OutputError,
)
from ..files import is_full, output_error
from .terminal import details, help_page, message, plain, progress_console
from .times import time_left

if TYPE_CHECKING:
    from rich.console import Console

    from ..types import Progress as State
    from ..video.live import StopRequest

#: Errors of looking for a file that say something of the file or its folder: a name no file system takes, a folder
#: that may not be entered, links in a circle, a disk or server that fails.
_OUT_OF_REACH: Final = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO, errno.ESTALE)
_STOPPED: Final = {EXIT_SIGINT: "interrupted", EXIT_SIGTERM: "terminated"}


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and turn how it ends into an exit code; a traceback only with DCPOSE_DEBUG (set by --debug)."""
    _occupy_standard_files()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        _require_working_folder()
        return main() or 0
    except DCPoseError as error:
        show_traceback(error)
        message(f"dcpose: {error}")
        return error.exit_code
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else EXIT_BUG
        if code in _STOPPED:
            message(f"dcpose: {_STOPPED[code]}; no output was left unfinished")
            return code
        return EXIT_OUTPUT  # the one other reason: Typer met a closed stdout
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's own, about options and arguments
            return _wrong_usage(error)
        show_traceback(error)
        cause = of_surroundings(error)
        if cause is not None:
            message(f"dcpose: {cause}")
            return cause.exit_code
        message(f"dcpose: internal error, please report it ({type(error).__name__}: {error}); --debug shows where")
        return EXIT_BUG
    finally:
        _flush_stdout()


def _require_working_folder() -> None:
    """Raise InputError when the working folder was removed: torch's libraries end the process then."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise InputError("the working folder is gone", hint="change to one that exists") from error


def of_surroundings(error: BaseException) -> DCPoseError | None:
    """What an unexpected error is when the system around us caused it: no memory, a full disk, no temporary folder.

    A torchvision that was built for another torch fails when it is imported, with a RuntimeError.
    """
    text = str(error)
    if is_out_of_memory(error):
        return DeviceError(
            "out of memory", hint="close other programs, lift the limit of the process, or use a smaller batch"
        )
    if "torchvision::" in text and "does not exist" in text:
        return DeviceError(
            "torch and torchvision were not built for each other", hint="install both again with one pip command"
        )
    if not isinstance(error, OSError):
        return None
    if "temporary directory" in text:
        return OutputError("no folder for temporary files can be written", hint="set TMPDIR to one that can")
    name = error.filename if isinstance(error.filename, str) else "<stdout>"
    if is_full(error) or error.errno == errno.EROFS:
        return output_error(error, Path(name))
    if error.errno in _OUT_OF_REACH and error.filename is not None:
        return InputError(f"cannot be reached: {error.strerror}", path=str(error.filename), hint="check the path")
    return None


def show_traceback(error: BaseException) -> None:
    """Where an error comes from, for --debug only."""
    if os.environ.get("DCPOSE_DEBUG"):
        details(error)


class _Details(logging.Handler):
    """Log records as messages, for --debug only."""

    def emit(self, record: logging.LogRecord) -> None:
        if os.environ.get("DCPOSE_DEBUG"):
            message(f"dcpose: debug: {record.getMessage()}")


def show_details() -> None:
    """Show what the package logs, for --debug."""
    log = logging.getLogger(__package__.partition(".")[0])
    log.setLevel(logging.DEBUG)
    if not any(isinstance(handler, _Details) for handler in log.handlers):
        log.addHandler(_Details())


def _wrong_usage(error: Any) -> int:
    command = getattr(getattr(error, "ctx", None), "command_path", None) or "dcpose"
    text = error.format_message().strip()
    if type(error).__name__ == "NoArgsIsHelpError":  # the text is the whole help page
        help_page(text)
    else:
        files = any(word.startswith("-") and Path(word).exists() for word in sys.argv[1:])
        dashes = "; put -- before names that begin with -" if files and "No such option" in text else ""
        message(f"dcpose: {text.rstrip('.')}{dashes}; see {command} --help")
    return EXIT_USAGE


def _stop(number: int, frame: FrameType | None) -> None:
    """The first signal ends the run as an error does, with all clean-up; a second one ends it at once."""
    for same in (signal.SIGINT, signal.SIGTERM):
        signal.signal(same, _stop_at_once)
    # Not KeyboardInterrupt: that one is an ordinary event to Typer and Rich, and to nobody is it SIGTERM.
    raise SystemExit(128 + number)


@contextlib.contextmanager
def finish_on_interrupt(stop: StopRequest) -> Iterator[None]:
    """Let the first Ctrl-C end a live run in good order; another one, or one at any other time, is an interrupt."""
    usual = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.listening and not stop.is_set():
            stop.set()
        elif callable(usual):
            usual(number, frame)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _occupy_standard_files() -> None:
    """Open those of stdin, stdout and stderr that are closed: else an output file gets their number, and their text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _flush_stdout() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        # The reader of stdout has gone; without this Python complains again at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def progress_display(title: str, *, quiet: bool) -> Iterator[Callable[[State], None] | None]:
    """A live line with frames, frames/s, people and time left; None when quiet or when stderr is no terminal."""
    console = progress_console()
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    with _live(console) as display:
        task = display.add_task(plain(title), total=None, count="loading", rate="", people="", left="")
        began = time.monotonic()

        def show(state: State) -> None:
            nonlocal began
            if state.frames == 0:
                began = time.monotonic()
            display.update(task, total=state.total, completed=state.frames, **_fields(state, began))

        yield show


def _live(console: Console) -> Any:
    """Lines with a name, a bar, frames, frames/s, people and time left, which go when they are done."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[people]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    ]
    return Progress(*columns, console=console, transient=True, refresh_per_second=8)


class BatchDisplay:
    """Live lines: one for all videos of a batch, one for each that is running. Nothing when there is no terminal."""

    def __init__(self, display: Any, total: int) -> None:
        self._display, self._total, self._ended = display, total, 0
        self._began = time.monotonic()
        self._tasks: dict[str, tuple[Any, float]] = {}
        if display is not None:
            self._all = display.add_task(f"{total} videos", total=total, count="loading", rate="", people="", left="")

    @property
    def live(self) -> bool:
        """Whether there is a terminal that shows it."""
        return self._display is not None

    def show(self, name: str, state: State) -> None:
        """Where a running video is."""
        if self._display is None:
            return
        if name not in self._tasks or state.frames == 0:
            self._drop(name)
            task = self._display.add_task(plain(name), total=None, count="", rate="", people="", left="")
            self._tasks[name] = task, time.monotonic()
        task, began = self._tasks[name]
        self._display.update(task, total=state.total, completed=state.frames, **_fields(state, began))
        self._show_all()

    def ended(self, name: str) -> None:
        """A video is over."""
        self._ended += 1
        if self._display is not None:
            self._drop(name)
            self._show_all()

    def _show_all(self) -> None:
        spent = time.monotonic() - self._began
        left = time_left((self._total - self._ended) * spent / self._ended) if self._ended else ""
        self._display.update(self._all, completed=self._ended, count=f"{self._ended}/{self._total}", left=left)

    def _drop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            self._display.remove_task(task[0])


@contextlib.contextmanager
def batch_display(total: int, *, quiet: bool) -> Iterator[BatchDisplay]:
    """Live lines for a batch of so many videos; silent when quiet or when stderr is no terminal."""
    console = progress_console()
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield BatchDisplay(None, total)
        return
    with _live(console) as display:
        yield BatchDisplay(display, total)


def _fields(state: State, began: float) -> dict[str, str]:
    count = f"{state.frames}/{state.total}" if state.total else f"{state.frames} frames"
    # Before the first frame is done nobody has been looked for.
    who = ("1 person" if state.people == 1 else f"{state.people} people") if state.frames else ""
    rate, left = _speed(state, time.monotonic() - began)
    return {"count": count, "rate": rate, "people": who, "left": left}


def _speed(state: State, spent: float) -> tuple[str, str]:
    """Frames per second and time left as text; empty while there is nothing to go by."""
    if not state.frames or spent < 0.2:
        return "", ""
    rate = state.frames / spent
    if not state.total:
        return f"{rate:.1f} frames/s", ""
    return f"{rate:.1f} frames/s", time_left(max(0, state.total - state.frames) / rate)
