"""Names of files that lie hidden beside others."""

from __future__ import annotations

import hashlib
import os
from typing import Final

#: Longest name of a file on the usual file systems.
MAX_NAME_BYTES: Final = 255


def hidden_name(name: str, ending: str) -> str:
    """`.NAME` with an ending; a name too long for that is replaced by a hash."""
    hidden = f".{name}{ending}"
    if len(os.fsencode(hidden)) <= MAX_NAME_BYTES:
        return hidden
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}{ending}"
