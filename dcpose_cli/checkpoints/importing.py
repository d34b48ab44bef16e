"""Import of foreign checkpoints: official DCPose and DSTA, the published HRNets, SimpleBaselines and PoseWarpers.

Pickles are read with torch's weights-only loader, which builds tensors and plain containers and nothing else; a file
that wants to run code is refused.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from .._pickles import require_finite, require_honest, require_unpacked
from .._text import one_line
from ..errors import InputError, OutputError, UsageError, WeightsError
from ..files import require_free_target, require_not_input
from ..nets import (
    DSTA,
    DCPose,
    DCPoseConfig,
    HRNet,
    HRNetConfig,
    PoseWarper,
    PoseWarperConfig,
    SimpleBaseline,
    SimpleBaselineConfig,
)
from ..nets.limits import MAX_CROP_SIDE, require_buildable, require_parameters
from ..nets.official import from_official, is_official
from ..nets.official_dsta import from_official_dsta, infer_dsta, is_official_dsta
from ..nets.openmmlab import from_openmmlab_posewarper, is_openmmlab_posewarper, strip_openmmlab
from ..pose.model import PoseConfig, PoseNet
from ..skeleton import NUM_JOINTS
from ..skeleton.sets import JOINT_SETS, NAMED, named_channels, sets_with
from .clues import Clues, clues_of
from .files import WEIGHTS_NAME, empty_net, load_state, save_model
from .headers import METADATA_KEY
from .heads import with_head
from .strangers import NOT_JOINTS, data_with_outputs, kind_of_stranger

#: Where a container keeps its tensors, in the order they are looked for.
_CONTAINERS = ("state_dict", "model_state_dict", "model")


def import_checkpoint(
    file: Path,
    out: Path,
    *,
    name: str | None = None,
    joints: str | None = None,
    input_size: tuple[int, int] | None = None,
    decoding: str | None = None,
    source: str | None = None,
    head: Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Convert a checkpoint into a model folder, kept in float32; returns the weights file.

    Recognised by names and shapes: official DCPose (SPEC 3.1) and DSTA, OpenMMLab's top-down HRNets and SimpleBaselines
    (`backbone.`, `keypoint_head.` or `head.`), the same with bare names, and OpenMMLab's PoseWarper (`neck.`). What
    these do not settle is taken from the configuration in the container and from the name of the file, see `clues`.
    joints: meaning of the channels, a joint set (skeleton.sets.JOINT_SETS), or the names of all channels, separated by
    commas. input_size: crop width and height. decoding: see heatmaps.DECODERS. source: what the header says of the
    origin. All four override what is found. head: the file of a head that makes a DCPose of a network of single frames
    (heads.py).
    Raises InputError (no such file), WeightsError (unsafe, damaged or unknown), UsageError (the crop or the joints are
    not known), OutputError.
    """
    try:
        there = file.is_file()
    except OSError:  # a name no file system takes, a folder we may not enter
        there = False
    if not there:
        folder = os.path.isdir(file)  # noqa: PTH112 - Path's raises for a name too long
        what = "this is a folder, not a checkpoint" if folder else "there is no such file"
        raise InputError(what, path=file, hint="name a .pth or .safetensors file")
    if out.exists() and not out.is_dir():
        raise OutputError("this is a file", path=out, hint="name a folder with --out")
    require_not_input(out / WEIGHTS_NAME, [file])
    require_free_target(out / WEIGHTS_NAME, overwrite=overwrite)
    state, meta = _opened(file)
    require_finite(state, file)
    net, order, found = _network_of(state, file)
    said = _clues(file, meta, Clues(input_size, joints, decoding), order)
    order, names = _joints(joints or order, said, _outputs(net), file)
    size = input_size or said.input_size or _own_size(net)
    if size is None:
        size = _ask("its crop size", file, "--input-size 192x256, 288x384 or what it was trained with")
    _set_size(net, size, file)
    predicts = None if names else JOINT_SETS[order].predicted
    whole = net if head is None else with_head(net, head, size)
    return save_model(
        whole, out, name=name or out.name, joints=order, names=names, predicts=predicts, input_size=size,
        source=source or found, decoding=decoding or said.decoding or "quarter", overwrite=overwrite,
    )  # fmt: skip


