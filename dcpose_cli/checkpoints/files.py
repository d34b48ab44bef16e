"""Models on disk: which exist, where their files are, and how they are loaded without executing code in them.

A model is a folder with `model.safetensors`; the architecture travels in the file's metadata, so that the file alone
builds the network. Weights may be stored in float16; they are always loaded as float32.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .._paths import SINGLE, models_dir, shipped_model
from .._pickles import require_finite
from .._reading import state_of
from .._text import one_line, printable
from ..errors import InputError, UsageError, WeightsError
from ..files import output_error, sha256_of, sha256_since, write_atomic
from ..nets import DCPose, PoseWarper
from ..nets.limits import empty_network
from ..pose.methods import KINDS
from ..pose.model import LoadedModel, ModelHeader, PoseConfig, PoseNet
from ..published.store import models_folder
from ..published.table import DETECTOR, PUBLISHED
from ..skeleton.sets import JOINT_SETS
from .headers import FORMAT_VERSION, METADATA_KEY, header_of, read_metadata

WEIGHTS_NAME = "model.safetensors"
CHECKSUMS_NAME = "SHA256SUMS"
#: What `--model auto` takes, best first.
AUTO_MODELS = ("dcpose-s",)


def shipped_models() -> list[Path]:
    """Folders of the shipped models that hold weights (pose networks and detectors), sorted by name."""
    root = models_dir()
    return sorted(p.parent for p in root.glob(f"*/{WEIGHTS_NAME}")) if root.is_dir() else []


def fetched_models() -> list[Path]:
    """Folders of the published pose models that were fetched, sorted by name."""
    return sorted(p.parent for p in models_folder().glob(f"*/{WEIGHTS_NAME}"))


def find_weights(model: str | Path) -> Path:
    """The weights file of a shipped or fetched model's name, "auto", a model folder, or a safetensors file.

    The name of a shipped or published model is that model, also where the working folder holds a file or folder of the
    name.
    A name that ends in ":single" has the file of the model before it (see `open_model`).
    Raises WeightsError when there is none, and names what there is.
    """
    model = model.removesuffix(SINGLE) if isinstance(model, str) else model
    if model == "auto":
        for name in AUTO_MODELS:
            if (models_dir() / name / WEIGHTS_NAME).is_file():
                return models_dir() / name / WEIGHTS_NAME
        raise WeightsError("no pose model in this folder", path=models_dir(), hint="name one with --model")
    for root in (models_dir(), models_folder()):
        named = shipped_model(model, WEIGHTS_NAME, root)
        if named is not None:
            return named
    _require_fetched(model)
    path = Path(model)
    for candidate in (path / WEIGHTS_NAME, path):
        if _is_file(candidate):
            if candidate.suffix != ".safetensors":
                raise WeightsError("not a safetensors file", path=path, hint="convert it with dcpose models import")
            return candidate
    known = ", ".join(folder.name for folder in shipped_models() if not _is_detector(folder)) or "none"
    raise WeightsError("there is no such model", path=path, hint=f"shipped pose models: {known}")


def find_models(model: str | Path, further: Iterable[str | Path] = ()) -> list[Path]:
    """The weights files of a model and of those it is averaged with. Raises UsageError where two are the same model,
    WeightsError as `find_weights`."""
    names = [model, *further]
    paths = [find_weights(name) for name in names]
    seen: dict[tuple[Path, bool], str] = {}
    for path, name in zip(paths, map(str, names), strict=True):
        key = path.resolve(), name.endswith(SINGLE)
        if key in seen:
            pair = f"{printable(seen[key], 60)} and {printable(name, 60)}"
            raise UsageError(f"{pair} are the same model", hint="leave one out of --ensemble")
        seen[key] = name
    return paths


def _is_detector(folder: Path) -> bool:
    try:
        return bool(read_metadata(folder / WEIGHTS_NAME)["kind"] == DETECTOR)
    except WeightsError:  # said where it is loaded
        return False


def _require_fetched(model: str | Path) -> None:
    """Raise WeightsError for the name of a published model, which is not here."""
    entry = PUBLISHED.get(model) if isinstance(model, str) else None
    if entry is not None and entry.kind == DETECTOR:
        raise WeightsError("a detector, not a pose model", path=entry.name, hint=f"use it with {entry.option}")
    if entry is not None:
        raise WeightsError(
            "a published model that is not on this machine yet", path=entry.name,
            hint=f"run dcpose models get {entry.name}",
        )  # fmt: skip


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name no file system takes, a folder we may not enter
        return False


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> PoseNet:
    """Build the network of a model (name, folder or file) on `device`, in evaluation mode, float32.

    A DCPose network is called as net(x, margin): x (B, 9, H, W) float32 normalised RGB in the order current, previous,
    next; margin (B, 2). It returns (B, 17, H / 4, W / 4) float32. An HRNet is called as net(x) with x (B, 3, H, W).
    A SimpleBaseline likewise. A DSTA network is called as net(clip), clip (B, T, 3, H, W) in the order of time; it
    returns nets.DSTAPoses. A PoseWarper takes a clip too and returns heatmaps. Raises WeightsError.
    """
    return open_model(folder, device).net


def open_model(model: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """`load_model` with the header and the hash of the file. Raises WeightsError.

    "NAME:single" is the backbone of the model alone, a network of single frames, as a baseline for the whole model.
    """
    path = find_weights(model)
    before = state_of(path)
    header, state = read_weights(path)
    net = empty_net(header.network, path, header.input_size)
    load_state(net, state, path)
    if str(model).endswith(SINGLE):
        net, header = _single(net, header, path)
    return LoadedModel(net.to(device).eval(), header, path, _hash_since(path, before))


def _hash_since(path: Path, state: tuple[int, ...] | None) -> str:
    try:
        return sha256_since(path, state)
    except InputError as error:
        raise WeightsError(error.reason, path=path, hint=error.hint) from error


def _single(net: PoseNet, header: ModelHeader, path: Path) -> tuple[PoseNet, ModelHeader]:
    """The single-frame network (backbone) of a network of several frames."""
    if not isinstance(net, DCPose | PoseWarper):
        raise WeightsError(f"a {header.kind} has no backbone of its own", path=path, hint=f"omit {SINGLE}")
    backbone = net.backbone
    return backbone, replace(header, kind=_kind_of(backbone.config), name=header.name + SINGLE, network=backbone.config)


def empty_net(config: PoseConfig, path: Path, crop: tuple[int, int] | None = None) -> PoseNet:
    """The network of `config` without memory for its weights, to be filled by `load_state`.

    crop: its width and height in pixels, where the configuration does not say them. Shapes are compared before anything
    is allocated, so that a header cannot ask for more than its file holds.
    Raises WeightsError (naming `path`) when the numbers make no network.
    """
    try:
        net: PoseNet = empty_network(KINDS[_kind_of(config)].network, config, crop=crop)
        return net
    except (IndexError, OverflowError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(f"describes an impossible network: {one_line(error)}", path=path) from error


def read_weights(path: Path) -> tuple[ModelHeader, dict[str, Tensor]]:
    """Header and tensors (float32) of a pose model. Raises WeightsError."""
    return header_of(read_metadata(path), path), read_tensors(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors (float32) of a safetensors file. Raises WeightsError."""
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"damaged: {one_line(error)}", path=path) from error
    require_finite(state, path)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def load_state(net: PoseNet, state: Mapping[str, Tensor], path: Path) -> None:
    """Strictly load `state`; WeightsError lists the first five tensors that are missing, extra or misshapen.

    Batch norm's step counters mean nothing in evaluation and may be absent. A network without memory
    (`empty_net`) gets it here, on the CPU.
    """
    wanted = net.state_dict()
    problems: list[str] = []
    for name, value in wanted.items():
        if name not in state:
            if not name.endswith("num_batches_tracked"):
                problems.append(f"missing {name}")
        elif state[name].shape != value.shape:
            problems.append(f"{name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}")
    problems += [f"unexpected {printable(name, 80)}" for name in state if name not in wanted]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise WeightsError(f"does not fit its network: {'; '.join(problems[:5])}{more}", path=path)
    counters = {
        name: torch.zeros(value.shape, dtype=value.dtype) for name, value in wanted.items() if name not in state
    }
    given = {**counters, **state}
    empty = any(value.is_meta for value in wanted.values())
    if empty:  # Module.to_empty would load torch's symbolic shapes, which takes a quarter of the time that torch takes
        plain = torch.contiguous_format
        given = {name: given[name].to(value.dtype, copy=True, memory_format=plain) for name, value in wanted.items()}
    net.load_state_dict(given, assign=empty)


