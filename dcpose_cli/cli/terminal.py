"""The one door to stdout and stderr: no control character of a file, name or model gets through."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from .._text import shortened
from ..errors import EXIT_OUTPUT, OutputError
from ..files import output_error

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Of one message, characters.
_LONGEST_MESSAGE: Final = 10_000


def plain(text: str) -> str:
    """`text` with control and other invisible characters written out (`\\x1b`): they would steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def message(text: str) -> None:
    """One line on stderr, whatever and however many characters it holds; nothing where nobody can read it."""
    _complain(plain(shortened(" ".join(text.split("\n")), _LONGEST_MESSAGE)))


def details(error: BaseException) -> None:
    """The traceback of an error on stderr."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        _complain(plain(line))


def help_page(text: str) -> None:
    """A page of help of our own making, styles included, on stderr."""
    _complain(text)


def say(text: str = "") -> None:
    """A line on stdout. Raises OutputError when it cannot be written, SystemExit when its reader has gone."""
    try:
        _write(sys.stdout, plain(text))
    except BrokenPipeError:
        raise SystemExit(EXIT_OUTPUT) from None
    except OSError as error:
        raise stdout_error(error) from error


def stdout_error(error: OSError) -> OutputError:
    """The OutputError of a stdout that takes no more."""
    return output_error(error, Path("<stdout>"))


def show(renderable: RenderableType, *, width: int | None = None) -> None:
    """A table of Rich on stdout; width: in characters, as wide as the terminal when not given. Raises as `say`."""
    from rich.console import Console

    page = io.StringIO()
    screen = Console(width=width, highlight=False)
    Console(file=page, width=screen.width, highlight=False, color_system=None).print(renderable, soft_wrap=True)
    for line in page.getvalue().splitlines():
        say(line)


def progress_console() -> Console:
    """Where progress is drawn; titles are made `plain` before they get here."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def _complain(line: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody is listening
        _write(sys.stderr, line)


def _write(stream: IO[str], line: str) -> None:
    encoding = getattr(stream, "encoding", None) or "ascii"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
