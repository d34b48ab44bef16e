"""Trains `person-n`, the nano person detector, from random weights on one CPU thread in a fixed time.

A bare loop around ultralytics' network and loss: bf16 autocast, channels_last, AdamW, warm-up and cosine to the end
of the time budget, moving average of the weights, checkpoints from which a run continues exactly.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import logging
import math
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn

from dcpose_cli import _ultralytics
from dcpose_cli.training.detector_data import (
    CROP_PARTS,
    DETECTION_PARTS,
    PADDING_GREY,
    Canvas,
    CanvasMaker,
    PackReader,
    Picture,
    box_iou,
    intersection,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorRecipe:
    """How a detector is trained.

    seconds: time budget of training proper, validation included. steps: if set, replaces the time budget (exact runs).
    sizes: (share of the budget at which it starts, canvas side in pixels, batch size), ascending.
    """

    architecture: str = "yolov8n.yaml"
    seconds: float = 5400.0
    steps: int | None = None
    sizes: tuple[tuple[float, int, int], ...] = ((0.0, 192, 32), (0.40, 256, 32), (0.85, 320, 24))
    learning_rate: float = 2e-3
    final_rate: float = 0.02
    warmup_steps: int = 300
    weight_decay: float = 0.02
    clip_norm: float = 10.0
    ema: float = 0.999
    mosaic: float = 0.55
    mosaic_end: float = 0.3
    unsure_weight: float = 0.4
    checkpoint_seconds: float = 600.0
    seed: int = 1


class MaskedBCE(nn.Module):
    """Binary cross entropy whose negatives carry a weight per anchor; set `weight` (B, A, 1) before each call."""

    def __init__(self) -> None:
        super().__init__()
        self.weight: torch.Tensor | None = None

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss per anchor, (B, A, 1)."""
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if self.weight is None:
            return loss
        return loss * torch.where(target > 0, torch.ones_like(self.weight), self.weight)


def anchor_weights(
    canvases: Sequence[Canvas], points: NDArray[np.float32], strides: NDArray[np.float32], unsure_weight: float
) -> NDArray[np.float32]:
    """Weights of negatives, (B, A): 0 inside ignore boxes, `unsure_weight` for the finest level in unsure regions.

    points: (A, 2) anchor centres in canvas pixels. strides: (A,).
    """
    out = np.ones((len(canvases), len(points)), np.float32)
    finest = strides == strides.min()
    for row, canvas in zip(out, canvases, strict=True):
        for x1, y1, x2, y2 in canvas.unsure:
            inside = (points[:, 0] >= x1) & (points[:, 0] < x2) & (points[:, 1] >= y1) & (points[:, 1] < y2)
            row[inside & finest] = unsure_weight
        for x1, y1, x2, y2 in canvas.ignore:
            inside = (points[:, 0] >= x1) & (points[:, 0] <= x2) & (points[:, 1] >= y1) & (points[:, 1] <= y2)
            row[inside] = 0.0
    return out


def collate(canvases: Sequence[Canvas], size: int) -> dict[str, torch.Tensor]:
    """Batch in ultralytics' form: img (B, 3, S, S) float in 0..1, boxes as normalised centre xywh."""
    img = torch.from_numpy(np.stack([c.image for c in canvases])).permute(0, 3, 1, 2).float().div_(255)
    rows, index = [], []
    for number, canvas in enumerate(canvases):
        box = canvas.boxes
        rows.append(np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], 1) / size)
        index.append(np.full(len(box), number, np.float32))
    boxes = torch.from_numpy(np.concatenate(rows).astype(np.float32))
    return {
        "img": img.contiguous(memory_format=torch.channels_last),
        "bboxes": boxes,
        "cls": torch.zeros(len(boxes), 1),
        "batch_idx": torch.from_numpy(np.concatenate(index)),
    }


def _parameter_groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    plain = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": plain, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


