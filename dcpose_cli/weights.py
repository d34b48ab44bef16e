"""The former name of `dcpose_cli.checkpoints.files`; it goes with version 1."""

from __future__ import annotations

import warnings

from .checkpoints.files import (
    AUTO_MODELS,
    METADATA_KEY,
    WEIGHTS_NAME,
    empty_net,
    find_weights,
    load_model,
    load_state,
    open_model,
    read_metadata,
    read_weights,
    save_model,
    shipped_models,
    verify,
)
from .pose.methods import KINDS
from .pose.model import LoadedModel, ModelHeader, PoseConfig, PoseNet

__all__ = [
    "AUTO_MODELS",
    "KINDS",
    "METADATA_KEY",
    "WEIGHTS_NAME",
    "LoadedModel",
    "ModelHeader",
    "PoseConfig",
    "PoseNet",
    "empty_net",
    "find_weights",
    "load_model",
    "load_state",
    "open_model",
    "read_metadata",
    "read_weights",
    "save_model",
    "shipped_models",
    "verify",
]

warnings.warn("dcpose_cli.weights is called dcpose_cli.checkpoints.files now", DeprecationWarning, stacklevel=2)
