"""Training of a person detector on canvases made of the training pack's pictures, from labels and a teacher."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Final, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from ... import _ultralytics
from ...errors import UsageError
from ...files import printable
from ...people.detector import PersonDetector, load_detector
from ...people.detector_files import detector_sha256, save_detector
from ..data.pack import named_part
from ..data.readers import evenly_spaced
from ..engine.log import Measured
from ..engine.prefetch import Prefetched
from ..engine.run import Run, RunOptions, open_run
from ..engine.sources import INIT, sources_of
from .canvas import Canvas, CanvasMaker
from .data import Others, PackReader, Picture, label_files, label_others, read_others
from .recipe import DetectorRecipe
from .score import evaluate
from .targets import MaskedBCE, anchor_points, anchor_weights, as_batch, collate, labelled_anchors
from .teacher import Teacher, distillation

#: The teacher's boxes on the crops, in the folder of the run.
OTHERS_NAME: Final = "others.json"


def train_detector(
    recipe: DetectorRecipe,
    data: Path,
    work: Path,
    *,
    init: nn.Module | None = None,
    teacher: str | None = None,
    **options: Unpack[RunOptions],
) -> nn.Module:
    """Train (or resume) `recipe` on the pack in `data`, checkpoint and logs in `work`; returns the averaged network.

    init: a detector of the same architecture to start from instead of random weights. teacher: a detector (name,
    folder or file) that boxes the other people on crops and, where the recipe has `distill`, whose answers are learnt
    beside the labels. options: see RunOptions. Raises InputError, OutputError, TrainingError, UsageError, WeightsError.
    """
    if recipe.stage1.distill and teacher is None:
        raise UsageError(f"the recipe {recipe.name} learns from a teacher (distill)", hint="name one with --teacher")
    with open_run(work, **options) as run:
        run.stages_of(recipe.name, recipe.stages())
        if run.ranks.count > 1:
            raise UsageError("a detector is trained by one process", hint="start dcpose train without torchrun")
        return _train(recipe, data, run, init, teacher)


def read_init(name: str) -> nn.Module:
    """The network of a detector to start from, batch norm not folded. Raises UsageError or WeightsError."""
    return load_detector(name, fuse=False).net


def save(net: nn.Module, recipe: DetectorRecipe, folder: Path, *, overwrite: bool) -> Path:
    """Write the network to `folder`; returns the file. Raises OutputError."""
    return save_detector(net, folder, name=recipe.name, imgsz=recipe.imgsz, overwrite=overwrite)


def _train(recipe: DetectorRecipe, data: Path, run: Run, init: nn.Module | None, teacher: str | None) -> nn.Module:
    config = recipe.stage1
    net = _start(recipe, init, run.device)
    taught = "" if teacher is None else detector_sha256(teacher)
    run = replace(run, sources=sources_of(label_files(data, recipe.data), init, taught))
    loop = run.loop(recipe, 1, net, config)
    loop.resume()
    maker, validation = _pictures(recipe, data, run, teacher)
    answers = Teacher(load_detector(teacher), run.device) if teacher is not None and config.distill else None
    losses = DetectorLoss(recipe, net, run, answers)

    def make(step: int) -> list[Canvas]:
        side, count = config.canvases_of(step, recipe.seed)
        rng = np.random.default_rng([recipe.seed, step, 1])
        return [maker.make(rng, side, recipe.mosaic_of(step)) for _ in range(count)]

    def validate() -> list[Measured]:
        probe = deepcopy(net).eval()
        probe.load_state_dict(loop.average.state)
        return [
            {"size": size, "part": part, **evaluate(probe, pictures, size, device=run.device)}
            for part, pictures in validation.items()
            for size in recipe.validation_sizes
        ]

    with Prefetched(make, config.steps, run.workers) as canvases:
        loop.run(
            lambda step: losses(canvases(step)),
            validate if validation else None,
            lambda step: config.canvases_of(step, recipe.seed)[1],
        )
    net.load_state_dict(loop.average.state)
    return net.eval()


def _start(recipe: DetectorRecipe, init: nn.Module | None, device: torch.device) -> nn.Module:
    """The network before training, the same for the same seed; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = _ultralytics.detection_model(recipe.architecture)
    if init is not None:
        try:
            net.load_state_dict(init.state_dict())
        except RuntimeError as error:
            raise UsageError("the detector to start from has another architecture than the recipe's") from error
    return net.train().to(device).to(memory_format=torch.channels_last)


