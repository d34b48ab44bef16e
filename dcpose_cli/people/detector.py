"""Frames -> person boxes: a YOLO network, our letterbox, non-maximum suppression.

The network comes from a shipped model (`person-n`), a model folder, a safetensors file of ours, a `.pt` file of
ultralytics, or the name of one of their stock detectors, which is then downloaded. Frames are treated so that the
boxes of a frame never depend on the frames it is detected with.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import nn

from dcpose_cli import _ultralytics
from dcpose_cli._cores import cores_for, on_cores
from dcpose_cli._paths import models_dir
from dcpose_cli.errors import DeviceError, OutputError, WeightsError
from dcpose_cli.files import write_atomic
from dcpose_cli.types import Detections

WEIGHTS_NAME: Final = "model.safetensors"
#: Key and format of the JSON text in the metadata of our weights files.
METADATA_KEY: Final = "dcpose"
FORMAT_VERSION: Final = 1
#: Detectors of ultralytics that may be named without a path.
STOCK_NAME: Final = re.compile(r"yolo(v8|v9|v10|11|12|26|v5)[ntsmblxce]u?\.pt")
STOCK_URL: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
#: Published hashes of stock files; others are checked by their form only.
STOCK_SHA256: Final = {"yolov8n.pt": "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95"}
STOCK_IMGSZ: Final = 640
#: A box is a second view of a better one if this share of the smaller lies in the larger, and their areas differ less
#: than this.
NESTED_SHARE: Final = 0.9
NESTED_SIZE: Final = 0.4

_STRIDE: Final = 32
_PADDING_GREY: Final = 114
_MAX_CANDIDATES: Final = 3000
_MAX_PEOPLE: Final = 300
_CUDA_BATCH: Final = 16
_MAX_DOWNLOAD_BYTES: Final = 512 << 20


@dataclass(frozen=True, slots=True, eq=False)
class DetectorModel:
    """A detector network as loaded. person: number of the class. imgsz: long side it works best at, pixels."""

    net: nn.Module
    person: int
    imgsz: int
    name: str
    sha256: str


def load_detector(source: str | Path, *, offline: bool = False, fuse: bool = True) -> DetectorModel:
    """The network behind `source` (see PersonDetector), float32 on the CPU, with `fuse` batch norm folded in.

    Raises WeightsError when there is none, when it is damaged or unsafe, or when a download is needed but not allowed.
    """
    path = _find(source, offline)
    if path.suffix == ".pt":
        checkpoint, imgsz, name = _ultralytics.read_checkpoint(path), STOCK_IMGSZ, path.stem
    else:
        checkpoint, imgsz, name = _read_safetensors(path)
    if "person" not in checkpoint.names:
        raise WeightsError(f"{path} detects no people (its classes: {', '.join(checkpoint.names[:5])}); use another")
    with torch.random.fork_rng(devices=[]):  # building draws random weights; the caller's generator stays put
        try:
            net = _ultralytics.detection_model(checkpoint.architecture, len(checkpoint.names))
        except WeightsError:
            raise
        except Exception as error:  # ultralytics raises anything for a dictionary that makes no network
            raise WeightsError(f"cannot build the network of {path}: {type(error).__name__}: {error}") from error
    _fill(net, checkpoint.state, path)
    net = _ultralytics.fuse(net) if fuse else net
    return DetectorModel(net, checkpoint.names.index("person"), imgsz, name, _sha256(path))


def _find(source: str | Path, offline: bool) -> Path:
    path = Path(source)
    for candidate in (path, path / WEIGHTS_NAME, models_dir() / path / WEIGHTS_NAME):
        if candidate.is_file():
            if candidate.suffix in {".pt", ".safetensors"}:
                return candidate
            raise WeightsError(f"{candidate} is no detector; give a .pt or .safetensors file or a model's name")
    if STOCK_NAME.fullmatch(str(source)):
        return _stock(str(source), offline)
    raise WeightsError(f"there is no detector {source}; use person-n, yolo11n.pt, or the path of a .pt file")


def _stock(name: str, offline: bool) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache" if os.environ.get("HOME") else None)
    folder = Path(base or tempfile.gettempdir()) / "dcpose"
    path = folder / name
    known = _known_hash(path)
    if path.is_file():
        found = _sha256(path)
        if known is not None and found != known:
            raise WeightsError(f"{path} has changed since it was downloaded; delete it, or give the path of a file")
        _remember_hash(path, found)
        return path
    if offline:
        raise WeightsError(f"{name} is not in {folder} and --offline forbids the download; use person-n or give a path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{name}-", suffix=".part.pt", dir=folder)
    except OSError as error:
        raise WeightsError(f"cannot store {name} in {folder}: {error.strerror}; set XDG_CACHE_HOME") from error
    part = Path(temporary)
    try:
        with os.fdopen(handle, "wb") as file:
            _download(STOCK_URL + name, file)
        found = _sha256(part)
        if known is not None and found != known:
            which = "published file" if name in STOCK_SHA256 else "file that came the first time"
            raise WeightsError(f"the download of {name} is not the {which}; try again or give a path")
        _ultralytics.read_checkpoint(part)
        _remember_hash(path, found)
        part.replace(path)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(f"cannot download {name}: {error}; use person-n or give the path of a file") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _known_hash(path: Path) -> str | None:
    """The SHA-256 a stock file must have: the published one, or that of the first download here."""
    try:
        remembered = path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        remembered = ""
    return STOCK_SHA256.get(path.name) or remembered or None


def _remember_hash(path: Path, digest: str) -> None:
    if _known_hash(path) is None:
        with suppress(OutputError):  # a cache that cannot be written is asked again next time
            write_atomic(path.with_name(f"{path.name}.sha256"), digest + "\n", overwrite=True)


def _download(url: str, file: Any) -> None:
    with urllib.request.urlopen(url, timeout=30) as response:
        length = response.headers.get("Content-Length")
        count = 0
        while block := response.read(1 << 20):
            count += len(block)
            if count > _MAX_DOWNLOAD_BYTES:
                raise OSError("larger than any detector")
            file.write(block)
    if length is not None and count != int(length):
        raise OSError(f"only {count} of {length} bytes came")


def _read_safetensors(path: Path) -> tuple[_ultralytics.Checkpoint, int, str]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged or not a safetensors file: {error}; fetch it again") from error
    try:
        data = json.loads(metadata[METADATA_KEY])
        if data["kind"] != "detector" or data["format"] != FORMAT_VERSION:
            raise WeightsError(f"{path} is not a detector of format {FORMAT_VERSION}; use person-n or update dcpose")
        names = tuple(str(name) for name in data["names"])
        checkpoint = _ultralytics.Checkpoint(dict(data["architecture"]), names, state)
        return checkpoint, int(data["imgsz"]), str(data["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} has no header of a detector; use person-n or give another file") from error


def _fill(net: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Loads strictly; batch norm's counters mean nothing here and may be absent."""
    wanted = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v.float() for k, v in state.items() if not k.endswith("num_batches_tracked")}
    problems = [f"missing {k}" for k in wanted if k not in given]
    problems += [f"unexpected {k}" for k in given if k not in wanted]
    problems += [
        f"{k} is {tuple(given[k].shape)}, expected {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in given and given[k].shape != v.shape
    ]
    if problems:
        raise WeightsError(f"{path} does not fit its network: {'; '.join(problems[:5])} ({len(problems)} in all)")
    net.load_state_dict(given, strict=False)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}; check the file") from error


