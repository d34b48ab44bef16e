"""JSON of labelled people, frame by frame, with the names of its joints: what readers of several kinds share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file
from .._text import reason_of
from ..errors import InputError
from ..skeleton import JOINT_NAMES, NUM_JOINTS

T = TypeVar("T")


def read_label_file(path: Path, parse: Callable[[Any, list[int]], T], wrong: str) -> T:
    """What `parse` makes of the file's data and the slots of its joints.

    wrong: what is said of a file that `parse` cannot read. Raises InputError.
    """
    try:
        data = json.loads(read_file(path))
        return parse(data, [JOINT_NAMES.index(name) for name in data["joints"]])
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path, hint="check the file") from error
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        reason = reason_of(error)
        raise InputError(f"{wrong}: {reason}", path=path, hint="check the file") from error


def keypoints_in_slots(entry: Mapping[str, Any], slots: Sequence[int]) -> NDArray[np.float64]:
    """(17, 3) of a person whose `keypoints` are those of the slots; zeros elsewhere."""
    keypoints = np.zeros((NUM_JOINTS, 3))
    keypoints[list(slots)] = np.asarray(entry["keypoints"], np.float64).reshape(len(slots), 3)
    return keypoints
