"""The one door to torchvision: its import loads torch's compiler, whose folder stays empty here (_inductor.py)."""

from __future__ import annotations

import os
import tempfile

from dcpose_cli._inductor import compiler_folder


def _existing() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is no temporary folder
        return os.curdir


with compiler_folder(_existing()):
    from torchvision import models as models
    from torchvision import ops as ops
    from torchvision.models.resnet import BasicBlock as BasicBlock
    from torchvision.models.resnet import Bottleneck as Bottleneck
