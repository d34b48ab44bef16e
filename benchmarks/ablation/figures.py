"""Figures of the ablations: means over seeds, differences with bootstrap intervals over clips, and the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from .variants import Hits, head_of

#: What a table shows: the condition, and of it all joints or the hidden ones.
COLUMNS = ("plain", "blurred", "covered", "hidden")


def figures(
    config: Any, variant: str, runs: list[dict[str, Hits]], results: dict[str, list[dict[str, Hits]]]
) -> dict[str, Any]:
    """Shares of joints found by column: mean and deviation over seeds, and the difference to the complete network."""
    head = head_of(variant, config, 0)
    out: dict[str, Any] = {"parameters": 0 if head is None else sum(p.numel() for p in head.parameters())}
    for column in COLUMNS:
        values = [share(run, column) for run in runs]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        out[column] = {"mean": float(np.mean(values)), "sd": spread, "seeds": values}
        if variant != "complete" and "complete" in results:
            out[column]["minus_complete"] = difference(runs, results["complete"], column)
    return out


def counts(run: dict[str, Hits], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Found and counted joints per window, and the windows' clips."""
    hits = run["covered" if column == "hidden" else column]
    looked_at = hits.hidden if column == "hidden" else hits.counted
    return (hits.found & looked_at).sum(axis=1), looked_at.sum(axis=1), hits.clip


def share(run: dict[str, Hits], column: str) -> float:
    found, counted, _ = counts(run, column)
    return float(found.sum() / max(counted.sum(), 1))


def difference(runs: list[dict[str, Hits]], complete: list[dict[str, Hits]], column: str) -> dict[str, float]:
    """Mean over seeds of the share, minus the complete network's; 95 % bootstrap over clips."""
    clips = np.unique(runs[0]["plain"].clip)

    def by_clip(some: list[dict[str, Hits]]) -> tuple[np.ndarray, np.ndarray]:
        found, counted = np.zeros(len(clips)), np.zeros(len(clips))
        for run in some:
            hits, looked_at, names = counts(run, column)
            place = np.searchsorted(clips, names)
            np.add.at(found, place, hits / len(some))
            np.add.at(counted, place, looked_at / len(some))
        return found, counted

    (ours, total), (theirs, _) = by_clip(runs), by_clip(complete)
    draws = np.random.default_rng(0).integers(len(clips), size=(2000, len(clips)))
    values = (ours - theirs)[draws].sum(axis=1) / np.maximum(total[draws].sum(axis=1), 1)
    low, high = np.quantile(values, (0.025, 0.975))
    return {"mean": float((ours - theirs).sum() / max(total.sum(), 1)), "low": float(low), "high": float(high)}


def as_table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['model']}, {report['date']}, {report['machine']}: {report['windows']} held-out windows of "
        f"{report['clips']} clips, joints within {report['within']:.0%} of the box, "
        f"{report['settings']['steps']} steps of {report['settings']['batch']}, {report['settings']['seeds']} seeds",
        "",
        f"| variant | parameters of the head | {' | '.join(COLUMNS)} |",
        f"|---|---|{'---|' * len(COLUMNS)}",
    ]
    for name, row in report["variants"].items():
        cells = [cell(row[column]) for column in COLUMNS]
        lines.append(f"| {name} | {row['parameters']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figure: dict[str, Any]) -> str:
    """In per cent: 71.2 ± 0.3 (-1.4 to -0.2)."""
    text = f"{100 * figure['mean']:.1f}"
    if figure["sd"] is not None:
        text += f" ± {100 * figure['sd']:.1f}"
    if "minus_complete" in figure:
        low, high = (100 * figure["minus_complete"][end] for end in ("low", "high"))
        text += f" ({low:+.1f} to {high:+.1f})"
    return text