def _clues(file: Path, meta: Any, given: Clues, order: str | None) -> Clues:
    """What file and container say of what is not given. order: of the joints, where the layout settles it."""
    try:
        said = clues_of(file.name, meta)
    except ValueError as error:
        if given.input_size is None:
            raise UsageError(str(error), path=file, hint="say which with --input-size") from error
        said = Clues(decoding=clues_of("", meta).decoding, joints=clues_of("", meta).joints)
    if said.other_data and not (given.joints or order):
        raise WeightsError(f"of the data set {said.other_data}, whose joints are not supported", path=file)
    return said


def _outputs(net: PoseNet) -> int:
    """Number of joints that a network predicts."""
    return net.config.joints if isinstance(net, HRNet | SimpleBaseline) else NUM_JOINTS


def _joints(asked: str | None, said: Clues, count: int, file: Path) -> tuple[str, tuple[str, ...]]:
    """ModelHeader.joints and names of a network with so many outputs. asked: a joint set, or names. Raises UsageError.

    Without `asked` it is the only set of that size, or the one of them that the checkpoint speaks of.
    """
    if asked is not None and asked not in JOINT_SETS:
        return _named(asked, count, file)
    fitting = [one.name for one in sets_with(count)]
    if asked is not None and asked not in fitting:
        has = len(JOINT_SETS[asked].channels)
        raise UsageError(f"predicts {count} joints, {asked} has {has}", path=file, hint="use another --joints")
    if not fitting:
        what = f"predicts {count} joints{data_with_outputs(count)}"
        if count in NOT_JOINTS:
            raise WeightsError(f"{what}, which is not supported", path=file)
        raise UsageError(f"{what}, whose names are not known", path=file, hint="name all with --joints nose,neck,...")
    if asked is None and len(fitting) > 1 and said.joints not in fitting:
        _ask("the order of its joints", file, f"--joints {' or '.join(sorted(fitting))}")
    return asked or (fitting[0] if len(fitting) == 1 else str(said.joints)), ()


def _named(asked: str, count: int, file: Path) -> tuple[str, tuple[str, ...]]:
    """The same for the names of all channels, separated by commas. Raises UsageError."""
    if "," not in asked and count != 1:
        known = ", ".join(JOINT_SETS)
        raise UsageError(
            f"--joints must be one of {known}, or the names of all joints, separated by commas, got {asked!r:.60}"
        )
    try:
        names = named_channels(asked.split(","))
    except ValueError as error:
        raise UsageError(f"--joints: {error}") from error
    if len(names) != count:
        raise UsageError(f"predicts {count} joints, --joints names {len(names)}", path=file)
    return NAMED, names


def _ask(what: str, file: Path, option: str) -> Any:
    raise UsageError(f"neither its configuration nor its name says {what}", path=file, hint=f"say {option}")


def _own_size(net: PoseNet) -> tuple[int, int] | None:
    """The crop of networks that were published with one only, and of those whose weights fit no other."""
    size: tuple[int, int] | None = net.config.input_size if isinstance(net, (DCPose, DSTA)) else None
    return size


def _set_size(net: PoseNet, size: tuple[int, int], file: Path) -> None:
    """Note the crop in networks that know their own."""
    if isinstance(net, DSTA) and size != net.config.input_size:
        width, height = net.config.input_size
        raise UsageError(f"its weights fit crops of {width}x{height} only", path=file, hint="leave --input-size out")
    if any(side % 16 or not 16 <= side <= MAX_CROP_SIDE for side in size):
        raise UsageError(f"a crop of {size[0]}x{size[1]} cannot be: sides are multiples of 16", path=file)
    if isinstance(net, (DCPose, PoseWarper)):
        net.config = replace(net.config, input_size=size)
    try:
        require_buildable(net.config, crop=size)
        require_parameters(net, net.config, size)
    except ValueError as error:
        raise UsageError(f"a crop of {size[0]}x{size[1]} cannot be: {error}", path=file) from error


def _opened(file: Path) -> tuple[dict[str, Tensor], Any]:
    """Tensors of a checkpoint and the `meta` of its container (None without)."""
    if file.suffix == ".safetensors":
        return read_checkpoint(file), None
    data = load_pickle(file)
    meta = data.get("meta") if isinstance(data, Mapping) else None
    return _tensors_of(data, file), meta


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """Tensors of a .pth or .safetensors file, without the container and without `module.` in the names."""
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, framework="pt") as opened:
                ours = METADATA_KEY in (opened.metadata() or {})
            if ours:
                raise WeightsError(
                    "this is a dcpose model already", path=file, hint="use it with --model or --detector"
                )
            return _without_wrapper(load_file(file))
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"damaged or not a safetensors file: {one_line(error)}", path=file) from error
    return _tensors_of(load_pickle(file), file)


