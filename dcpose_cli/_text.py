"""Text of others in messages: names of files, texts of exceptions."""

from __future__ import annotations

import os
from typing import Final

#: Longest name and longest reason that a message shows, in characters; names of files are shorter on every system.
_LONGEST_NAME: Final = 4_096
_LONGEST_REASON: Final = 2_000
_MOST_DIGITS: Final = 18


def whole_number(text: str) -> int | None:
    """The number in up to 18 ASCII digits; None for anything else. int() takes no text of thousands of digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def printable(path: str | os.PathLike[str], most: int = _LONGEST_NAME) -> str:
    """`path` as it can stand in a one-line message: control characters and broken encodings are escaped, and the
    middle of what is longer than `most` characters is left out."""
    text = shortened(os.fspath(path), most)
    return text if text.isprintable() else ascii(text)


def shortened(text: str, most: int = _LONGEST_REASON) -> str:
    """`text` of at most `most` characters; the middle of a longer one is left out."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2 - 2]}...{text[len(text) - most // 2 + 1 :]}"


def reason_of(error: BaseException) -> str:
    """What is wrong with the content of a file, from the exception that reading it raised; printable ASCII.

    The text of a ValueError is a sentence; of the others Python's text says nothing of the file.
    """
    if isinstance(error, KeyError):
        text = f"{error} is missing"
    elif isinstance(error, IndexError):
        text = "a list or a line of it is too short"
    elif isinstance(error, TypeError | AttributeError):
        text = "a value is of another kind than its layout has"
    elif isinstance(error, OverflowError):
        text = "a number is too large"
    elif isinstance(error, RecursionError):
        text = "it is nested too deeply"
    else:
        text = str(error) or type(error).__name__
    return ascii(text)[1:-1]


def one_line(error: BaseException, most: int = 300) -> str:
    """What an exception says, in one printable line of at most `most` characters; its type where it says nothing."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return printable(text[:most])
