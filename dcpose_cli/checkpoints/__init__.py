"""Models on disk: our files, import of published checkpoints, export to ONNX."""

from __future__ import annotations

from .._moved import former_contents

__getattr__ = former_contents(__name__)