def _tensors_of(data: Any, file: Path) -> dict[str, Tensor]:
    """The tensors in what a pickle held."""
    if isinstance(data, Mapping):
        for key in _CONTAINERS:
            if isinstance(data.get(key), Mapping):
                data = data[key]
                break
    if not isinstance(data, Mapping):
        raise WeightsError("holds no state dict", path=file)
    state = _without_wrapper({str(k): v for k, v in data.items() if isinstance(v, Tensor)})
    if not state:
        raise WeightsError("holds no tensors", path=file)
    require_honest(state, file)
    return state


def _without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as the network has them: torch's DataParallel adds a level `module` where it wraps a network or a part."""
    return {".".join(part for part in name.split(".") if part != "module"): value for name, value in state.items()}


def load_pickle(file: Path) -> Any:
    """torch.load in weights-only mode, tensors on the CPU. Raises WeightsError for anything unsafe or damaged.

    Besides tensors and plain containers, numpy's numbers and numeric arrays are read: training tools leave them in.
    """
    require_unpacked(file)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
            warnings.simplefilter("ignore")  # old files: notes about storage types that do not concern the user
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL |but got <class ')([\w.]+)", str(error))
        if wanted:
            raise WeightsError(
                f"was refused: to load it, {wanted[1]} would have to run",
                path=file,
                hint="save only the state_dict (tensors and their names) in a new file",
            ) from error
        raise WeightsError("damaged, or no checkpoint of torch", path=file, hint="fetch it again") from error
    except Exception as error:  # torch's readers raise whatever a broken file makes them meet
        raise WeightsError(
            f"damaged, or no checkpoint of torch ({type(error).__name__})", path=file, hint="fetch it again"
        ) from error


def _numpy_globals() -> list[Any]:
    """Callables in pickles of numpy scalars and numeric arrays, by their names in numpy 1 and 2."""
    calls: dict[str, Any] = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
    homes = ("numpy.core.multiarray", "numpy._core.multiarray")
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    return [np.ndarray, np.dtype, *kinds, *((call, f"{home}.{name}") for home in homes for name, call in calls.items())]


def recognise(state: Mapping[str, Tensor], file: Path) -> tuple[PoseNet, str, str]:
    """The network of a state dict with its weights loaded, its joint order, and what the checkpoint is called.

    The order of a network of single frames is not known from its tensors: "coco" stands for it.
    """
    net, order, source = _network_of(state, file)
    return net, order or "coco", source


def _network_of(state: Mapping[str, Tensor], file: Path) -> tuple[PoseNet, str | None, str]:
    """As `recognise`; the joint order is None where the layout does not settle it."""
    if is_official(state):
        return _loaded(infer_dcpose(state, file), from_official(state), file), "posetrack", "official DCPose checkpoint"
    if is_official_dsta(state):
        try:
            config = infer_dsta(state)
        except ValueError as error:
            raise WeightsError(f"does not fit DSTA: {error}", path=file) from error
        return _loaded(config, from_official_dsta(state), file), "posetrack", "official DSTA checkpoint"
    if is_openmmlab_posewarper(state):
        renamed = from_openmmlab_posewarper(state)
        return _loaded(infer_posewarper(renamed, file), renamed, file), "posetrack", "PoseWarper checkpoint"
    backbone = strip_openmmlab(state)
    if "deconv_layers.0.weight" in backbone and any(k.startswith("layer4.") for k in backbone):
        return _loaded(infer_simplebaseline(backbone, file), backbone, file), None, "SimpleBaseline checkpoint"
    if not any(k.startswith("stage4.") for k in backbone):
        what = kind_of_stranger(state)
        raise WeightsError(
            f"not a checkpoint we know{': it looks like ' if what else ''}{what}", path=file,
            hint="official DCPose and DSTA, OpenMMLab's or plain HRNet, SimpleBaseline and PoseWarper can be imported",
        )  # fmt: skip
    return _loaded(infer_hrnet(backbone, file), backbone, file), None, "HRNet checkpoint"


def _loaded(config: PoseConfig, state: Mapping[str, Tensor], file: Path) -> PoseNet:
    net = empty_net(config, file)
    load_state(net, state, file)
    return net.eval()


