"""Trains `person-n`, the nano person detector, from random weights on one CPU thread in a fixed time.

A bare loop around ultralytics' network and loss: bf16 autocast, channels_last, AdamW, warm-up and cosine to the end
of the time budget, moving average of the weights, checkpoints from which a run continues exactly.

    python -m dcpose_cli.training.detector.trainer DATA FOLDER --recipe models/person-n/recipe_first.toml
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import logging
import math
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from dcpose_cli import _ultralytics
from dcpose_cli.errors import UsageError
from dcpose_cli.people.detector import FORMAT_VERSION, METADATA_KEY, WEIGHTS_NAME, PersonDetector, load_detector
from dcpose_cli.training.detector.canvas import Canvas, CanvasMaker
from dcpose_cli.training.detector.data import PackReader, Picture, label_others
from dcpose_cli.training.detector.recipe import DetectorRecipe, load_detector_recipe
from dcpose_cli.training.detector.score import evaluate
from dcpose_cli.training.detector.teacher import Teacher, distillation

CHECKPOINT_NAME = "checkpoint.pt"
OTHERS_NAME = "others.json"
LOG_EVERY_STEPS = 50

log = logging.getLogger(__name__)


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
    """Weights of negatives, (B, A): 0 on doubtful places, `unsure_weight` for the finest level in unsure regions.

    points: (A, 2) anchor centres in canvas pixels. strides: (A,).
    """
    out = np.ones((len(canvases), len(points)), np.float32)
    finest = strides == strides.min()
    for row, canvas in zip(out, canvases, strict=True):
        for box in canvas.unsure:
            row[_inside(points, box) & finest] = unsure_weight
        for box in canvas.ignore:
            row[_inside(points, box)] = 0.0
    return out


def labelled_anchors(canvases: Sequence[Canvas], points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which anchors (B, A) lie in a labelled person. points: (A, 2) anchor centres in canvas pixels."""
    out = np.zeros((len(canvases), len(points)), np.bool_)
    for row, canvas in zip(out, canvases, strict=True):
        for box in canvas.boxes:
            row |= _inside(points, box)
    return out


