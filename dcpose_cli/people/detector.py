"""Frames -> person boxes: a YOLO network, our letterbox, non-maximum suppression.

Frames are prepared so that the boxes of a frame never depend on the frames it is detected with. Where the network comes
from is described in detector_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dcpose_cli._cores import cores_for, on_cores
from dcpose_cli._memory import is_out_of_memory
from dcpose_cli._text import one_line
from dcpose_cli._ultralytics import rows_only
from dcpose_cli.engines.parts import Setup, computed
from dcpose_cli.errors import DeviceError
from dcpose_cli.nets.fused import fused_units
from dcpose_cli.people.boxes import not_suppressed
from dcpose_cli.people.detector_files import (
    FORMAT_VERSION,
    METADATA_KEY,
    WEIGHTS_NAME,
    DetectorModel,
    load_detector,
)
from dcpose_cli.pixels import Image, Pixels, pixels_of
from dcpose_cli.types import Detections

__all__ = [
    "FORMAT_VERSION",
    "METADATA_KEY",
    "WEIGHTS_NAME",
    "DetectorModel",
    "Letterbox",
    "PersonDetector",
    "load_detector",
    "select",
]

#: A box is a second view of a better one if this share of the smaller lies in the larger, and their areas differ less
#: than this.
NESTED_SHARE: Final = 0.9
NESTED_SIZE: Final = 0.4

T = TypeVar("T")
P = ParamSpec("P")

_STRIDE: Final = 32
_PADDING_GREY: Final = 114
_MAX_CANDIDATES: Final = 3000
_MAX_PEOPLE: Final = 300
_CUDA_BATCH: Final = 16


class PersonDetector:
    """Finds people in frames.

    source: a shipped model's name ("person-n"), a model folder, a `.safetensors` or `.pt` file, or the
    name of a stock detector ("yolo11n.pt"), downloaded on first use unless `offline`.
    conf: least score in 0..1. iou: overlap above which the weaker of two boxes is dropped.
    imgsz: side in pixels to which a frame's long side is scaled; None for the model's own. half: reduced precision
    (float16 on CUDA, bfloat16 elsewhere). engine: what computes the network in the place of torch; on a CPU only.
    Raises WeightsError (see load_detector) and DeviceError (no such device).
    """

    takes_pixels = True

    def __init__(
        self,
        source: str | Path,
        *,
        device: torch.device | str = "cpu",
        conf: float = 0.3,
        iou: float = 0.6,
        imgsz: int | None = None,
        half: bool = False,
        offline: bool = False,
        engine: Setup | None = None,
    ) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available", hint="use --device cpu")
        model = load_detector(source, offline=offline)
        self._model, self._conf, self._iou, self._half = model, conf, iou, half
        self._imgsz = imgsz if imgsz is not None else model.imgsz
        self._cores = cores_for(self._device)
        self._batch = _CUDA_BATCH if self._device.type == "cuda" else 1
        try:
            net = model.net.to(self._device).to(memory_format=torch.channels_last)
            if engine is not None:
                net = self._computed(net, engine)
            elif self._device.type == "cpu":
                net = fused_units(net, torch.bfloat16 if half else torch.float32)
            self._net = net.half() if half and self._device.type == "cuda" else net
        except RuntimeError as error:  # a device that is busy, broken or full says so at its first use
            raise DeviceError(f"cannot use {self._device}: {one_line(error)}", hint="use --device cpu") from error

    def _computed(self, net: nn.Module, engine: Setup) -> nn.Module:
        pixels = torch.zeros(1, 3, 7 * _STRIDE, 12 * _STRIDE)
        return computed(rows_only(net), engine, pixels, free=(2, 3), cores=self._cores)

    @property
    def net(self) -> nn.Module:
        """The network as it is computed."""
        return self._net

    @property
    def name(self) -> str:
        """Name of the model that makes the boxes."""
        return self._model.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file, hexadecimal."""
        return self._model.sha256

    @property
    def imgsz(self) -> int:
        """Side in pixels to which a frame's long side is scaled."""
        return self._imgsz

    def detect(self, images: Sequence[Image | Pixels], size: int | None = None) -> list[Detections]:
        """People in each image: boxes xywh in its pixels, clipped to it, best score first.

        images: (H, W, 3) uint8 RGB, or pixels of frames, of any sizes. size: side in pixels to which the long side is
        scaled, `imgsz` when not given. The result for an image does not depend on the others. Raises DeviceError when
        memory runs out even for one image at a time.
        """
        out: list[Detections | None] = [None] * len(images)
        shapes: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            shapes.setdefault((image.shape[0], image.shape[1]), []).append(number)
        for numbers in shapes.values():
            for start in range(0, len(numbers), _CUDA_BATCH):
                chunk = numbers[start : start + _CUDA_BATCH]
                alike = [pixels_of(images[n]) for n in chunk]
                for number, found in zip(chunk, self._same_shape(alike, size), strict=True):
                    out[number] = found
        return [found for found in out if found is not None]

    def _same_shape(self, images: Sequence[Pixels], size: int | None) -> list[Detections]:
        boxer = Letterbox(images[0].shape[0], images[0].shape[1], size or self._imgsz)
        if self._device.type == "cpu":
            return self._on_cpu(images, boxer)
        pixels = np.stack([boxer.apply(image) for image in images])
        rows: list[torch.Tensor] = []
        while len(rows) < len(pixels):
            rows += self._try(self._next, pixels[len(rows) :]) or []
        return [self._boxes(row, boxer) for row in rows]

    def _on_cpu(self, images: Sequence[Pixels], boxer: Letterbox) -> list[Detections]:
        """Each core one image at a time."""

        def one(image: Pixels) -> Detections:
            (rows,) = self._forward(boxer.apply(image)[None])
            return self._boxes(rows, boxer)

        while True:
            found = self._try(on_cores, one, images, self._cores)
            if found is not None:
                return found

    def _next(self, pixels: NDArray[np.uint8]) -> list[torch.Tensor]:
        return self._forward(pixels[: self._batch])

    def _try(self, work: Callable[P, list[T]], *args: P.args, **options: P.kwargs) -> list[T] | None:
        """`work(...)`; None when memory ran out, after backing off for good: fewer images at a time. Raises DeviceError
        when it ran out with one image."""
        try:
            return work(*args, **options)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if self._batch == self._cores == 1:
                first = "close other programs" if self._device.type == "cpu" else "use --device cpu"
                raise DeviceError(
                    f"{self._device} has too little memory to detect people at {self._imgsz} pixels",
                    hint=f"{first} or use a smaller --detector",
                ) from error
        # Only here: inside the handler the error still holds the tensors of the failed pass.
        self._batch, self._cores = max(1, self._batch // 2), 1
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _forward(self, pixels: NDArray[np.uint8]) -> list[torch.Tensor]:
        """Raw rows per image. Always a full batch: kernels may round differently for another batch size."""
        count = len(pixels)
        if count < self._batch:
            pixels = np.concatenate([pixels, np.zeros((self._batch - count, *pixels.shape[1:]), np.uint8)])
        reduced = self._half and self._device.type == "cuda"
        cast = torch.autocast(self._device.type, torch.bfloat16) if self._half and not reduced else nullcontext()
        with torch.inference_mode(), cast:
            batch = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
            output = self._net((batch.half() if reduced else batch.float()).div_(255))
        found = output[0] if isinstance(output, tuple | list) else output
        return list(found[:count].float().cpu())

    def _boxes(self, rows: torch.Tensor, boxer: Letterbox) -> Detections:
        return boxer.back(*select(rows, self._model.person, self._conf, self._iou))


def select(rows: torch.Tensor, person: int, conf: float, iou: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A network's raw rows for one picture -> people: boxes (N, 4) xyxy and scores (N,), best first.

    rows: (4 + classes, A) centre xywh and class scores, or (A, 6) xyxy, score, class of end-to-end networks, in which
    nothing is left to suppress.
    """
    if rows.shape[1] == 6:
        mine = rows[(rows[:, 5] == person) & (rows[:, 4] >= conf)]
        xyxy, scores = mine[:, :4], mine[:, 4]
    else:
        best = rows[4:].max(0)
        mine = rows[:, (best.indices == person) & (best.values >= conf)]
        scores = mine[4 + person]
        xyxy = torch.cat([mine[:2] - mine[2:4] / 2, mine[:2] + mine[2:4] / 2]).T
    order = scores.argsort(descending=True, stable=True)[:_MAX_CANDIDATES]
    xyxy, scores = xyxy[order], scores[order]
    if rows.shape[1] != 6:
        keep = not_suppressed(xyxy.numpy(), iou)
        keep = keep[_not_nested(xyxy.numpy()[keep])]
        xyxy, scores = xyxy[torch.from_numpy(keep)], scores[torch.from_numpy(keep)]
    return xyxy[:_MAX_PEOPLE].numpy(), scores[:_MAX_PEOPLE].numpy()


def _not_nested(xyxy: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask of the boxes to keep; the boxes are sorted by score. Drops duplicates that lie inside a better box.

    A box of half a person lies inside the box of the whole person and passes suppression by IoU. The box of a person in
    front of another is much smaller or extends beyond the other box.
    """
    keep = np.ones(len(xyxy), np.bool_)
    areas = np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1)
    for number in range(1, len(xyxy)):
        better = xyxy[:number][keep[:number]]
        sides = np.minimum(better[:, 2:], xyxy[number, 2:]) - np.maximum(better[:, :2], xyxy[number, :2])
        shared = np.prod(np.clip(sides, 0, None), axis=1)
        smaller = np.minimum(areas[:number][keep[:number]], areas[number])
        larger = np.maximum(areas[:number][keep[:number]], areas[number])
        keep[number] = not bool(np.any((shared > NESTED_SHARE * smaller) & (smaller > NESTED_SIZE * larger)))
    return keep


class Letterbox:
    """Scales frames of one shape so that the long side is `size`, and pads them to multiples of 32."""

    def __init__(self, height: int, width: int, size: int) -> None:
        self._height, self._width = height, width
        self._scale = size / max(height, width)
        self._inner = max(1, round(width * self._scale)), max(1, round(height * self._scale))
        outer = [-(-side // _STRIDE) * _STRIDE for side in self._inner]
        self._left, self._top = ((o - i) // 2 for o, i in zip(outer, self._inner, strict=True))
        self._outer = outer[1], outer[0], 3

    def apply(self, image: Image | Pixels) -> Image:
        """(H, W, 3) uint8 -> the padded picture, (h, w, 3) uint8."""
        canvas = np.full(self._outer, _PADDING_GREY, np.uint8)
        small = pixels_of(image).scaled(*self._inner)
        canvas[self._top : self._top + small.shape[0], self._left : self._left + small.shape[1]] = small
        return canvas

    def back(self, xyxy: NDArray[np.float32], scores: NDArray[np.float32]) -> Detections:
        """Boxes of the padded image -> Detections in the frame; boxes outside it are dropped."""
        scale = np.array([self._inner[0] / self._width, self._inner[1] / self._height] * 2, np.float32)
        boxes = (xyxy - np.array([self._left, self._top] * 2, np.float32)) / scale
        boxes = np.clip(boxes, 0, np.array([self._width, self._height] * 2, np.float32))
        boxes[:, 2:] -= boxes[:, :2]
        real = (boxes[:, 2] >= 1) & (boxes[:, 3] >= 1)
        return Detections(boxes[real].astype(np.float32), scores[real].astype(np.float32))
