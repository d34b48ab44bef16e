"""The golden numbers of the published network and the weights they were made with."""

from __future__ import annotations

import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

DATA = Path(__file__).resolve().parent / "data" / "dcpose"


@lru_cache
def module(name: str) -> ModuleType:
    """`fill_weights` or `inputs`: generators of weights and inputs."""
    spec = importlib.util.spec_from_file_location(f"golden_{name}", DATA / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@lru_cache
def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file."""
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


def official_state() -> dict[str, torch.Tensor]:
    """The formula-filled weights under the official names, 2,215 entries."""
    shapes = json.loads((DATA / "state_shapes.json").read_text())
    return module("fill_weights").fill_state_dict([(name, tuple(shape)) for name, shape in shapes])
