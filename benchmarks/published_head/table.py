"""What a head adds to the single frame, for networks it was trained on and for others, with intervals over clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from cache import Shape
from measure import CONTROLS, DAMAGES, Maps, control, counts, hits, paired
from numpy.typing import NDArray
from sources import Source
from torch import Tensor
from windows import CONDITIONS, Measured

from dcpose_cli.nets import DCPose
from dcpose_cli.pose.heatmaps import Decoder

#: Ship: the gain on an unseen network is at least this share of that on a seen one, and clean frames lose nothing.
SHARE = 2 / 3
#: Of the same windows: shares by condition, (N,) joints found.
Found = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """A source on the measured windows. joints: (N,) how many there are to find. plain: what the single frame and the
    controls find. heads: by left-out family and seed, what the heads find."""

    family: str
    clips: list[str]
    joints: NDArray[np.float64]
    plain: dict[str, Found]
    heads: dict[tuple[str, int], Found]

    def rows(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        heads = [[left, seed, _lists(found)] for (left, seed), found in self.heads.items()]
        plain = {name: _lists(found) for name, found in self.plain.items()}
        own = {"family": self.family, "clips": self.clips, "joints": self.joints.tolist()}
        return {**own, "plain": plain, "heads": heads}

    @classmethod
    def of_rows(cls, rows: Mapping[str, Any]) -> Tested:
        """What `rows` returned."""
        plain = {name: _arrays(found) for name, found in rows["plain"].items()}
        heads = {(left, seed): _arrays(found) for left, seed, found in rows["heads"]}
        return cls(rows["family"], rows["clips"], np.array(rows["joints"]), plain, heads)


def _lists(found: Found) -> dict[str, list[float]]:
    return {condition: values.tolist() for condition, values in found.items()}


def _arrays(found: Mapping[str, list[float]]) -> Found:
    return {condition: np.array(values) for condition, values in found.items()}


def source_maps(source: Source, windows: Sequence[Measured], shape: Shape) -> Maps:
    """The maps of every crop of the windows."""

    def of(crops: Sequence[NDArray[np.uint8]]) -> Tensor:
        parts = [source.maps(np.stack(crops[k : k + 16]), shape.map).cpu() for k in range(0, len(crops), 16)]
        return torch.cat(parts)

    current = {c: of([w.current[c] for w in windows]) for c in CONDITIONS}
    margin = torch.tensor([w.margin for w in windows], dtype=torch.float32)
    return Maps(current, of([w.previous for w in windows]), of([w.following for w in windows]), margin)


def known(windows: Sequence[Measured], has: NDArray[np.bool_]) -> list[Measured]:
    """The same windows, of whose joints only those count that a source knows."""
    out = []
    for window in windows:
        joints = window.joints.copy()
        joints[:, 2] *= has
        out.append(
            Measured(
                window.clip, window.previous, window.following, window.current, joints, window.margin, window.reach
            )
        )
    return out


def tested(
    family: str,
    source: Source,
    windows: Sequence[Measured],
    heads: Mapping[tuple[str, int], DCPose],
    shape: Shape,
    decoder: Decoder,
    device: torch.device,
) -> Tested:
    """Everything that is measured with one source."""
    windows = known(windows, source.has)
    maps, stride = source_maps(source, windows, shape), shape.stride
    plain = {"single frame": {c: hits(maps.current[c], windows, decoder, stride) for c in CONDITIONS}}
    for name in CONTROLS:
        plain[name] = {c: hits(control(maps, c, name), windows, decoder, stride) for c in CONDITIONS}
    found = {
        key: {c: hits(finals(net, maps, c, device), windows, decoder, stride) for c in CONDITIONS}
        for key, net in heads.items()
    }
    return Tested(family, [w.clip for w in windows], counts(windows), plain, found)


@torch.no_grad()
def finals(net: DCPose, maps: Maps, condition: str, device: torch.device) -> Tensor:
    """What a head makes of the maps, (N, 17, h, w)."""
    out = []
    for first in range(0, len(maps.margin), 16):
        at = slice(first, first + 16)
        frames = (maps.current[condition][at], maps.previous[at], maps.following[at], maps.margin[at])
        with torch.autocast(device.type, torch.bfloat16):
            out.append(net.head(*(part.to(device) for part in frames)).final.float().cpu())
    return torch.cat(out)


def figures(results: Mapping[str, Tested]) -> dict[str, Any]:
    """Everything the table says. results: by source."""
    sources = {name: _rows([one]) for name, one in results.items()}
    pooled = _rows(list(results.values()))
    unseen, seen = pooled["damaged"]["unseen"][0], pooled["damaged"]["seen"][0]
    share = unseen / seen if seen > 0 else float("nan")
    holds = share >= SHARE and pooled["clean"]["unseen"][0] >= 0
    return {"sources": sources, "all": pooled, "unseen / seen": share, "criterion holds": bool(holds)}


def _rows(some: Sequence[Tested]) -> dict[str, Any]:
    """By clean and damaged: the share that the single frame finds, and gains with their intervals. Of several sources
    every family weighs the same."""
    out: dict[str, Any] = {}
    for name, conditions in (("clean", CONDITIONS[:1]), ("damaged", DAMAGES)):
        joints = _joined(some, conditions, lambda one, c: one.joints)
        alone = _joined(some, conditions, lambda one, c: one.plain["single frame"][c])
        clips = [clip for one in some for _ in conditions for clip in one.clips]
        row: dict[str, Any] = {"single frame": float(100 * alone.sum() / joints.sum())}
        for which in ("seen", "unseen"):
            row[which] = list(
                paired(_joined(some, conditions, lambda one, c, w=which: _mean(one, c, w)), alone, joints, clips)
            )
        for control_name in CONTROLS:
            found = _joined(some, conditions, lambda one, c, n=control_name: one.plain[n][c])
            row[control_name] = list(paired(found, alone, joints, clips))
        out[name] = row
    seeds = sorted({seed for one in some for _, seed in one.heads})
    out["unseen by seed"] = {seed: _of_seed(some, seed) for seed in seeds}
    return out


def _of_seed(some: Sequence[Tested], seed: int) -> list[float]:
    joints = _joined(some, DAMAGES, lambda one, c: one.joints)
    alone = _joined(some, DAMAGES, lambda one, c: one.plain["single frame"][c])
    ours = _joined(some, DAMAGES, lambda one, c: one.heads[one.family, seed][c])
    return list(paired(ours, alone, joints, [clip for one in some for _ in DAMAGES for clip in one.clips]))


def _joined(some: Sequence[Tested], conditions: Sequence[str], value: Any) -> NDArray[np.float64]:
    members = [one.family for one in some]
    return np.concatenate([value(one, c) / members.count(one.family) for one in some for c in conditions])


def _mean(one: Tested, condition: str, which: str) -> NDArray[np.float64]:
    """Mean over the heads: those whose training left the family out, or those of the others."""
    chosen = [found[condition] for (left, _), found in one.heads.items() if (left == one.family) == (which == "unseen")]
    return np.asarray(np.mean(chosen, axis=0), np.float64)


def as_text(report: dict[str, Any]) -> str:
    """The table."""
    lines = [
        f"{report['windows']} windows of {report['clips']} clips, {report['date']}; maps {report['map']}, crops "
        f"{report['crop']}, {report['steps']} steps of {report['batch']}, {report['cached']} windows, "
        f"{len(report['seeds'])} seeds",
        "joints within 0.2 of the torso, %; gains over the single frame in points [95 %]",
        "",
        "| network | frames | single frame | gain, seen | gain, unseen | mean of three | neighbours |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in [*report["sources"].items(), ("all", report["all"])]:
        for condition in ("damaged", "clean"):
            row = rows[condition]
            cells = [interval(row[key]) for key in ("seen", "unseen", *CONTROLS)]
            lines.append(f"| {name} | {condition} | {row['single frame']:.1f} | {' | '.join(cells)} |")
    by_seed = ", ".join(f"{seed}: {interval(values)}" for seed, values in report["all"]["unseen by seed"].items())
    verdict = "holds" if report["criterion holds"] else "does not hold"
    lines += ["", f"damaged, unseen, by seed: {by_seed}"]
    lines += [f"unseen / seen {report['unseen / seen']:.2f}; the criterion (at least 2/3, clean not below 0) {verdict}"]
    return "\n".join(lines)


def interval(values: Sequence[float]) -> str:
    """+1.2 [+0.3, +2.1]"""
    value, low, high = values
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
