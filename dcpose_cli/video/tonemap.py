"""HDR video as SDR: PQ and HLG light to BT.709 display values.

Source: ITU-R BT.2100 (PQ, HLG and its system gamma), BT.2408 (reference white at 203 cd/m2), BT.709 and BT.2020
(primaries), BT.1886 (display gamma 2.4). Light up to KNEE of the reference white is kept as it is, so that the picture
is that of the SDR version; brighter light is compressed, with the hue kept, so that PEAK is white.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

#: H.273 code of a transfer function -> its name.
HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
#: Light of the reference white, and of the brightest highlights that are told apart, cd/m2.
_WHITE: Final = 203.0
_PEAK: Final = 1000.0 / _WHITE
#: Share of the reference white below which light is kept.
KNEE: Final = 0.8
_GAMMA: Final = 2.4
#: Rows worked on at a time, so that memory does not grow with the picture.
_BAND: Final = 64

_BT2020_TO_BT709: Final = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
_P3_TO_BT709: Final = np.array(
    [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]], np.float32
)
_BT2020_LUMA: Final = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
#: By the H.273 code of the primaries; HDR without one is BT.2020.
_MATRICES: Final[dict[int, NDArray[np.float32] | None]] = {1: None, 11: _P3_TO_BT709, 12: _P3_TO_BT709}


def tone_mapped(
    planes: tuple[NDArray[np.uint16], ...], transfer: int, primaries: int, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """SDR picture of an HDR one.

    planes: red, green, blue, each (H, W) uint16, full range. transfer: a key of HDR_TRANSFERS. primaries: H.273 code.
    Returns (H, W, 3) uint8 RGB, in `out` where it is given.
    """
    height, width = planes[0].shape
    out = np.empty((height, width, 3), np.uint8) if out is None else out
    matrix, table = _MATRICES.get(primaries, _BT2020_TO_BT709), _light(transfer)
    for top in range(0, height, _BAND):
        rows = slice(top, top + _BAND)
        light = cv2.merge([table[plane[rows]] for plane in planes])
        if HDR_TRANSFERS[transfer] == "HLG":
            luma = cv2.transform(light, _BT2020_LUMA)
            light *= np.float32(_PEAK) * np.power(luma, np.float32(0.2))[..., None]
        if matrix is not None:
            light = cv2.transform(light, matrix)
        out[rows] = _displayed(light)
    return out


def _displayed(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Linear light, 1 the reference white, to display values."""
    np.maximum(light, 0, out=light)
    brightest = light.max(axis=2)
    if brightest.max() > KNEE:
        light *= (_compressed(brightest) / np.maximum(brightest, 1e-6))[..., None]
    np.minimum(light, 1, out=light)
    values = cv2.pow(light, 1 / _GAMMA)
    values *= 255
    values += 0.5
    return np.asarray(values.astype(np.uint8))


def _compressed(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same up to KNEE, and from there a curve that is 1 at _PEAK."""
    above = np.maximum(light - KNEE, 0) / (1 - KNEE)
    most = (_PEAK - KNEE) / (1 - KNEE)
    curve = KNEE + (1 - KNEE) * above / (above + 1) * (most + 1) / most
    return np.where(light > KNEE, curve, light).astype(np.float32)


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """(65536,) linear light of every value: of the display over the reference white (PQ), of the scene (HLG)."""
    signal = np.arange(65536) / 65535
    if HDR_TRANSFERS[transfer] == "PQ":
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = signal ** (1 / m2)
        light = 10_000 / _WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light.astype(np.float32)
