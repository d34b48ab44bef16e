"""A loaded network at work: device, precision, batching, and backing off when memory runs out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._cores import cores_for, on_cores, pieces
from .._memory import is_out_of_memory, keep_freed_memory
from .._text import one_line
from ..devices import PRECISIONS, require_device_name, require_one_device, require_precision
from ..engines.parts import Setup, with_engine
from ..errors import DeviceError, UsageError
from ..nets.folding import folded, laid_out
from ..nets.fused import fused
from ..pixels import Image, Pixels, pixels_of
from .crop import crop_parts, sample_crops, sample_pixels
from .crop_plan import CropPlan, own_crops, shared_crops
from .crop_shape import CropShape
from .heatmaps import to_image
from .methods import method_of, reach_of
from .model import LoadedModel

#: Person windows in one pass, by device.
DEFAULT_BATCH: Final[dict[str, int]] = {"cpu": 32, "cuda": 64, "mps": 16}
#: Crops and people that one core of a CPU works on at a time: more at once do not fit its cache, and larger pieces
#: leave cores idle at the end (measured with crops of 112x224: dcpose-s needs 3.3 ms a crop at 6, 3.1 at 8 and
#: 3.0 at 16; its head 5.1 ms a person at 2, 4.5 at 4 and 4.3 at 8).
CROPS_AT_ONCE: Final = 8
PEOPLE_AT_ONCE: Final = 4


def memory_hint(device: torch.device) -> str:
    """What to do when a device fails or is full; the CPU is no way out of itself."""
    return "close other programs, or use a smaller --batch" if device.type == "cpu" else "use --device cpu"


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """ "auto" -> the best device there is; anything else is checked. Raises DeviceError or UsageError."""
    if isinstance(name, torch.device):
        return name
    require_one_device(name)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    require_device_name(name)
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"{name} was asked for, but {torch.cuda.device_count()} CUDA devices are here", hint="use --device cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps was asked for, but this machine has none", hint="use --device cpu")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """ "auto" -> bf16 (else fp16) on CUDA, bf16 on CPUs that compute in it, fp32 elsewhere. Raises UsageError."""
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return torch.bfloat16 if device.type == "cpu" and _cpu_computes_in_bf16() else torch.float32
    require_precision(name)
    if name == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU", hint="use --precision fp32 or bf16")
    dtype: torch.dtype = getattr(torch, PRECISIONS[name])
    return dtype


def _cpu_computes_in_bf16() -> bool:
    """Whether the CPU has instructions for bf16; without, it is emulated and slower than fp32."""
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test is not None and test() for test in tests)


class PoseNetwork:
    """A pose model on a device. model: from checkpoints.files.open_model; batch: person windows in one pass (on each
    core of a CPU), None for a default; flip_test: average with what the network says of the mirrored crops.

    engine: what computes the network's convolutions in the place of torch; on a CPU only.

    The batch is halved, for good, when the device's memory runs out; results do not depend on it beyond rounding.
    `reach`: frames a window holds on each side of the current one, at least 1.
    Raises UsageError for a batch or precision that cannot be, DeviceError when the device cannot hold the network.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        device: torch.device,
        precision: str = "auto",
        batch: int | None = None,
        box_scale: float = 1.25,
        flip_test: bool = False,
        engine: Setup | None = None,
    ) -> None:
        if batch is not None and batch < 1:
            raise UsageError(f"--batch must be at least 1, got {batch}")
        self.model, self.device, self.box_scale, self.flip_test = model, device, box_scale, flip_test
        if engine is not None:
            precision = engine.precision
        #: What torch computes in.
        self.precision = resolve_precision(precision, device)
        self.batch = batch or DEFAULT_BATCH[device.type]
        self._cores = cores_for(device)
        if device.type == "cpu":
            keep_freed_memory()
        self.input_size = model.header.input_size
        #: What part of its crops the network looks at.
        self.shape = CropShape(self.input_size, box_scale, model.header.crop_margin)
        #: Crops that went through the backbone so far; with a flip test their mirror images, too.
        self.encoded = 0
        #: Names of the joints that `poses` returns: the 17 slots, and behind them those that have no slot.
        self.joints = model.header.result_joints
        self._places = model.header.places
        try:
            net = laid_out(folded(model.net).to(device))
            if engine is not None:
                self._net = with_engine(
                    net, engine, self._example, dtype=self.precision, cores=self._cores,
                    any_size=self.shape.margin is not None,
                )  # fmt: skip
            else:
                self._net = fused(net, self.precision) if device.type == "cpu" else net
        except RuntimeError as error:  # a device that is busy, broken or full says so at its first use
            raise DeviceError(f"cannot use {device}: {one_line(error)}", hint=memory_hint(device)) from error
        self.method = method_of(self._net, model.header.decoding, flip_test=flip_test, channels=model.header.channels)
        self.reach = max(1, reach_of(self.method))
        #: Time spent in `poses` so far, and person windows seen there.
        self.seconds, self.people = 0.0, 0

    def _example(self, net: nn.Module) -> None:
        """Run a network on crops of the right size."""
        method = method_of(net, self.model.header.decoding)
        width, height = self.input_size
        method.run(torch.zeros(len(method.frames), 2, 3, height, width), torch.ones(2, 2, dtype=torch.int64))

    @property
    def net(self) -> nn.Module:
        """The network as it is computed."""
        return self._net

    @property
    def whole_frames(self) -> bool:
        """Whether it takes whole frames to its device; on a CPU it looks at the crops alone."""
        return self.device.type != "cpu"

    @property
    def is_reduced(self) -> bool:
        """Whether it computes in less than float32."""
        return self.precision != torch.float32

    def poses(
        self,
        frames: Sequence[Image | Pixels],
        windows: NDArray[np.int64],
        boxes: NDArray[np.float32],
        margins: NDArray[np.int64],
        pixel_aspect: float = 1.0,
        tracks: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Keypoints of N person windows.

        frames: RGB (H, W, 3) uint8 or pixels of frames, one size; uploaded once. windows: (N, 2 * R + 1) positions in
        `frames` in the order of time, the current frame in the middle, R at least `reach` (three of them: previous,
        current and next).
        boxes: (N, 4) xywh in pixels. margins: (N, 2). pixel_aspect: width of a pixel over its height; crops show
        people undistorted. tracks: (N,) who each window shows, in the order of time: windows of one person then
        share crops where one box fits several; None: every window has crops of its own.
        Returns (N, len(joints), 3) float32: x, y in pixels, score; joints the model does not predict are (0, 0, 0).
        Raises DeviceError.
        """
        out = np.zeros((len(boxes), len(self.joints), 3), np.float32)
        if not len(boxes):
            return out
        began = time.perf_counter()
        square = boxes * np.array([pixel_aspect, 1, pixel_aspect, 1], np.float32)
        middle = windows.shape[1] // 2
        if middle < reach_of(self.method):
            raise ValueError(f"windows hold {windows.shape[1]} frames, {2 * self.reach + 1} are looked at")
        wanted = np.stack([windows[:, middle + offset] for offset in self.method.frames], axis=1)
        if tracks is None or wanted.shape[1] == 1:  # a single frame has nothing to share
            plan = own_crops(wanted, square, self.shape)
        else:
            plan = shared_crops(wanted, square, tracks, self.shape)
        shown = [pixels_of(frame) for frame in frames]
        work = _Work(self._upload(shown) if self.whole_frames else shown, plan, pixel_aspect)
        if not self.whole_frames:
            self._look_at(shown, plan, pixel_aspect)
        first = 0
        while first < len(plan.order):
            part = plan.next_part(first, self.batch * self._cores)
            found = self._try(work, part, margins[part])
            if found is not None:
                out[part[:, None], list(self._places.values())] = found[:, list(self._places)]
                first += len(part)
        self.encoded += len(plan.frames) * self.method.passes
        out[..., 0] /= pixel_aspect
        self.seconds += time.perf_counter() - began
        self.people += len(boxes)
        return out

    def _upload(self, frames: Sequence[Pixels]) -> Tensor:
        """The frames on the device, in one piece."""
        try:
            return torch.from_numpy(np.stack([pixels.rgb() for pixels in frames])).to(self.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                f"{self.device} has too little memory for {len(frames)} frames", hint=memory_hint(self.device)
            ) from error

    def _try(self, work: _Work, part: NDArray[np.int64], margins: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """`_pass`; None, with half the batch from now on, when memory ran out."""
        try:
            return self._pass(work, part, margins)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise DeviceError(
                    f"{self.device} has too little memory for one person", hint=memory_hint(self.device)
                ) from error
            if self._cores > 1:
                self._cores = 1
            else:
                self.batch = min(self.batch, len(part)) // 2
        # Only here: inside the handler the error still holds the tensors of the failed pass.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _pass(self, work: _Work, part: NDArray[np.int64], margins: NDArray[np.int64]) -> NDArray[np.float32]:
        """Keypoints in square pixels of the frame."""
        rows = work.plan.rows[part]
        self._encode(work, rows)
        size = work.plan.size(int(part[0]))

        def decode(some: NDArray[np.int64]) -> NDArray[np.float32]:
            with self._computing():
                points = self.method.decode(work.codes_of(rows[some]), torch.from_numpy(margins[some]), size)
                return np.asarray(points.cpu().numpy(), np.float32)

        points = np.concatenate(on_cores(decode, self._pieces(np.arange(len(part)), PEOPLE_AT_ONCE), self._cores))
        work.forget(part)
        points[..., :2] += self.shape.offset(size)
        boxes = work.plan.boxes[rows[:, self.method.frames.index(0)]]
        return to_image(points, boxes, self.input_size, self.box_scale, udp=self.method.udp)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """No gradients, and the precision asked for; holds for the thread it is entered in."""
        cast = torch.autocast(self.device.type, self.precision) if self.is_reduced else contextlib.nullcontext()
        with torch.inference_mode(), cast:
            yield

    def _encode(self, work: _Work, rows: NDArray[np.int64]) -> None:
        """Make the codes of the crops in `rows` (n, F), all of one size, that are not at hand yet."""
        fresh = np.array([crop for crop in dict.fromkeys(rows.T.ravel().tolist()) if crop not in work.codes], np.int64)
        if not len(fresh):
            return
        width, height = work.plan.sizes[fresh[0]].tolist()
        size = width, height

        def encode(some: NDArray[np.int64]) -> Tensor:
            affines = self._affines(work.plan, some, work.pixel_aspect)
            index = torch.from_numpy(work.plan.frames[some])
            with self._computing():
                if isinstance(work.pixels, Tensor):
                    pixels = sample_crops(work.pixels, index, affines, size)
                else:
                    pixels = sample_pixels(work.pixels, index, affines, size)
                return self.method.encode(pixels.contiguous(memory_format=torch.channels_last))

        parts = on_cores(encode, self._pieces(fresh, CROPS_AT_ONCE), self._cores)
        work.codes.update(zip(fresh.tolist(), (code for part in parts for code in part.unbind(0)), strict=True))

    def _affines(self, plan: CropPlan, crops: NDArray[np.int64] | slice, pixel_aspect: float) -> NDArray[np.float64]:
        """(N, 2, 3) from frame to the part of a crop that is looked at."""
        return self.shape.affines(plan.boxes[crops], plan.sizes[crops], pixel_aspect, udp=self.method.udp)

    def _look_at(self, frames: Sequence[Pixels], plan: CropPlan, pixel_aspect: float) -> None:
        """Make ready what all crops show of each large frame at once."""
        if not frames[0].is_large:
            return
        parts = crop_parts(self._affines(plan, slice(None), pixel_aspect), plan.sizes)
        for frame in np.unique(plan.frames).tolist():
            low, high = parts[plan.frames == frame, :2].min(axis=0), parts[plan.frames == frame, 2:].max(axis=0)
            frames[frame].prepare((*low.tolist(), *high.tolist()))

    def _pieces(self, items: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
        return pieces(items, most, self._cores) if self.device.type == "cpu" else [items]


class _Work:
    """The frames on the device, the crops that are wanted of them, and what the network made of those so far."""

    def __init__(self, pixels: Tensor | Sequence[Pixels], plan: CropPlan, pixel_aspect: float) -> None:
        self.pixels, self.plan, self.pixel_aspect = pixels, plan, pixel_aspect
        self.codes: dict[int, Tensor] = {}
        self._last = {int(crop): place for place, row in enumerate(plan.rows[plan.order]) for crop in row}
        self._place = {int(window): place for place, window in enumerate(plan.order)}

    def codes_of(self, rows: NDArray[np.int64]) -> Tensor:
        """The codes of the crops in `rows` (n, F), in one piece: (F, n, ...)."""
        return torch.stack([torch.stack([self.codes[crop] for crop in column]) for column in rows.T.tolist()])

    def forget(self, part: NDArray[np.int64]) -> None:
        """Drop the codes that no window after those of `part` needs."""
        done = self._place[int(part[-1])]
        for crop in [crop for crop in self.codes if self._last[crop] <= done]:
            del self.codes[crop]
