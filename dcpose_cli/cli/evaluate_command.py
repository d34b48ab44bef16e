"""Body of `dcpose evaluate`: the table goes to stdout."""

from __future__ import annotations

import json as json_module
import math
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from ..config import Selection
from ..evaluation.coco_files import PCK_SHARE
from ..evaluation.evaluate import (
    COCO_METRICS,
    GROUPS,
    METRICS,
    Evaluation,
    Scores,
    as_json,
    available_metrics,
    evaluate,
)
from ..evaluation.poseval import file_pairs
from ..evaluation.poseval_files import clip_of
from ..files import printable, require_free_target, require_not_input, require_writable_folder, write_atomic
from .terminal import message, say, show

#: Ends the name of a row without the people marked `interpolated`.
DETECTED: Final = ", detected"
#: What the metrics that need a package give.
_FIGURES: Final = {"oks": "OKS-AP (needs", "tracking": "MOTA and IDF1 (need"}


def evaluate_results(
    truth: Path,
    predicted: Path,
    metrics: str,
    *,
    kpt_thr: float,
    selection: Selection,
    json: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Evaluate, print the tables, write the JSON."""
    wanted = [name.strip() for name in metrics.split(",") if name.strip()] or None
    if json is not None:
        require_not_input(json, [truth, predicted, *(path for pair in file_pairs(truth, predicted) for path in pair)])
        require_free_target(json, overwrite=overwrite)
        require_writable_folder(json.parent)
    result = evaluate(truth, predicted, metrics=wanted, kpt_thr=kpt_thr, selection=selection)
    if result.untracked:
        message(f"dcpose: warning: no MOTA and IDF1: {result.untracked}")
    if not quiet:
        _show(result)
        if result.total.ap.ground_truth.sum() and not result.total.ap.found.sum():
            message("dcpose: no joint is where the truth has one; are these results of the same video?")
        _say_other_clip(truth, predicted)
        possible = METRICS if result.head_boxes else COCO_METRICS
        lacking = [name for name in possible if wanted is None and name not in available_metrics()]
        if lacking:
            needed = ", ".join(f"{_FIGURES[name]} {METRICS[name]})" for name in lacking)
            message(f"dcpose: left out: {needed}; to have them: pip install 'dcpose[evaluate]'")
    if json is not None:
        write_atomic(json, json_module.dumps(as_json(result), indent=1, allow_nan=False) + "\n", overwrite=overwrite)


def _say_other_clip(truth: Path, predicted: Path) -> None:
    """Warn where two files say that they are of different videos."""
    if not (truth.is_file() and predicted.is_file()):
        return  # the files of two folders belong together by their names
    clips = clip_of(truth), clip_of(predicted)
    if None not in clips and len({Path(str(name)).stem for name in clips}) > 1:
        of_truth, of_result = (printable(str(name)) for name in clips)
        message(f"dcpose: warning: the truth is of {of_truth}, but the result was made from {of_result}")


def _show(result: Evaluation) -> None:
    table = Table("%", *(name.capitalize() for name in GROUPS.values()), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    rows = _rows(result.total, result)
    fewer = _rows(result.detected.total, result) if result.detected is not None else {}
    for name, cells in rows.items():
        table.add_row(name, *cells)
        if fewer:
            table.add_row(f"{name}{DETECTED}", *fewer[name])
    if table.row_count:
        show(table)
    say(_line(result.total))
    if result.detected is not None:
        say(f"'detected' leaves out interpolated people (filled gaps of a track): {_line(result.detected.total)}")
    if len(result.sequences) > 1:
        say()
        show(_by_sequence(result))


def _rows(scores: Scores, result: Evaluation) -> dict[str, list[str]]:
    """Cells of each metric by joint group."""
    rows = {}
    if "ap" in result.metrics:
        rows["AP"] = _cells(scores.ap.table())
    if "pckh" in result.metrics:
        rows[_pck(result)] = _cells(scores.ap.pckh_table())
    if scores.tracking is not None:
        rows["MOTA"] = _cells(scores.tracking.table(scores.tracking.mota))
        rows["IDF1"] = _cells(scores.tracking.table(scores.tracking.idf1))
    return rows


def _pck(result: Evaluation) -> str:
    """What the share of joints found is called: by the head's size, or by that of the person's box."""
    return "PCKh" if result.head_boxes else f"PCK@{PCK_SHARE:g}"


def _line(scores: Scores) -> str:
    parts = [f"{scores.ap.frames} frames, {int(scores.ap.ground_truth.sum())} annotated joints"]
    if scores.oks is not None:
        oks = scores.oks
        parts.append(f"OKS-AP {_cell(oks.ap)} (at 0.50: {_cell(oks.ap50)}, at 0.75: {_cell(oks.ap75)})")
    if scores.tracking is not None:
        parts.append(f"{scores.tracking.switches} switches of identity")
    groups = [f"{name} {_cell(value)} of {count}" for name, (value, count) in scores.further.groups().items()]
    if groups:
        parts.append(f"further joints found, %: {', '.join(groups)}")
    return "; ".join(parts)


def _by_sequence(result: Evaluation) -> Table:
    table = Table("sequence", "frames", *_totals(result.total, result), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    fewer = [None] * (len(result.sequences) + 1) if result.detected is None else _by_name(result.detected)
    for (name, scores), detected in zip(_by_name(result), fewer, strict=True):
        _add(table, name, scores, result)
        if detected is not None:
            _add(table, f"{name}{DETECTED}", detected[1], result)
    return table


def _by_name(result: Evaluation) -> list[tuple[str, Scores]]:
    return [*result.sequences.items(), ("all", result.total)]


def _add(table: Table, name: str, scores: Scores, result: Evaluation) -> None:
    cells = map(_cell, _totals(scores, result).values())
    table.add_row(escape(printable(name)), str(scores.ap.frames), *cells)


def _totals(scores: Scores, result: Evaluation) -> dict[str, float]:
    """The one figure of each metric."""
    figures = {}
    if "ap" in result.metrics:
        figures["AP"] = scores.ap.total
    if "pckh" in result.metrics:
        figures[_pck(result)] = scores.ap.pckh_table()["Total"]
    if scores.oks is not None:
        figures["OKS-AP"] = scores.oks.ap
    if scores.tracking is not None:
        figures["MOTA"] = scores.tracking.table(scores.tracking.mota)["Total"]
        figures["IDF1"] = scores.tracking.table(scores.tracking.idf1)["Total"]
    return figures


def _cells(table: dict[str, float]) -> list[str]:
    return [_cell(value) for value in table.values()]


def _cell(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.1f}"
