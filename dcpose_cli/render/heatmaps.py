"""What DCPose sees for one person and joint: the heatmaps of three frames, the merged and the final one, side by side.

The five pictures of the paper's first figures, for every frame of a result in which the person is: the heatmaps of
the previous, the current and the next frame, the merged one (PTM) and the final one after the pose correction.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dcpose_cli._opencv import cv2

from .._cores import cores_for, on_one_core
from ..config import Selection
from ..errors import UsageError
from ..estimator import PoseEstimator
from ..nets import DCPose
from ..outputs import require_video
from ..pose.crop import sample_crops
from ..pose.heatmaps import DECODERS, Decoder
from ..results.identities import require_distinct_ids
from ..results.posetrack import PoseTrackResult, read_posetrack
from ..results.selected import selected
from ..skeleton import JOINT_NAMES
from ..types import Frame, Person, Report, Window
from ..window import mark_cuts, windows
from .panels import beside_each_other
from .people import OUTLINE
from .redraw import (
    RenderConfig,
    RenderSummary,
    differences,
    open_again,
    write_video,
)

#: Height of each panel, pixels.
PANEL_HEIGHT: Final = 384
_NAMES: Final = ("previous", "current", "next", "merged (PTM)", "final")
#: How much of the picture stays visible under the strongest heat.
_OPACITY: Final = 0.75

Image = NDArray[np.uint8]


def render_heatmaps(
    video: Path,
    result: Path,
    out: Path,
    *,
    track: int,
    joint: str,
    estimator: PoseEstimator,
    config: RenderConfig | None = None,
    progress: Report | None = None,
) -> RenderSummary:
    """A video of the five heatmaps of one person's joint; boxes come from the result, the network runs.

    joint: a name of skeleton.JOINT_NAMES. estimator: with a DCPose model; its window interval is taken from the result.
    Raises UsageError, InputError or OutputError; then no output is left.
    """
    settings = config or RenderConfig()
    started = time.monotonic()
    require_video(out, [video, result], overwrite=settings.overwrite)
    slot = joint_slot(joint)
    found = read_posetrack(result)
    person = {f.index: p for f in found.frames for p in f.people if p.track_id == track}
    if not person:
        known = sorted({p.track_id for f in found.frames for p in f.people})
        raise UsageError(f"no track {track}", path=result, hint=f"there are {', '.join(map(str, known)) or 'none'}")
    require_distinct_ids(selected(found, Selection(tracks=(track,))))
    maker = HeatmapPanels(estimator, slot)
    with open_again(video, found) as reader:
        warnings = [*differences(video, reader.info, found)]
        aspect = float(reader.info.sample_aspect_ratio)

        def pictures(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Image]]:
            for window in windows(mark_cuts(frames), _interval(found)):
                yield window.current, maker(window, person.get(window.current.index), aspect)

        frames, said = write_video(reader, found, out, pictures, settings, progress=progress)
    return RenderSummary(out, frames, time.monotonic() - started, (*warnings, *said))


def joint_slot(name: str) -> int:
    """The slot of a joint's name. Raises UsageError."""
    if name not in JOINT_NAMES:
        raise UsageError(f"unknown joint {name!r}", hint=f"use one of {', '.join(JOINT_NAMES)}")
    return JOINT_NAMES.index(name)


def _interval(result: PoseTrackResult) -> int:
    settings = result.header.get("settings")
    interval = settings.get("interval") if isinstance(settings, dict) else None
    return interval if type(interval) is int and 1 <= interval <= 1000 else 1


