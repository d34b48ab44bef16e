"""Training of DSTA."""

from __future__ import annotations

from ..._moved import former_contents

__getattr__ = former_contents(__name__)
