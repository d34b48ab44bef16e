"""Networks that make heatmaps: every kind with heatmaps that dcpose loads, and ncnn files with COCO's joints.

    NAME            a model of dcpose, shipped, fetched or a folder; of networks with several frames the one inside
    NAME@192x256    the same on crops of that size
    ncnn:FOLDER     the one network in a folder, NAME_256x192.param (height, width) and .bin; needs `pip install ncnn`

All see the same crops, resized to what they take, and their maps are brought to one size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.files import sha256_of
from dcpose_cli.pose.crop import normalise
from dcpose_cli.pose.heatmaps import DECODERS
from dcpose_cli.skeleton import JOINT_NAMES, NUM_JOINTS
from dcpose_cli.skeleton.sets import COCO_NAMES

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """name: as given. sha256: of its weights. size: width and height of its crops. udp: see heatmaps.Decoder.

    run: crops (N, h, w, 3) uint8 RGB of that size -> maps (N, 17, h', w') by slot, zero where it has no such joint.
    has: (17,) which slots it knows.
    """

    name: str
    sha256: str
    size: tuple[int, int]
    run: Callable[[Images], Tensor]
    has: NDArray[np.bool_]
    udp: bool = False

    def maps(self, crops: Images, size: tuple[int, int]) -> Tensor:
        """Heatmaps (N, 17, h, w) float32 of crops (N, H, W, 3) of any size. size: width and height of the maps."""
        return resampled(self.run(resized(crops, self.size, udp=self.udp)), size, udp=self.udp)


def resized(crops: Images, size: tuple[int, int], *, udp: bool = False) -> Images:
    """The same crops at another size; pixel 0 stays where it is, as everywhere in dcpose."""
    height, width = crops.shape[1:3]
    if (width, height) == size and not udp:
        return crops
    less = 1 if udp else 0
    matrix = np.array([[(size[0] - less) / width, 0, 0], [0, (size[1] - less) / height, 0]])
    out = [
        cv2.warpAffine(crop, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for crop in crops
    ]
    return np.asarray(np.stack(out), np.uint8)


def resampled(maps: Tensor, size: tuple[int, int], *, udp: bool = False) -> Tensor:
    """Maps (N, J, h, w) -> (N, J, size[1], size[0]) by linear interpolation; pixel 0 lies on pixel 0.

    udp: the last pixel of `maps` lies on the last of its crop.
    """
    height, width = maps.shape[2:]
    if (width, height) == size and not udp:
        return maps.float()
    less = 1 if udp else 0
    return _rows(height, size[1], less, maps.device) @ maps.float() @ _rows(width, size[0], less, maps.device).T


def _rows(count: int, wanted: int, less: int, device: torch.device) -> Tensor:
    """(wanted, count): how much of every old pixel is in each new one."""
    at = (torch.arange(wanted, device=device) * ((count - less) / wanted)).clamp(max=count - 1)
    return (1 - (at[:, None] - torch.arange(count, device=device)).abs()).clamp(min=0)


def families(groups: Sequence[str], device: torch.device) -> dict[str, list[Source]]:
    """Sources that are left out together, by the name of the first: "a,b" "c" -> {"a": [a, b], "c": [c]}."""
    return {names[0]: [open_source(name, device) for name in names] for names in (g.split(",") for g in groups)}


def open_source(spec: str, device: torch.device) -> Source:
    """The source that `spec` names."""
    if spec.startswith("ncnn:"):
        return _ncnn(spec, Path(spec.removeprefix("ncnn:")))
    name, _, size = spec.partition("@")
    return _model(spec, name, size, device)


def _model(spec: str, name: str, size: str, device: torch.device) -> Source:
    model = open_model(name, device)
    if model.header.kind == "dsta":
        raise SystemExit(f"{name} makes no heatmaps")
    if model.header.kind in ("dcpose", "posewarper"):
        model = open_model(f"{name}:single", device)
    header = model.header
    net = model.net.to(memory_format=torch.channels_last)
    channels = {
        channel: JOINT_NAMES.index(n) for channel in header.predicts if (n := header.channels[channel]) in JOINT_NAMES
    }
    wanted = header.input_size if not size else (int(size.split("x")[0]), int(size.split("x")[1]))

    @torch.no_grad()
    def run(crops: Images) -> Tensor:
        x = normalise(torch.from_numpy(crops).to(device)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            return by_slot(net(x).float(), channels)

    return Source(spec, model.sha256, wanted, run, _known(channels), DECODERS[header.decoding].udp)


def _ncnn(spec: str, folder: Path) -> Source:
    try:
        import ncnn
    except ImportError:
        raise SystemExit(f"{spec} needs the package ncnn: pip install ncnn") from None
    (path,) = folder.glob("*.param")
    shape = re.search(r"_(\d+)x(\d+)$", path.stem)
    if shape is None:
        raise SystemExit(f"the name of {path.name} does not end with the height and width of its crops, as in _256x192")
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))
    channels = {channel: JOINT_NAMES.index(name) for channel, name in enumerate(COCO_NAMES) if name in JOINT_NAMES}

    def run(crops: Images) -> Tensor:
        found = []
        for crop in normalise(torch.from_numpy(crops)).contiguous().numpy():
            extractor = net.create_extractor()
            extractor.input(net.input_names()[0], ncnn.Mat(crop).clone())  # Mat does not keep its array alive
            found.append(np.array(extractor.extract(net.output_names()[0])[1]))
        return by_slot(torch.from_numpy(np.stack(found)).float(), channels)

    height, width = (int(side) for side in shape.groups())
    return Source(spec, sha256_of(path.with_suffix(".bin")), (width, height), run, _known(channels))


def by_slot(maps: Tensor, channels: dict[int, int]) -> Tensor:
    """Maps (N, C, h, w) by channel -> (N, 17, h, w) by slot. channels: slot of every channel that has one."""
    out = maps.new_zeros(len(maps), NUM_JOINTS, *maps.shape[2:])
    out[:, list(channels.values())] = maps[:, list(channels)]
    return out


def _known(channels: dict[int, int]) -> NDArray[np.bool_]:
    has = np.zeros(NUM_JOINTS, bool)
    has[list(channels.values())] = True
    return has
