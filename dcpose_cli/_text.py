"""Text of others in messages: names of files, texts of exceptions."""

from __future__ import annotations

import os


def printable(path: str | os.PathLike[str]) -> str:
    """`path` as it can stand in a one-line message: control characters and broken encodings are escaped."""
    text = os.fspath(path)
    return text if text.isprintable() else ascii(text)


def one_line(error: BaseException, most: int = 300) -> str:
    """What an exception says, in one printable line of at most `most` characters; its type where it says nothing."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return printable(text[:most])
