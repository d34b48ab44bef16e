"""The settings of one video after every automatic choice is made.

They are resolved once per video, before its first frame. The header of the result and the segment store hold them, and
every part, worker and resumed run of the video uses the stored ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Self

#: Settings that neither the device nor a loaded network decides: a choice made for one part holds for all.
_FREE_CHOICES: Final = (
    *("interval", "share_crops", "detect_every", "detect_size"),
    *("tracker", "track_iou", "track_memory", "fill"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSettings:
    """What decides the joints of a video besides its frames and the weights. Nothing here is "auto".

    conf: least confidence of a detection that starts a track, keep_conf: of one that continues it. tracker: its name.
    track_iou, track_memory: least overlap, and seconds somebody is remembered. fill: gaps in tracks are filled.
    interval: frames between the current frame and its neighbours.
    box_scale: enlargement of a person's box before cropping. flip_test: the network also sees
    mirrored crops. share_crops: consecutive windows of a person share crops (pose/crop_plan.py).
    detect_every: the detector runs on every n-th frame. detect_size: long side, in pixels, of what it sees of a frame;
    0 for a detector that does not say. device: type of the device ("cpu", "cuda", "mps"; with the engine onnx also
    "coreml", "directml"). engine: what computes the networks ("torch", "openvino", "onnx").
    precision: of the pose network ("float32", "bfloat16", "float16").
    batch: person windows in one pass of the network; it changes results by rounding only.
    """

    conf: float
    interval: int
    box_scale: float
    flip_test: bool
    share_crops: bool
    detect_every: int
    detect_size: int
    tracker: str
    keep_conf: float
    track_iou: float
    track_memory: float
    fill: bool
    device: str
    precision: str
    batch: int
    engine: str = "torch"

    def header(self) -> dict[str, Any]:
        """The settings as the header of a result has them: without the batch."""
        values = asdict(self)
        del values["batch"]
        return values

    def adopt(self, stored: ResolvedSettings) -> ResolvedSettings:
        """These settings with the choices of a run that is resumed; what is bound to the loaded networks stays."""
        return replace(self, **{name: getattr(stored, name) for name in _FREE_CHOICES})

    def as_dict(self) -> dict[str, Any]:
        """All of them, as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `as_dict`. Raises ValueError for anything else."""
        known = {field.name: field.type for field in fields(cls)}
        if values.keys() != known.keys() or any(type(v).__name__ != known[k] for k, v in values.items()):
            raise ValueError("these are no resolved settings")
        return cls(**values)