@dataclass
class _Progress:
    step: int = 0
    elapsed: float = 0.0
    samples: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class DetectorTrainer:
    """Trains one detector in `folder` (checkpoint.pt, log.csv, validation.csv) and continues from what lies there."""

    def __init__(self, recipe: DetectorRecipe, maker: CanvasMaker, validation: Sequence[Picture], folder: Path) -> None:
        self.recipe, self.maker, self.validation, self.folder = recipe, maker, validation, folder
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.model = _ultralytics.detection_model(recipe.architecture).train()
        self.model = self.model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        for parameter in self.average.parameters():
            parameter.requires_grad_(False)
        self.criterion = _ultralytics.detection_loss(self.model)
        self.bce = MaskedBCE()
        self.criterion.bce = self.bce
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.model, recipe.weight_decay), lr=recipe.learning_rate, betas=(0.9, 0.99)
        )
        self.progress = _Progress()
        self.stop = False
        self._anchors: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        if (folder / "checkpoint.pt").exists():
            self._load(folder / "checkpoint.pt")

    def run(self) -> None:
        """Trains to the end of the budget, or until `stop` is set; always leaves a checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic() - self.progress.elapsed
        saved = self.progress.elapsed
        seen = tick = 0.0
        sums = np.zeros(4)
        while not self.stop and self.share() < 1:
            sums += self._step()
            seen += 1
            self.progress.elapsed = time.monotonic() - begin
            if self.progress.step % 50 == 0:
                self._write_log(sums / seen, seen, self.progress.elapsed - tick if tick else 0.0)
                sums[:], seen, tick = 0, 0, self.progress.elapsed
            if self.progress.elapsed - saved >= self.recipe.checkpoint_seconds and self.share() < 1:
                saved = self.progress.elapsed
                self._save()
                self.validate()
        self._save()
        if not self.stop:
            self.validate()

    def share(self) -> float:
        """How much of the budget is used, 0 and up."""
        if self.recipe.steps is not None:
            return self.progress.step / self.recipe.steps
        return self.progress.elapsed / self.recipe.seconds

    def validate(self) -> dict[str, float]:
        """Scores the averaged weights on the validation pictures and appends them to validation.csv."""
        row = {"step": self.progress.step, "elapsed": round(self.progress.elapsed), "samples": self.progress.samples}
        row |= evaluate(self.average, self.validation, size=416)
        _append(self.folder / "validation.csv", row)
        log.info("validation %s", json.dumps(row))
        return row

    def _rate(self) -> float:
        warm = min(1.0, (self.progress.step + 1) / self.recipe.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.share())))
        return self.recipe.learning_rate * warm * (self.recipe.final_rate + (1 - self.recipe.final_rate) * cosine)

    def _step(self) -> NDArray[np.float64]:
        share = self.share()
        _, size, batch = [s for s in self.recipe.sizes if s[0] <= share][-1]
        mosaic = self.recipe.mosaic if share < 0.88 else self.recipe.mosaic_end
        canvases = [self.maker.make(self.rng, size, mosaic) for _ in range(batch)]
        data = collate(canvases, size)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        with torch.autocast("cpu", torch.bfloat16):
            output = self.model(data["img"])
        output = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in output.items()}
        points, strides = self._anchor_points(output["feats"], size)
        self.bce.weight = torch.from_numpy(
            anchor_weights(canvases, points, strides, self.recipe.unsure_weight)
        ).unsqueeze(-1)
        parts, _ = self.criterion(output, data)
        loss = parts.sum() / batch
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._update_average()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.samples += batch
        return np.array([*(parts.detach() / batch).tolist(), float(norm)])

    def _anchor_points(self, feats: Sequence[torch.Tensor], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if size not in self._anchors:
            points, strides = [], []
            for level in feats:
                rows, columns = level.shape[2:]
                stride = size / rows
                y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
                points.append(np.stack([x.ravel() + 0.5, y.ravel() + 0.5], 1) * stride)
                strides.append(np.full(rows * columns, stride, np.float32))
            self._anchors[size] = np.concatenate(points), np.concatenate(strides)
        return self._anchors[size]

    def _update_average(self) -> None:
        decay = self.recipe.ema * (1 - math.exp(-(self.progress.step + 1) / 200))
        # buffers (batch norm statistics) are averaged too
        ours, theirs = self.average.state_dict(), self.model.state_dict()
        floats = [k for k, v in theirs.items() if v.dtype.is_floating_point]
        torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], 1 - decay)

    def _write_log(self, mean: NDArray[np.float64], steps: float, seconds: float) -> None:
        names = ("box", "cls", "dfl", "norm")
        row: dict[str, float] = {
            "step": self.progress.step,
            "elapsed": round(self.progress.elapsed, 1),
            "samples": self.progress.samples,
            "lr": round(self._rate(), 7),
            "steps_per_s": round(steps / seconds, 3) if seconds else 0.0,
        }
        _append(self.folder / "log.csv", row | {n: round(float(v), 4) for n, v in zip(names, mean, strict=True)})

    def _save(self) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": {k: v for k, v in asdict(self.progress).items() if k != "history"},
            "torch_rng": torch.get_rng_state(),
            "numpy_rng": json.dumps(self.rng.bit_generator.state),
        }
        temporary = self.folder / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "checkpoint.pt")

    def _load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = _Progress(**state["progress"])
        torch.set_rng_state(state["torch_rng"])
        self.rng.bit_generator.state = json.loads(state["numpy_rng"])


def _append(path: Path, row: dict[str, Any]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def load_pictures(
    root: Path, others: Path | None = None
) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """(whole pictures, crops, validation pictures) of the training pack in `root`."""
    reader = PackReader(root, others)
    held = reader.origins(DETECTION_PARTS, "val")
    validation = reader.pictures(("det", "det3"), "val")
    return (
        reader.pictures(DETECTION_PARTS, "train", without=held),
        reader.pictures(CROP_PARTS, "train", without=held),
        validation,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m dcpose_cli.training.detector DATA FOLDER`: trains, or continues what lies in FOLDER."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder of the training pack")
    parser.add_argument("folder", type=Path, help="where checkpoint and logs go")
    parser.add_argument("--seconds", type=float, default=DetectorRecipe.seconds, help="time budget")
    parser.add_argument("--others", type=Path, help="boxes of other people on the crops (JSON)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    whole, crops, validation = load_pictures(options.data, options.others)
    log.info("%d whole pictures, %d crops, %d for validation", len(whole), len(crops), len(validation))
    trainer = DetectorTrainer(
        DetectorRecipe(seconds=options.seconds), CanvasMaker(whole, crops), validation, options.folder
    )

    def finish(*_: object) -> None:
        trainer.stop = True

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    trainer.run()


if __name__ == "__main__":
    main()
