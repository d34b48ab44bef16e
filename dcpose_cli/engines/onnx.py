"""ONNX Runtime: on the CPU, or with its providers for Apple's and Windows' accelerators (the extra `dcpose[onnx]`)."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .._inductor import compiler_folder
from .._scratch import scratch_folder
from .base import CPU, Engine, Run, quietly

if TYPE_CHECKING:
    from torch.export import ExportedProgram

#: Operator set: the first with the bilinear sampling of the deformable step.
OPSET: Final = 18
#: Providers of accelerators in the order of preference, and what the header of a result calls them.
_ACCELERATORS: Final = {"CoreMLExecutionProvider": "coreml", "DmlExecutionProvider": "directml"}


def converted(program: ExportedProgram, shape: tuple[int | None, ...]) -> bytes:
    """See base.Engine."""
    del shape  # the program knows its free sides

    def exported() -> Any:
        import torch

        with scratch_folder() as scratch, compiler_folder(scratch):
            return torch.onnx.export(program, opset_version=OPSET, dynamo=True, verbose=False)

    data: bytes = quietly(exported).model_proto.SerializeToString()
    return data


def runtime() -> Any:
    """onnxruntime, which sends nothing. Raises ImportError where it is not installed."""
    # Since 1.29 it reports its use to Microsoft and stores a device id in HOME unless this is set before its import
    # (its Privacy.md). Set even against the user's own value: dcpose sends nothing.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    # For a process that had imported it before, and for Windows builds that do not read the variable.
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def where(device: str) -> str:
    """The accelerator that the installed package has a provider for; the CPU where it has none or `device` is cpu."""
    there = runtime().get_available_providers() if device != CPU else ()
    return next((name for provider, name in _ACCELERATORS.items() if provider in there), CPU)


def loaded(data: bytes, precision: str, threads: int, where: str) -> Run:
    """See base.Engine."""
    del precision, threads  # float32; whoever calls computes
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = [provider for provider, name in _ACCELERATORS.items() if name == where]
    if providers == ["DmlExecutionProvider"]:
        options.enable_mem_pattern = False  # as its documentation asks
    session = onnxruntime.InferenceSession(data, options, providers=[*providers, "CPUExecutionProvider"])
    (given,) = (value.name for value in session.get_inputs())
    # A session of an accelerator takes one call at a time.
    turn = threading.Lock() if providers else contextlib.nullcontext()

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with turn:
            out: NDArray[np.float32] = session.run(None, {given: x})[0]
        return out

    return run


ENGINE: Final = Engine(
    name="onnx",
    packages=("onnxruntime", "onnxscript"),
    extra="onnx",
    recipe="1",
    precisions=("fp32",),
    converted=converted,
    loaded=loaded,
    where=where,
)
