"""Networks as ONNX files, for runtimes without PyTorch (the extra `onnx`)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from .._inductor import compiler_folder
from .._scratch import scratch_folder
from ..engines.onnx import OPSET, runtime
from ..errors import DCPoseError, UsageError
from ..files import AtomicFile, output_error, require_free_target
from ..nets import DCPose, HRNet, SimpleBaseline
from ..pose.model import LoadedModel

#: Largest difference between torch and onnxruntime that is taken for rounding, in units of the output.
TOLERANCE: Final = 1e-3
PARTS: Final = ("whole", "backbone", "head")


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What was written. inputs, output: names and shapes, the batch open. difference: largest from torch's output."""

    path: Path
    inputs: dict[str, tuple[int | str, ...]]
    output: tuple[int | str, ...]
    difference: float


class _Whole(nn.Module):
    """DCPose with one pass of the backbone per frame: three at once would fix the batch of the exported graph."""

    def __init__(self, net: DCPose) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, margin: Tensor) -> Tensor:
        """As DCPose.forward."""
        current, previous, following = (self.net.backbone(x[:, k : k + 3]) for k in (0, 3, 6))
        return self.net.head(current, previous, following, margin).final


class _Head(nn.Module):
    """DCPose after its backbone: heatmaps of the current, previous and next frame, and the margin."""

    def __init__(self, net: DCPose) -> None:
        super().__init__()
        self.net = net

    def forward(self, current: Tensor, previous: Tensor, following: Tensor, margin: Tensor) -> Tensor:
        """Four inputs -> final heatmaps (B, 17, h, w)."""
        return self.net.head(current, previous, following, margin).final


def export_onnx(model: LoadedModel, target: Path, *, part: str = "whole", overwrite: bool = False) -> OnnxFile:
    """Write a network as ONNX and check it in onnxruntime against torch, with two batch sizes.

    part: "whole", or of a DCPose its "backbone" (crops (B, 3, H, W) -> heatmaps (B, 17, h, w)) or "head" (heatmaps of
    current, previous and next frame and margin (B, 2) -> heatmaps). The whole DCPose takes x (B, 9, H, W), current,
    previous, next, and margin (B, 2). Crops are normalised RGB (crop.MEAN, crop.STD).
    Raises UsageError for what cannot be exported or where the extra is missing, OutputError, and DCPoseError when the
    two disagree.
    """
    if target.suffix.lower() != ".onnx":
        raise UsageError("must end in .onnx", path=target, hint="that is the format it gets")
    require_free_target(target, overwrite=overwrite)
    net, inputs = _part(model, part)
    runtime = _runtime()
    # Exported on the CPU, where the deformable step is made of operators that ONNX has.
    net = net.cpu().eval()
    program = _exported(net, inputs)
    with AtomicFile(target, overwrite=overwrite) as file:
        try:
            program.save(str(file.temp))
            difference = _difference(net, inputs, file.temp, runtime)
        except OSError as error:
            raise output_error(error, target) from error
        if difference > TOLERANCE:
            raise DCPoseError(
                f"not written: onnxruntime and torch differ by {difference:.2g}", path=target, hint="please report it"
            )
    shapes = {name: ("batch", *value.shape[1:]) for name, value in inputs.items()}
    with torch.no_grad():
        output = net(*inputs.values())
    return OnnxFile(target, shapes, ("batch", *output.shape[1:]), difference)


def _part(model: LoadedModel, part: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """The module to export and inputs for it, two of each."""
    net = model.net
    width, height = model.header.input_size
    rng = torch.Generator().manual_seed(0)
    if part not in PARTS:
        raise UsageError(f"unknown part {part!r}", hint=f"use {', '.join(PARTS)}")
    if isinstance(net, (HRNet, SimpleBaseline)) and part == "whole":
        return net, {"x": torch.randn(2, 3, height, width, generator=rng)}
    if not isinstance(net, DCPose):
        raise UsageError(
            f"{model.header.name} is of the kind {model.header.kind}", hint="only DCPose has parts to export"
        )
    margin = torch.tensor([[1.0, 1.0], [2.0, 1.0]])
    if part == "backbone":
        return net.backbone, {"x": torch.randn(2, 3, height, width, generator=rng)}
    if part == "head":
        maps = torch.rand(3, 2, net.config.backbone.joints, height // 4, width // 4, generator=rng)
        return _Head(net), {"current": maps[0], "previous": maps[1], "following": maps[2], "margin": margin}
    return _Whole(net), {"x": torch.randn(2, 9, height, width, generator=rng), "margin": margin}


def _exported(net: nn.Module, inputs: dict[str, Tensor]) -> Any:
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = {name: {0: batch} for name in inputs}
    with warnings.catch_warnings(), scratch_folder() as scratch, compiler_folder(scratch):
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            net,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["heatmaps"],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )


def _runtime() -> Any:
    """onnxruntime. Raises UsageError where the extra is missing."""
    try:
        import onnxscript  # noqa: F401 - torch needs it

        return runtime()
    except ImportError as error:
        raise UsageError(
            "exporting needs onnx, onnxscript and onnxruntime", hint="pip install 'dcpose[onnx]'"
        ) from error


@torch.no_grad()
def _difference(net: nn.Module, inputs: dict[str, Tensor], path: Path, runtime: Any) -> float:
    """Largest difference of the outputs, for the batch it was exported with and another one."""
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (2, 3):
        some = {name: torch.cat([value, value])[:count] for name, value in inputs.items()}
        ours = net(*some.values()).numpy()
        theirs = session.run(None, {name: value.numpy() for name, value in some.items()})[0]
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst
