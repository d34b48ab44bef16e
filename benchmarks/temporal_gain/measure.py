"""Shares of joints found by each way to use the frames, and what three frames add, with intervals over clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from heads import heatmaps
from numpy.typing import NDArray
from torch import Tensor
from windows import CONDITIONS, Measured

from dcpose_cli.nets import DCPose
from dcpose_cli.pose.crop import normalise
from dcpose_cli.pose.heatmaps import Decoder
from dcpose_cli.training.data.batches import STRIDE

ROUNDS, SEED = 2000, 0
DAMAGES = CONDITIONS[1:]
#: Which frames a control looks at, and nothing learnt: weights of current, previous, next.
CONTROLS = ("mean of three", "neighbours")


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Heatmaps of all windows. current: by condition, (N, 17, h, w) each; previous, following: (N, 17, h, w)."""

    current: dict[str, Tensor]
    previous: Tensor
    following: Tensor
    margin: Tensor


def backbone_maps(net: DCPose, windows: Sequence[Measured]) -> Maps:
    """The backbone over every crop, once: all seeds share it."""
    parts: dict[str, list[Tensor]] = {name: [] for name in (*CONDITIONS, "previous", "following")}
    for first in range(0, len(windows), 16):
        chunk = windows[first : first + 16]
        neighbours = [_batch([w.previous for w in chunk]), _batch([w.following for w in chunk])]
        for condition in CONDITIONS:
            crops = [_batch([w.current[condition] for w in chunk]), *neighbours]
            if condition == "clean":
                maps = heatmaps(net, torch.cat(crops, dim=1))
                parts["previous"].append(maps[:, 1])
                parts["following"].append(maps[:, 2])
                parts["clean"].append(maps[:, 0])
            else:
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    parts[condition].append(net.backbone(crops[0]).float())
    joined = {name: torch.cat(values) for name, values in parts.items()}
    margin = torch.tensor([w.margin for w in windows], dtype=torch.float32)
    return Maps({c: joined[c] for c in CONDITIONS}, joined["previous"], joined["following"], margin)


def _batch(crops: Sequence[NDArray[np.uint8]]) -> Tensor:
    return normalise(torch.from_numpy(np.stack(crops))).contiguous(memory_format=torch.channels_last)


def single(maps: Maps, condition: str) -> Tensor:
    """The current frame alone."""
    return maps.current[condition]


def control(maps: Maps, condition: str, name: str) -> Tensor:
    """Heatmaps of the frames averaged without learning; the nearer neighbour weighs more."""
    total = maps.margin.sum(dim=1)
    before, after = (maps.margin[:, k] / total for k in (1, 0))
    around = before[:, None, None, None] * maps.previous + after[:, None, None, None] * maps.following
    return around if name == "neighbours" else (maps.current[condition] + maps.previous + maps.following) / 3


@torch.no_grad()
def dcpose(net: DCPose, maps: Maps, condition: str) -> Tensor:
    """The whole network."""
    out = []
    for first in range(0, len(maps.margin), 16):
        at = slice(first, first + 16)
        now = maps.current[condition][at]
        out.append(net.head(now, maps.previous[at], maps.following[at], maps.margin[at]).final)
    return torch.cat(out)


def hits(
    found: Tensor, windows: Sequence[Measured], decoder: Decoder, stride: float | NDArray[np.float32] = STRIDE
) -> NDArray[np.float64]:
    """(N,) sure joints found within 0.2 of the torso. stride: pixels of the crop per pixel of the maps, or x and y."""
    points = decoder(found.float()).numpy()[..., :2] * stride
    truth = np.stack([w.joints for w in windows])
    reach = np.array([w.reach for w in windows])[:, None]
    near = np.linalg.norm(points - truth[..., :2], axis=2) <= reach
    return np.asarray((near & (truth[..., 2] > 0)).sum(axis=1), np.float64)


def counts(windows: Sequence[Measured]) -> NDArray[np.float64]:
    """(N,) sure joints."""
    return np.array([(w.joints[:, 2] > 0).sum() for w in windows], np.float64)


def paired(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], joints: NDArray[np.float64], clips: Sequence[str]
) -> tuple[float, float, float]:
    """How many points (100 = all joints) `ours` finds more, with its 95 % interval: whole clips are drawn anew."""
    names = {name: k for k, name in enumerate(dict.fromkeys(clips))}
    rows = np.array([names[clip] for clip in clips])
    more, total = np.bincount(rows, ours - theirs), np.bincount(rows, joints)
    draws = np.random.default_rng(SEED).integers(len(names), size=(ROUNDS, len(names)))
    values = 100 * more[draws].sum(axis=1) / total[draws].sum(axis=1)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(100 * more.sum() / total.sum()), float(low), float(high)


def compare(
    heads: Mapping[str, DCPose], maps: Maps, windows: Sequence[Measured], decoder: Decoder
) -> dict[str, object]:
    """Everything the table says. heads: the networks by name ("seed 1"). decoder: reads joints from all heatmaps."""
    joints, clips = counts(windows), [w.clip for w in windows]
    alone = {c: hits(single(maps, c), windows, decoder) for c in CONDITIONS}
    whole = {s: {c: hits(dcpose(net, maps, c), windows, decoder) for c in CONDITIONS} for s, net in heads.items()}
    plain = {n: {c: hits(control(maps, c, n), windows, decoder) for c in CONDITIONS} for n in CONTROLS}
    seeds = list(heads)
    mean = {c: np.mean([whole[s][c] for s in seeds], axis=0) for c in CONDITIONS}

    def share(values: NDArray[np.float64]) -> float:
        return float(100 * values.sum() / joints.sum())

    def over_damage(first: dict[str, NDArray[np.float64]], second: dict[str, NDArray[np.float64]]) -> list[float]:
        return list(
            paired(
                np.concatenate([first[c] for c in DAMAGES]),
                np.concatenate([second[c] for c in DAMAGES]),
                np.tile(joints, len(DAMAGES)),
                clips * len(DAMAGES),
            )
        )

    return {
        "windows": len(windows),
        "clips": len(set(clips)),
        "joints": int(joints.sum()),
        "conditions": {
            c: {
                "single frame": share(alone[c]),
                **{name: share(plain[name][c]) for name in CONTROLS},
                **{f"DCPose, {s}": share(whole[s][c]) for s in seeds},
                "gain": list(paired(mean[c], alone[c], joints, clips)),
            }
            for c in CONDITIONS
        },
        "damaged": {
            "gain": over_damage(mean, alone),
            "gain by head": {s: over_damage(whole[s], alone) for s in seeds},
            **{f"against {name}": over_damage(mean, plain[name]) for name in CONTROLS},
        },
    }