class HeatmapPanels:
    """Pictures of one joint's heatmaps. Raises UsageError for a model that is not a DCPose."""

    def __init__(self, estimator: PoseEstimator, slot: int) -> None:
        net = estimator.network.model.net
        if not isinstance(net, DCPose):
            raise UsageError(
                f"the model {estimator.network.model.header.name} is no DCPose and has no merged heatmaps",
                hint="choose another with --model",
            )
        self._net, self._slot = net, slot
        self._device, self._shape = estimator.device, estimator.network.shape
        self._decoder = DECODERS[estimator.network.model.header.decoding]

    def __call__(self, window: Window, person: Person | None, pixel_aspect: float = 1.0) -> Image:
        """(PANEL_HEIGHT, 5 panels, 3) uint8 RGB; black where the person is not in the frame."""
        width, height = self._shape.size
        shape = (round(PANEL_HEIGHT * width / height), PANEL_HEIGHT)
        if person is None:
            return beside_each_other([np.zeros((*shape[::-1], 3), np.uint8)] * len(_NAMES), _NAMES)
        crops, heat = on_one_core(lambda: self._maps(window, person, pixel_aspect), cores_for(self._device))
        views = [crops[1], crops[0], crops[2], crops[0], crops[0]]
        panels = [_panel(view, one, shape, self._decoder) for view, one in zip(views, heat, strict=True)]
        return beside_each_other(panels, [f"{name} {one.max():.2f}" for name, one in zip(_NAMES, heat, strict=True)])

    @torch.inference_mode()
    def _maps(
        self, window: Window, person: Person, pixel_aspect: float
    ) -> tuple[list[Image], list[NDArray[np.float32]]]:
        """Crops of current, previous, next as pictures; heatmaps of previous, current, next, merged, final."""
        images = [frame.image for frame in (window.current, window.previous, window.next)]
        box = person.bbox[None] * np.array([pixel_aspect, 1, pixel_aspect, 1], np.float32)
        size = self._shape.sizes(box, box)
        width, height = size[0].tolist()
        affine = self._shape.affines(box, size, pixel_aspect, udp=self._decoder.udp)
        whole = self._shape.affines(box, np.array([self._shape.size]), pixel_aspect, udp=self._decoder.udp)
        frames = torch.from_numpy(np.stack(images)).to(self._device)
        crops = sample_crops(frames, torch.arange(3), np.concatenate([affine] * 3), (width, height))
        current, previous, following = self._net.backbone(crops.contiguous(memory_format=torch.channels_last)).split(1)
        maps = self._net.head(current, previous, following, torch.tensor([window.margin]))
        order = (maps.previous, maps.current, maps.next, maps.merged, maps.final)
        x, y = (self._shape.offset(size[0]) * current.shape[3] / width).astype(int).tolist()
        heat = [F.pad(one[0, self._slot].float(), (x, x, y, y)).cpu().numpy() for one in order]
        return [cv2.warpAffine(image, whole[0], self._shape.size) for image in images], heat


def _panel(view: Image, heat: NDArray[np.float32], shape: tuple[int, int], decoder: Decoder) -> Image:
    """The crop with its heatmap over it, and a ring around the heatmap's peak. shape: width, height."""
    less = 1 if decoder.udp else 0
    width, height = view.shape[1], view.shape[0]
    stride = (width - less) / (heat.shape[1] - less), (height - less) / (heat.shape[0] - less)
    whole = cv2.warpAffine(heat, np.diag([*stride, 1.0])[:2], (width, height), flags=cv2.INTER_LINEAR)
    warm = np.clip(cv2.resize(whole, shape, interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = cv2.cvtColor(
        cv2.applyColorMap(np.rint(warm * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    share = (_OPACITY * np.sqrt(warm))[..., None]
    picture = cv2.resize(view, shape, interpolation=cv2.INTER_LINEAR) * 0.8
    out = np.ascontiguousarray(np.rint(picture * (1 - share) + colours * share).astype(np.uint8))
    x, y, value = decoder(torch.from_numpy(heat)[None, None])[0, 0].tolist()
    if value > 0:
        place = (round(x * stride[0] * shape[0] / width), round(y * stride[1] * shape[1] / height))
        cv2.circle(out, place, 7, OUTLINE, 4, cv2.LINE_AA)
        cv2.circle(out, place, 7, (255, 255, 255), 2, cv2.LINE_AA)
    return out
