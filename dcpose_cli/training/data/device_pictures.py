"""A data set decoded in the memory of a device, and crops cut out of it there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pose.crop import invert_affine
from .augment import Rectangle
from .pack import PoseSample

#: Pictures are copied to the device in pieces of so many bytes.
_PIECE = 1 << 26


class DevicePictures:
    """All pictures of samples, one after another, as bytes on a device. Equal arrays are stored once."""

    def __init__(self, samples: Sequence[PoseSample], device: torch.device) -> None:
        pictures: dict[int, NDArray[np.uint8]] = {}
        for sample in samples:
            for picture in sample.pictures:
                pictures.setdefault(id(picture), picture)
        places = {key: place for place, key in enumerate(pictures)}
        shapes = np.array([p.shape[:2] for p in pictures.values()], np.int64).reshape(-1, 2)
        starts = np.concatenate([[0], np.cumsum(3 * shapes.prod(axis=1))])
        #: Of sample k: the numbers of its pictures.
        self.of_sample = [tuple(places[id(p)] for p in sample.pictures) for sample in samples]
        self.device = device
        self._height = torch.from_numpy(shapes[:, 0]).to(device)
        self._width = torch.from_numpy(shapes[:, 1]).to(device)
        self._start = torch.from_numpy(starts[:-1]).to(device)
        self._bytes = torch.empty(int(starts[-1]), dtype=torch.uint8, device=device)
        self._fill(list(pictures.values()), starts)

    def _fill(self, pictures: list[NDArray[np.uint8]], starts: NDArray[np.int64]) -> None:
        first = 0
        while first < len(pictures):
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + _PIECE, side="right")) - 1)
            piece = np.concatenate([p.reshape(-1) for p in pictures[first:last]])
            self._bytes[int(starts[first]) : int(starts[last])] = torch.from_numpy(piece).to(self.device)
            first = last

    def cut(
        self,
        numbers: Sequence[int],
        matrices: NDArray[np.float64],
        size: tuple[int, int],
        seen: Sequence[Rectangle | None] = (),
    ) -> Tensor:
        """Crops (N, h, w, 3) float32 in 0..255: bilinear, black outside.

        numbers: of the pictures, one per crop. matrices: (N, 2, 3) from picture to crop pixels. size: width, height.
        seen: the part of each picture that is not black, None for all of it.
        """
        w, h = size
        which = torch.tensor(numbers, dtype=torch.int64, device=self.device)
        inverse = torch.from_numpy(invert_affine(matrices)).to(self.device, torch.float32)
        xs = torch.arange(w, dtype=torch.float32, device=self.device)
        ys = torch.arange(h, dtype=torch.float32, device=self.device)[:, None]
        row = inverse[:, :, :, None, None]
        px = row[:, 0, 0] * xs + row[:, 0, 1] * ys + row[:, 0, 2]
        py = row[:, 1, 0] * xs + row[:, 1, 1] * ys + row[:, 1, 2]
        x0, y0 = px.floor(), py.floor()
        fx, fy = px - x0, py - y0
        x0, y0 = x0.long(), y0.long()
        width, height, start = (t[which][:, None, None] for t in (self._width, self._height, self._start))
        low_x, low_y = torch.zeros_like(width), torch.zeros_like(height)
        high_x, high_y = width, height
        if any(rectangle is not None for rectangle in seen):
            whole = torch.stack([low_x, low_y, width, height]).view(4, -1).T.tolist()
            edges = [list(s) if s is not None else w for s, w in zip(seen, whole, strict=True)]
            low_x, low_y, high_x, high_y = torch.tensor(edges, device=self.device).T[..., None, None]
        out = torch.zeros(len(which), h, w, 3, device=self.device)
        channel = torch.arange(3, device=self.device)
        for dy, wy in ((0, 1 - fy), (1, fy)):
            for dx, wx in ((0, 1 - fx), (1, fx)):
                x, y = x0 + dx, y0 + dy
                inside = (x >= low_x) & (x < high_x) & (y >= low_y) & (y < high_y)
                at = start + 3 * (torch.minimum(y.clamp(min=0), height - 1) * width
                                  + torch.minimum(x.clamp(min=0), width - 1))  # fmt: skip
                values = self._bytes[at[..., None] + channel]
                out += values * (wx * wy * inside)[..., None]
        return out