def save_model(
    net: PoseNet,
    folder: Path,
    *,
    name: str,
    dtype: torch.dtype = torch.float32,
    joints: str = "posetrack",
    names: tuple[str, ...] = (),
    predicts: tuple[int, ...] | None = None,
    input_size: tuple[int, int] = (288, 384),
    source: str = "",
    decoding: str = "quarter",
    crop_margin: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write `folder`/model.safetensors, the architecture in its metadata; returns the file.

    dtype: how floating tensors are stored; one whose values it cannot hold stays as it is. input_size: crop of a
    network of single frames (the others know their own). joints, names, decoding, crop_margin: see ModelHeader.
    predicts: None for all channels. Raises OutputError.
    """
    config, channels = net.config, names or JOINT_SETS[joints].channels
    size = getattr(config, "input_size", input_size)
    header = {
        "format": FORMAT_VERSION,
        "kind": _kind_of(config),
        "name": name,
        "input_size": list(size),
        "predicts": list(range(len(channels)) if predicts is None else predicts),
        "joints": joints,
        "source": source,
        "decoding": decoding,
        "network": asdict(config),
    } | ({"names": list(names)} if names else {})
    if crop_margin is not None:
        header["crop_margin"] = crop_margin
    tensors = {
        k: _stored(v.detach().cpu(), dtype).contiguous()
        for k, v in net.state_dict().items()
        if not k.endswith("num_batches_tracked")
    }
    target = folder / WEIGHTS_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error
    write_atomic(target, save(tensors, metadata={METADATA_KEY: json.dumps(header)}), overwrite=overwrite)
    return target


def _kind_of(config: PoseConfig) -> str:
    return next(kind.name for kind in KINDS.values() if kind.config is type(config))


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    if not value.is_floating_point():
        return value
    small = value.to(dtype)
    return small if bool(small.isfinite().all()) else value


def checksums() -> dict[str, str]:
    """Relative file -> SHA-256 of the shipped models, from SHA256SUMS. Raises WeightsError without it."""
    path = models_dir() / CHECKSUMS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"cannot be read: {one_line(error)}", path=path, hint="reinstall dcpose") from error
    return {name.strip().lstrip("*"): digest for digest, _, name in (line.partition(" ") for line in lines if line)}


def verify(path: Path) -> str:
    """SHA-256 of a shipped model's file after comparing it with the published one.

    Raises WeightsError when they differ, UsageError for a file that is not among the shipped ones.
    """
    root = models_dir()
    try:
        relative = path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        raise UsageError("not one of the shipped models; only those have a published hash", path=path) from error
    wanted = checksums().get(relative)
    if wanted is None:
        raise UsageError("has no published hash: it is not among the shipped files", path=path)
    try:
        found = sha256_of(path)
    except InputError as error:
        raise WeightsError(error.reason, path=error.path, hint=error.hint) from error
    if wanted != found:
        raise WeightsError(f"not the published file (sha256 {found[:12]}...)", path=path, hint="reinstall dcpose")
    return found
