"""OpenVINO, for CPUs (the extra `dcpose[openvino]`)."""

from __future__ import annotations

import io
import sys
import threading
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .._scratch import scratch_folder
from .base import Engine, Run, quietly

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_FILES: Final = ("model.xml", "model.bin")
_TELEMETRY: Final = "openvino_telemetry"
_HINTS: Final = {"fp32": "f32", "bf16": "bf16"}
_IMPORTING: Final = threading.Lock()


def _library() -> Any:
    """openvino, which sends nothing: it reports its use over a package that it does without."""
    with _IMPORTING:
        modules: dict[str, Any] = sys.modules
        modules.setdefault(_TELEMETRY, None)  # its import fails from now on
        return quietly(lambda: __import__("openvino"))


def converted(program: ExportedProgram, shape: tuple[int | None, ...]) -> bytes:
    """See base.Engine."""
    openvino = _library()
    model = openvino.convert_model(program)
    model.reshape([-1 if side is None else side for side in shape])
    packed = io.BytesIO()
    with scratch_folder() as folder, zipfile.ZipFile(packed, "w") as archive:
        openvino.save_model(model, str(folder / _FILES[0]), compress_to_fp16=False)
        for name in _FILES:
            archive.write(folder / name, name)
    return packed.getvalue()


def loaded(data: bytes, precision: str, threads: int, where: str) -> Run:
    """See base.Engine: every thread has a request of its own, which is computed on one core."""
    del where  # the CPU
    openvino = _library()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text, weights = (archive.read(name) for name in _FILES)
    core = openvino.Core()
    net = core.compile_model(
        core.read_model(text, weights),
        "CPU",
        {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        },
    )
    own = threading.local()

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        request = getattr(own, "request", None)
        if request is None:
            request = own.request = net.create_infer_request()
        out: NDArray[np.float32] = request.infer([x], share_inputs=True)[0].copy()
        return out

    return run


ENGINE: Final = Engine(
    name="openvino",
    packages=("openvino",),
    extra="openvino",
    recipe="1",
    precisions=("fp32", "bf16"),
    converted=converted,
    loaded=loaded,
)