def _inside(points: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(((points >= box[:2]) & (points <= box[2:])).all(1), np.bool_)


def anchor_points(shapes: Sequence[tuple[int, int]], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centres (A, 2) in canvas pixels and strides (A,) of the anchors of feature maps with these (rows, columns)."""
    points, strides = [], []
    for rows, columns in shapes:
        stride = size / rows
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        points.append(np.stack([x.ravel() + 0.5, y.ravel() + 0.5], 1) * stride)
        strides.append(np.full(rows * columns, stride, np.float32))
    return np.concatenate(points).astype(np.float32), np.concatenate(strides)


def collate(canvases: Sequence[Canvas], size: int) -> dict[str, torch.Tensor]:
    """Batch in ultralytics' form: img (B, 3, S, S) float in 0..1, boxes as normalised centre xywh."""
    boxes = np.concatenate([c.boxes for c in canvases])
    centred = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1) / size
    owners = np.repeat(np.arange(len(canvases), dtype=np.float32), [len(c.boxes) for c in canvases])
    return {
        "img": as_batch([c.image for c in canvases]),
        "bboxes": torch.from_numpy(centred.astype(np.float32)),
        "cls": torch.zeros(len(boxes), 1),
        "batch_idx": torch.from_numpy(owners),
    }


def as_batch(images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Images (S, S, 3) uint8 -> (B, 3, S, S) float in 0..1, channels last in memory."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)
    return batch.contiguous(memory_format=torch.channels_last)


@dataclass(slots=True)
class _Progress:
    step: int = 0
    elapsed: float = 0.0
    samples: int = 0
    validated: float = 0.0


class DetectorTrainer:
    """Trains one detector in `folder` (checkpoint.pt, log.csv, validation.csv) and continues from what lies there.

    Set `stop` (from a signal handler, say) to end after the current step with a checkpoint.
    validation: pictures by part. teacher: whose answers are learnt beside the labels when the recipe's `distill` is
    above 0.
    """

    def __init__(
        self,
        recipe: DetectorRecipe,
        maker: CanvasMaker,
        validation: Mapping[str, Sequence[Picture]],
        folder: Path,
        teacher: Teacher | None = None,
    ) -> None:
        if recipe.distill and teacher is None:
            raise UsageError("the recipe learns from a teacher (distill); name one with --teacher")
        self.recipe, self.maker, self.validation, self.folder = recipe, maker, validation, folder
        self.teacher = teacher
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.model = _ultralytics.detection_model(recipe.architecture).train()
        self.model = self.model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.criterion = _ultralytics.detection_loss(self.model)
        self.bce = self.criterion.bce = MaskedBCE()
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
        )
        self.progress = _Progress()
        self.stop = False
        if (folder / CHECKPOINT_NAME).exists():
            self._load(folder / CHECKPOINT_NAME)

    def start_from(self, net: nn.Module) -> None:
        """Takes the weights of another detector as the start. Raises UsageError when it is built differently."""
        try:
            self.model.load_state_dict(net.state_dict())
        except RuntimeError as error:
            raise UsageError("the detector to start from has another architecture than the recipe's") from error
        self.average.load_state_dict(net.state_dict())

    def run(self) -> None:
        """Trains to the end of the budget, or until `stop` is set; always leaves a checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        begin = time.process_time() - self.progress.elapsed
        saved, mark = self.progress.elapsed, (self.progress.step, self.progress.elapsed)
        sums = np.zeros(4)
        while not self.stop and self.share() < 1:
            sums += self._step()
            self.progress.elapsed = time.process_time() - begin
            if self.progress.step % LOG_EVERY_STEPS == 0:
                self._write_log(sums, *mark)
                sums[:], mark = 0, (self.progress.step, self.progress.elapsed)
            if self.progress.elapsed - saved >= self.recipe.checkpoint_seconds and self.share() < 1:
                saved = self.progress.elapsed
                if self.progress.elapsed - self.progress.validated >= self.recipe.validation_seconds:
                    self.validate()
                    self.progress.validated = self.progress.elapsed = time.process_time() - begin
                self._save()
        self._save()
        if not self.stop:
            self.validate()

    def share(self) -> float:
        """How much of the budget is used, 0 and up."""
        if self.recipe.steps is not None:
            return self.progress.step / self.recipe.steps
        return self.progress.elapsed / self.recipe.seconds

    def validate(self) -> None:
        """Scores the averaged weights on the validation pictures and appends the rows to validation.csv."""
        for part, pictures in self.validation.items():
            for size in self.recipe.validation_sizes:
                row: dict[str, Any] = {"step": self.progress.step, "elapsed": round(self.progress.elapsed)}
                row |= {"part": part, **evaluate(self.average, pictures, size)}
                _append(self.folder / "validation.csv", row)
                log.info("validation %s", json.dumps(row))

    def export(self, target: Path) -> Path:
        """Writes the averaged weights as a model folder; returns the file."""
        return save_detector(self.average, target, name=self.recipe.name, imgsz=self.recipe.imgsz)

    def _rate(self) -> float:
        warm = min(1.0, (self.progress.step + 1) / self.recipe.warmup_steps)
        falling = max(0.0, min(1.0, self.share()) - self.recipe.stable) / (1 - self.recipe.stable)
        cosine = 0.5 * (1 + math.cos(math.pi * falling))
        return self.recipe.learning_rate * warm * (self.recipe.final_rate + (1 - self.recipe.final_rate) * cosine)

    def _step(self) -> NDArray[np.float64]:
        share = self.share()
        phase = [p for p in self.recipe.phases if p.start <= share][-1]
        mosaic = self.recipe.mosaic if share < self.recipe.mosaic_until else self.recipe.mosaic_end
        size = int(self.rng.choice([phase.size, *phase.also])) if phase.also else phase.size
        batch = max(1, round(phase.batch * (phase.size / size) ** 2))
        canvases = [self.maker.make(self.rng, size, mosaic) for _ in range(batch)]
        data = collate(canvases, size)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        with torch.autocast("cpu", torch.bfloat16):
            output = self.model(data["img"])
        output = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in output.items()}
        points, strides = anchor_points([tuple(f.shape[2:]) for f in output["feats"]], size)
        weights = anchor_weights(canvases, points, strides, self.recipe.unsure_weight)
        self.bce.weight = torch.from_numpy(weights).unsqueeze(-1)
        parts = self.criterion(output, data)[0] / batch
        total = parts.sum()
        if self.teacher is not None and self.recipe.distill:
            inside = torch.from_numpy(labelled_anchors(canvases, points))
            damaged = any(c.clean is not None for c in canvases)
            clean = as_batch([c.image if c.clean is None else c.clean for c in canvases]) if damaged else data["img"]
            total = total + self.recipe.distill * distillation(output, self.teacher(clean), inside)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._update_average()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.samples += batch
        return np.array([*parts.detach().tolist(), float(norm)])

    def _update_average(self) -> None:
        decay = self.recipe.ema * (1 - math.exp(-(self.progress.step + 1) / 200))
        ours, theirs = self.average.state_dict(), self.model.state_dict()
        floats = [k for k, v in theirs.items() if v.dtype.is_floating_point]
        torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], 1 - decay)

    def _write_log(self, sums: NDArray[np.float64], step: int, elapsed: float) -> None:
        steps = self.progress.step - step
        seconds = max(self.progress.elapsed - elapsed, 1e-6)
        row: dict[str, float] = {
            "step": self.progress.step,
            "elapsed": round(self.progress.elapsed, 1),
            "samples": self.progress.samples,
            "lr": round(self._rate(), 7),
            "steps_per_s": round(steps / seconds, 3),
        }
        means = zip(("box", "cls", "dfl", "norm"), sums / max(steps, 1), strict=True)
        _append(self.folder / "log.csv", row | {name: round(float(value), 4) for name, value in means})

    def _save(self) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
            "torch_rng": torch.get_rng_state(),
            "numpy_rng": json.dumps(self.rng.bit_generator.state),
        }
        temporary = self.folder / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / CHECKPOINT_NAME)

    def _load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = _Progress(**state["progress"])
        torch.set_rng_state(state["torch_rng"])
        self.rng.bit_generator.state = json.loads(state["numpy_rng"])


def save_detector(model: nn.Module, target: Path, *, name: str, imgsz: int) -> Path:
    """Writes a one-class detector as `target`/model.safetensors with its architecture in the metadata.

    Kernels are stored as float16; vectors (biases and batch norm, 1 % of the bytes) as float32.
    """
    architecture = {k: v for k, v in model.yaml.items() if k in {"nc", "backbone", "head", "scales", "scale"}}  # type: ignore
    header = {
        "format": FORMAT_VERSION,
        "kind": "detector",
        "name": name,
        "names": ["person"],
        "nc": 1,
        "imgsz": imgsz,
        "architecture": architecture,
    }
    state = {k: v.detach() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    tensors = {k: (v.half() if v.ndim > 1 else v.float()).contiguous() for k, v in state.items()}
    target.mkdir(parents=True, exist_ok=True)
    temporary = target / f".{WEIGHTS_NAME}.part"
    save_file(tensors, temporary, metadata={METADATA_KEY: json.dumps(header)})
    temporary.chmod(0o644)
    temporary.replace(target / WEIGHTS_NAME)
    return target / WEIGHTS_NAME


def _append(path: Path, row: dict[str, Any]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, or continues what lies in FOLDER, and exports when the budget is used."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder of the training pack")
    parser.add_argument("folder", type=Path, help="where checkpoint and logs go")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe.toml")
    parser.add_argument("--teacher", help="detector that labels, see `distill`, e.g. yolov8n.pt")
    parser.add_argument("--init", help="detector of the same architecture to start from instead of random weights")
    parser.add_argument("--export", type=Path, help="model folder to write at the end")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = load_detector_recipe(options.recipe)
    others = options.folder / OTHERS_NAME
    if options.teacher and recipe.data.crops and not others.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        teacher = PersonDetector(options.teacher, conf=0.2, iou=0.6, imgsz=320, half=True)
        label_others(PackReader(options.data, recipe.data), teacher.detect, others)
    reader = PackReader(options.data, recipe.data, others if others.exists() else None)
    whole, crops, empty = reader.training()
    validation = reader.validation()
    counts = {part: len(pictures) for part, pictures in validation.items()}
    log.info(
        "%d whole pictures, %d crops, %d without people; validation %s", len(whole), len(crops), len(empty), counts
    )
    maker = CanvasMaker(whole, crops, recipe, empty)
    dense = Teacher(load_detector(options.teacher)) if options.teacher and recipe.distill else None
    trainer = DetectorTrainer(recipe, maker, validation, options.folder, dense)
    if options.init and trainer.progress.step == 0:
        trainer.start_from(load_detector(options.init, fuse=False).net)

    def finish(*_: object) -> None:
        trainer.stop = True

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    trainer.run()
    if options.export and not trainer.stop:
        trainer.export(options.export)


if __name__ == "__main__":
    main()
