"""The one door to OpenCV, whose import adds to LD_LIBRARY_PATH.

An empty part of that variable, which OpenCV leaves at its end, stands for the working folder: child processes, of other
libraries too, would load libraries that lie there beside somebody's videos.
"""

from __future__ import annotations

import os
from typing import Final

_VARIABLE: Final = "LD_LIBRARY_PATH"

_before: Final = os.environ.get(_VARIABLE, "")

import cv2 as cv2  # noqa: E402 - the variable is noted first

_parts: Final = [part for part in _before.split(os.pathsep) if part]
if _parts:
    os.environ[_VARIABLE] = os.pathsep.join(_parts)
else:
    os.environ.pop(_VARIABLE, None)