def _pictures(
    recipe: DetectorRecipe, data: Path, run: Run, teacher: str | None
) -> tuple[CanvasMaker, dict[str, list[Picture]]]:
    """What canvases are cut from, and the validation pictures by part. The teacher boxes the crops once per run."""
    with named_part(data):
        return _read_pictures(recipe, data, run, teacher)


def _read_pictures(
    recipe: DetectorRecipe, data: Path, run: Run, teacher: str | None
) -> tuple[CanvasMaker, dict[str, list[Picture]]]:
    reader = PackReader(data, recipe.data, _others(recipe, data, run, teacher))
    whole, crops, empty = (evenly_spaced(pictures, run.limit) for pictures in reader.training())
    if not whole:
        raise UsageError(f"no training pictures for the parts {', '.join(recipe.data.whole)}", path=data)
    run.notice(f"{len(whole) + len(empty):,} pictures and {len(crops):,} crops to train on")
    validation = {part: pictures for part, pictures in reader.validation(limit=run.limit).items() if pictures}
    return CanvasMaker(whole, crops, recipe.augment, empty), validation


def _others(recipe: DetectorRecipe, data: Path, run: Run, teacher: str | None) -> Others | None:
    """The teacher's boxes on the crops, made where they are missing or were made of other labels or by another one."""
    path, made_of = run.work / OTHERS_NAME, {k: v for k, v in (run.sources or {}).items() if k != INIT}
    found = read_others(path, made_of)
    if found is None and teacher is not None and recipe.data.crops:
        run.notice(f"{printable(teacher)} looks for people on the crops, once for this training")
        boxer = PersonDetector(teacher, conf=0.2, iou=0.6, imgsz=320, half=True)
        label_others(PackReader(data, recipe.data), boxer.detect, path, made_of)
        return read_others(path, made_of)
    return found


class DetectorLoss:
    """loss(canvases) -> terms of the loss by name: box, cls and dfl of ultralytics, and distill with a teacher."""

    def __init__(self, recipe: DetectorRecipe, net: nn.Module, run: Run, teacher: Teacher | None) -> None:
        self._config, self._net, self._run, self._teacher = recipe.stage1, net, run, teacher
        self._criterion = _ultralytics.detection_loss(net)
        self._bce = self._criterion.bce = MaskedBCE()

    def __call__(self, canvases: list[Canvas]) -> dict[str, Tensor]:
        """canvases: of one step, all of one side."""
        device, side = self._run.device, canvases[0].image.shape[0]
        self._net.train()
        data = {name: value.to(device) for name, value in collate(canvases, side).items()}
        with self._run.autocast(self._config):
            output = self._net(data["img"])
        output = {k: v.float() if isinstance(v, Tensor) else v for k, v in output.items()}
        points, strides = anchor_points([tuple(f.shape[2:]) for f in output["feats"]], side)
        weights = anchor_weights(canvases, points, strides, self._config.unsure_weight)
        self._bce.weight = torch.from_numpy(weights).unsqueeze(-1).to(device)
        terms = dict(zip(("box", "cls", "dfl"), self._criterion(output, data)[0] / len(canvases), strict=True))
        if self._teacher is not None:
            inside = torch.from_numpy(labelled_anchors(canvases, points)).to(device)
            clean = self._undamaged(canvases, data["img"])
            terms["distill"] = self._config.distill * distillation(output, self._teacher(clean), inside)
        return terms

    @staticmethod
    def _undamaged(canvases: list[Canvas], images: Tensor) -> Tensor:
        """The images before they were damaged, which the teacher sees."""
        if all(canvas.clean is None for canvas in canvases):
            return images
        clean = [canvas.image if canvas.clean is None else canvas.clean for canvas in canvases]
        return as_batch(clean).to(images.device)
