"""The header of a model file: JSON in the metadata of its safetensors, from which the network is built."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from safetensors import SafetensorError, safe_open

from .._schema import Text, build
from .._text import one_line
from ..errors import WeightsError
from ..nets.limits import MAX_CROP_SIDE, require_buildable
from ..pose.crop_shape import MOST_MARGIN
from ..pose.heatmaps import DECODERS
from ..pose.methods import KINDS
from ..pose.model import JOINT_ORDERS, ModelHeader, PoseConfig
from ..skeleton import NUM_JOINTS
from ..skeleton.sets import NAMED, named_channels

#: Key of the JSON text in the safetensors metadata.
METADATA_KEY = "dcpose"
FORMAT_VERSION = 1
_LONGEST_KIND = 60


def read_metadata(path: Path) -> dict[str, Any]:
    """The JSON of a weights file's metadata. Raises WeightsError when it is no such file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"damaged or not a safetensors file: {one_line(error)}", path=path) from error
    try:
        data = json.loads(metadata[METADATA_KEY])
    except (KeyError, ValueError, RecursionError) as error:
        raise WeightsError("has no dcpose header", path=path, hint="convert it with dcpose models import") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT_VERSION or not _is_word(data.get("kind")):
        raise WeightsError("has a header this version does not know", path=path, hint="update dcpose")
    return data


def _is_word(kind: object) -> bool:
    return isinstance(kind, str) and len(kind) <= _LONGEST_KIND and kind.isprintable()


def header_of(data: dict[str, Any], path: Path) -> ModelHeader:
    """The header of a pose model from the JSON of its file. Raises WeightsError, naming `path`."""
    kind = data.get("kind")
    if kind not in KINDS:
        raise WeightsError(f"holds a {kind!r:.40}, not a pose network ({', '.join(KINDS)})", path=path)
    try:
        fields = {k: v for k, v in data.items() if k not in ("format", "network")}
        network = build(KINDS[kind].config, data.get("network"), "network.")
        header = ModelHeader(**(build(_HeaderFields, fields).as_dict()), network=network)
        _check(header)
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"its header does not fit: {one_line(error)}", path=path) from error
    return header


def _check(header: ModelHeader) -> None:
    """Raises ValueError for values of the right type that are out of range."""
    network = header.network
    if header.joints not in JOINT_ORDERS:
        raise ValueError(f"joints is {header.joints!r:.40}, known are {', '.join(JOINT_ORDERS)}")
    if bool(header.names) != (header.joints == NAMED):
        raise ValueError(f"names are for joints that are {NAMED!r}, and needed there")
    if header.names and named_channels(header.names) != header.names:
        raise ValueError("names are not in our spelling")
    _require_outputs(network, len(header.channels))
    if header.decoding not in DECODERS:
        raise ValueError(f"decoding is {header.decoding!r:.40}, known are {', '.join(DECODERS)}")
    if header.crop_margin is not None:
        if not 0 <= header.crop_margin <= MOST_MARGIN:
            raise ValueError(f"crop_margin must be in 0..{MOST_MARGIN}")
        if not KINDS[header.kind].any_size or DECODERS[header.decoding].udp:
            raise ValueError("crop_margin is for networks that take crops of any size, and not with the decoding udp")
    if any(not 1 <= side <= MAX_CROP_SIDE or side % 16 for side in header.input_size):
        raise ValueError(f"input_size must be multiples of 16 up to {MAX_CROP_SIDE}")
    require_buildable(network, "network.", crop=header.input_size)
    if not all(0 <= channel < len(header.channels) for channel in header.predicts):
        raise ValueError(f"predicts names channels outside 0..{len(header.channels) - 1}")
    if len({*header.predicts}) != len(header.predicts):
        raise ValueError("predicts names a channel twice")


def _require_outputs(network: PoseConfig, count: int) -> None:
    """Raises ValueError unless a network has so many outputs; only those of single frames may have others than 17."""
    backbone: Any = getattr(network, "backbone", network)  # a network of single frames is all backbone
    outputs = getattr(backbone, "joints", NUM_JOINTS)  # not every backbone says so
    wanted = count if hasattr(network, "joints") else NUM_JOINTS
    if outputs != wanted:
        raise ValueError(f"{outputs} joints, {wanted} are needed")
    if count != wanted:
        raise ValueError(f"joints has {count} names, {wanted} are needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeaderFields:
    """The part of a header that has the same shape for every kind."""

    kind: str
    name: Annotated[str, Text(255)]
    input_size: tuple[int, int]
    predicts: tuple[int, ...]
    joints: str
    source: Annotated[str, Text(1_000)] = ""
    decoding: str = "quarter"
    names: tuple[Annotated[str, Text(60)], ...] = ()
    crop_margin: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
