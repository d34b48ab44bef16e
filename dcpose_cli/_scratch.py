"""Folders in the system's temporary folder: removed after use, or by the next run if their process is killed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dcpose_cli._claims import claim, claimed_token, release
from dcpose_cli._recovery import remove_stale
from dcpose_cli.errors import OutputError

#: Begins the names of these folders.
_STEM: Final = ".dcpose-"


def remove_scratch() -> list[Path]:
    """Remove the folders of dead processes. Raises OSError when there is no temporary folder."""
    return remove_stale(Path(tempfile.gettempdir()), _STEM)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of this process. Raises OutputError when no temporary folder can be written."""
    try:
        remove_scratch()
        folder, handle = _claimed(Path(tempfile.gettempdir()))
    except OSError as error:
        raise OutputError("no folder for temporary files can be written", hint="set TMPDIR to one that can") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        release(handle)


def _claimed(where: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_STEM, suffix=f".{claimed_token()}.part", dir=where))
        with contextlib.suppress(FileNotFoundError):  # another run took it for stale before it was claimed
            return folder, claim(folder)