class PersonDetector:
    """Finds people in frames.

    source: a shipped model's name ("person-n"), a model folder, a `.safetensors` or `.pt` file, or the name of a
    stock detector ("yolo11n.pt"), downloaded on first use unless `offline`.
    conf: least score in 0..1. iou: overlap above which the weaker of two boxes is dropped.
    imgsz: side in pixels to which a frame's long side is scaled; None for the model's own. half: reduced precision
    (float16 on CUDA, bfloat16 elsewhere).
    Raises WeightsError (see load_detector) and DeviceError (no such device).
    """

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
    ) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available; use --device cpu")
        model = load_detector(source, offline=offline)
        self._model, self._conf, self._iou, self._half = model, conf, iou, half
        self._imgsz = imgsz if imgsz is not None else model.imgsz
        self._cores = cores_for(self._device)
        self._batch = _CUDA_BATCH if self._device.type == "cuda" else 1
        self._net = model.net.to(self._device).to(memory_format=torch.channels_last)
        if half and self._device.type == "cuda":
            self._net = self._net.half()

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

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """People in each image: boxes xywh in its pixels, clipped to it, best score first.

        images: (H, W, 3) uint8 RGB, of any sizes. The result for an image does not depend on the others. Raises
        DeviceError when memory runs out even for one image.
        """
        out: list[Detections | None] = [None] * len(images)
        shapes: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            shapes.setdefault((image.shape[0], image.shape[1]), []).append(number)
        for numbers in shapes.values():
            for start in range(0, len(numbers), _CUDA_BATCH):
                chunk = numbers[start : start + _CUDA_BATCH]
                for number, found in zip(chunk, self._same_shape([images[n] for n in chunk]), strict=True):
                    out[number] = found
        return [found for found in out if found is not None]

    def _same_shape(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        boxer = Letterbox(images[0].shape[0], images[0].shape[1], self._imgsz)
        if self._device.type == "cpu":
            return on_cores(lambda image: self._one(image, boxer), images, self._cores)
        pixels = np.stack([boxer.apply(image) for image in images])
        rows: list[torch.Tensor] = []
        while len(rows) < len(pixels):
            try:
                rows += self._forward(pixels[len(rows) : len(rows) + self._batch])
            except torch.OutOfMemoryError as error:
                if self._batch == 1:
                    raise self._full() from error
                self._batch //= 2
        return [self._boxes(row, boxer) for row in rows]

    def _one(self, image: NDArray[np.uint8], boxer: Letterbox) -> Detections:
        try:
            (rows,) = self._forward(boxer.apply(image)[None])
        except torch.OutOfMemoryError as error:
            raise self._full() from error
        return self._boxes(rows, boxer)

    def _full(self) -> DeviceError:
        return DeviceError(f"out of memory detecting at {self._imgsz} pixels; use a smaller size")

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
        keep = torchvision.ops.nms(xyxy, scores, iou)
        keep = keep[torch.from_numpy(_not_nested(xyxy[keep].numpy()))]
        xyxy, scores = xyxy[keep], scores[keep]
    return xyxy[:_MAX_PEOPLE].numpy(), scores[:_MAX_PEOPLE].numpy()


def _not_nested(xyxy: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask of the boxes, best first, that are no second view of a better one.

    Half a person boxed again lies inside the first box and still passes suppression by overlap; someone standing in
    front of another is either much smaller or sticks out.
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

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 -> the padded picture, (h, w, 3) uint8."""
        canvas = np.full(self._outer, _PADDING_GREY, np.uint8)
        method = cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, self._inner, interpolation=method)
        canvas[self._top : self._top + small.shape[0], self._left : self._left + small.shape[1]] = small
        return canvas

    def back(self, xyxy: NDArray[np.float32], scores: NDArray[np.float32]) -> Detections:
        """Boxes of the padded picture -> Detections in the frame; boxes outside it vanish."""
        scale = np.array([self._inner[0] / self._width, self._inner[1] / self._height] * 2, np.float32)
        boxes = (xyxy - np.array([self._left, self._top] * 2, np.float32)) / scale
        boxes = np.clip(boxes, 0, np.array([self._width, self._height] * 2, np.float32))
        boxes[:, 2:] -= boxes[:, :2]
        real = (boxes[:, 2] >= 1) & (boxes[:, 3] >= 1)
        return Detections(boxes[real].astype(np.float32), scores[real].astype(np.float32))
