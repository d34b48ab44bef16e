"""`summary.csv`: a table over a batch, one row per input that the manifest knows, made anew when a run ends.

video               path below the folder of the inputs
state               done, failed or skipped
exit_code           what `dcpose estimate` ends with for it
people              tracks
frames              of the video
coverage            share of the frames that show somebody, 0..1
mean_confidence     of the joints, over everybody in every frame
gaps                how often a track goes on after frames in which the person was not detected
interpolated_share  share of everybody in every frame that fills a gap, 0..1
doubtful_seconds    seconds with a low confidence, a probable swap of legs, arms or people, or a filled gap
                    (results/quality.py)
result              path of the video below the folder of the results
reason              why it failed or was skipped, or what is wrong with the result

Cells of what is not known are empty. Times are in the manifest: the table of equal results has equal bytes.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import OutputError
from ..files import printable, write_atomic
from ..results.quality import Figures
from .manifest import Line

SUMMARY_NAME: Final = "summary.csv"
COLUMNS: Final = (
    *("video", "state", "exit_code", "people", "frames", "coverage", "mean_confidence", "gaps", "interpolated_share"),
    *("doubtful_seconds", "result", "reason"),
)
#: What the file of every version begins with.
_BEGINNING: Final = b"video,state,"


def require_own_summary(folder: Path) -> None:
    """Raises OutputError where a file of others has the name of the summary."""
    path = folder / SUMMARY_NAME
    try:
        if not os.path.lexists(path):
            return
        if not path.is_file():
            raise OutputError("is no file, and has the name of the summary", path=path, hint="rename it")
        with path.open("rb") as file:
            ours = file.read(len(_BEGINNING)) in (b"", _BEGINNING)
    except OSError as error:
        raise OutputError(f"cannot be read: {error.strerror}", path=path, hint="rename it") from error
    if not ours:
        raise OutputError("is not a summary of dcpose, and would be replaced by one", path=path, hint="rename it")


def write_summary(folder: Path, lines: Mapping[str, Line]) -> bool:
    """Write the table of a manifest's lines, where it is not there already; whether it was. Raises OutputError."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name in sorted(lines):
        writer.writerow(_row(lines[name]))
    path, data = folder / SUMMARY_NAME, out.getvalue().encode()
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return False
    write_atomic(path, data, overwrite=True)
    return True


def _row(line: Line) -> list[Any]:
    figures = line.figures
    done = line.state == "done"
    return [
        printable(line.input),
        line.state,
        "" if line.state == "skipped" else line.code,
        line.tracks if done else "",
        line.frames if done else "",
        *(_of(figures) if done and figures is not None else [""] * 5),
        printable(line.output) if done else "",
        line.reason,
    ]


def _of(figures: Figures) -> list[Any]:
    return [
        f"{figures.coverage:.4f}",
        f"{figures.confidence:.4f}",
        figures.gaps,
        f"{figures.interpolated:.4f}",
        figures.doubtful_seconds,
    ]