def infer_dcpose(state: Mapping[str, Tensor], file: Path) -> DCPoseConfig:
    """Architecture of an official checkpoint, read off its shapes; the dilations are the published ones."""
    backbone = _infer_backbone(state, "rough_pose_estimation_net.", file)

    def blocks(chain: str) -> int:
        return len({k.split(".")[2] for k in state if k.startswith(f"{chain}.layers.")})

    offsets = state.get("offsets_list.0.0.weight")
    if offsets is None or offsets.ndim != 4:
        raise WeightsError("does not fit DCPose: offsets_list.0.0.weight is missing or misshapen", path=file)
    count = len({k.split(".")[1] for k in state if k.startswith("offsets_list.")})
    return DCPoseConfig(
        backbone=backbone,
        prf_blocks=blocks("diff_temporal_fuse"),
        ptm_blocks=blocks("support_temporal_fuse"),
        combine_blocks=blocks("offset_mask_combine_conv"),
        combine_width=int(offsets.shape[1]),
        dilations=tuple(3 * (k + 1) for k in range(count)),
    )


def infer_posewarper(state: Mapping[str, Tensor], file: Path) -> PoseWarperConfig:
    """Architecture of a PoseWarper under our names, read off its shapes; dilations and weights as published."""
    backbone = _infer_backbone(state, "backbone.", file)
    first = state.get("features.0.conv1.weight")
    blocks = len({k.split(".")[1] for k in state if k.startswith("features.")})
    warps = len({k.split(".")[1] for k in state if k.startswith("warps.")})
    dilations = PoseWarperConfig().dilations
    if first is None or first.ndim != 4 or warps != len(dilations):
        raise WeightsError(f"not a PoseWarper with {len(dilations)} deformable convolutions", path=file)
    return PoseWarperConfig(backbone=backbone, blocks=blocks, width=int(first.shape[0]))


#: Blocks of the four layers -> depth of the ResNet, with bottlenecks or without.
_RESNETS: Final[dict[tuple[bool, tuple[int, ...]], int]] = {
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
}


def infer_simplebaseline(state: Mapping[str, Tensor], file: Path) -> SimpleBaselineConfig:
    """Architecture of a SimpleBaseline, read off its names and shapes. Raises WeightsError when they make none."""
    blocks = tuple(len({k.split(".")[1] for k in state if k.startswith(f"layer{n}.")}) for n in (1, 2, 3, 4))
    depth = _RESNETS.get(("layer1.0.conv3.weight" in state, blocks))
    final, width = state.get("final_layer.weight"), state["deconv_layers.0.weight"]
    if depth is None or final is None or final.ndim != 4 or width.ndim != 4:
        raise WeightsError("not a SimpleBaseline we know (ResNet, transposed convolutions, heatmaps)", path=file)
    return SimpleBaselineConfig(depth=depth, width=int(width.shape[1]), joints=len(final))


def infer_hrnet(state: Mapping[str, Tensor], file: Path) -> HRNetConfig:
    """Architecture of an HRNet, read off its names and shapes. Raises WeightsError when they make none."""

    def count(pattern: str) -> int:
        found = [m[1] for k in state if (m := re.match(pattern, k))]
        return max((int(n) for n in found), default=-1) + 1

    try:
        config = HRNetConfig(
            width=int(state["transition1.0.0.weight"].shape[0]),
            stem=int(state["conv1.weight"].shape[0]),
            layer1_width=int(state["layer1.0.conv1.weight"].shape[0]),
            layer1_blocks=count(r"layer1\.(\d{1,6})\."),
            modules=(count(r"stage2\.(\d{1,6})\."), count(r"stage3\.(\d{1,6})\."), count(r"stage4\.(\d{1,6})\.")),
            blocks=(
                count(r"stage2\.0\.branches\.0\.(\d{1,6})\."),
                count(r"stage3\.0\.branches\.0\.(\d{1,6})\."),
                count(r"stage4\.0\.branches\.0\.(\d{1,6})\."),
            ),
            joints=int(state["final_layer.weight"].shape[0]),
        )
    except KeyError as error:
        raise WeightsError(f"not an HRNet with a heatmap layer: missing {error.args[0]}", path=file) from error
    except IndexError as error:
        raise WeightsError("not an HRNet: a weight has no dimensions", path=file) from error
    return config


def _infer_backbone(state: Mapping[str, Tensor], prefix: str, file: Path) -> HRNetConfig:
    """The HRNet in a network of several frames, which has the 17 slots. Raises WeightsError."""
    config = infer_hrnet({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, file)
    if config.joints != NUM_JOINTS:
        what = data_with_outputs(config.joints)
        raise WeightsError(f"predicts {config.joints} joints, {NUM_JOINTS} are needed{what}", path=file)
    return config
