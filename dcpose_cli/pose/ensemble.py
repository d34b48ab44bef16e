"""Several pose models as one: the joints of each, averaged by their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import UsageError
from ..pixels import Image, Pixels
from .model import LoadedModel
from .network import PoseNetwork

#: Places of one joint are averaged when they lie within this share of the box's longer side of the surest one; models
#: that disagree, on left and right say, would meet in the middle, where nothing is.
AGREEING: Final = 0.1


class PoseEnsemble(PoseNetwork):
    """Several models at work on the same people. models: of equal joints, the first one names the ensemble's header.

    Every model has its own crops, decoding and frames; the cost is the sum of theirs. Other arguments and errors are
    those of PoseNetwork; UsageError for models of different joints.
    """

    def __init__(self, models: Sequence[LoadedModel], *, device: torch.device, **options: Any) -> None:
        super().__init__(models[0], device=device, **options)
        for model in models[1:]:
            first = models[0].header
            if (model.header.joints, model.header.result_joints) != (first.joints, first.result_joints):
                raise UsageError(
                    f"the models {models[0].header.name} and {model.header.name} have different joints",
                    hint="leave one out of --ensemble",
                )
        self.others = [PoseNetwork(model, device=device, **options) for model in models[1:]]
        self.reach = max(network.reach for network in (self, *self.others))

    def poses(
        self,
        frames: Sequence[Image | Pixels],
        windows: NDArray[np.int64],
        boxes: NDArray[np.float32],
        *more: Any,
        **options: Any,
    ) -> NDArray[np.float32]:
        """As in PoseNetwork."""
        found = [super().poses(frames, windows, boxes, *more, **options)]
        found += [network.poses(frames, windows, boxes, *more, **options) for network in self.others]
        return combined(np.stack(found), boxes)


def combined(found: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The joints of several models, (M, N, J, 3), as one (N, J, 3); boxes: (N, 4) xywh.

    The surest place of a joint, and the places near it, averaged by their scores. The score is the mean of all models
    that predict the joint; (0, 0, 0) where none does.
    """
    scores = np.clip(found[..., 2], 0, None)
    surest = np.take_along_axis(found, found[..., 2].argmax(axis=0)[None, ..., None], axis=0)
    apart = np.linalg.norm(found[..., :2] - surest[..., :2], axis=3)
    near = (apart <= AGREEING * boxes[:, 2:].max(axis=1, initial=0)[:, None]) & found.any(axis=3)
    weights = np.where(near, np.maximum(scores, 1e-6), 0)
    total = weights.sum(axis=0)
    out = np.zeros(found.shape[1:], np.float32)
    some = total > 0
    out[some, :2] = ((weights[..., None] * found[..., :2]).sum(axis=0)[some] / total[some, None]).astype(np.float32)
    known = found.any(axis=3)
    out[..., 2] = found[..., 2].sum(axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
    return out
