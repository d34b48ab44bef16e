"""What an engine is. No torch here: settings are checked before it is loaded."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch.export import ExportedProgram

#: An array of a network's input -> one of its output; float32, of equal batch. Several threads may call it at a time.
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

CPU: Final = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A way to compute networks.

    packages: what must be installed, by the name of its import. extra: of this package, which brings them.
    recipe: says how files are made; it changes with the code that makes them, and older files are not used any more.
    precisions: what it computes in, as `--precision` names it, the first for a CPU that has nothing better; with none,
    torch computes and its rules hold. converted: (network as exported by torch, shape of its input with
    None for the free sides) -> the bytes of a file. where: what computes for `--device`, "auto" or "cpu".
    loaded: (those bytes, precision, how many threads call it at a time, what computes) -> what to call.
    These may raise whatever the package raises.
    """

    name: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    recipe: str = ""
    precisions: tuple[str, ...] = ()
    converted: Callable[[ExportedProgram, tuple[int | None, ...]], bytes] | None = None
    loaded: Callable[[bytes, str, int, str], Run] | None = None
    where: Callable[[str], str] = lambda _: CPU

    @property
    def is_torch(self) -> bool:
        """Whether networks stay with torch."""
        return self.converted is None

    def versions(self) -> dict[str, str]:
        """Its packages with their versions."""
        return {name: version(name) for name in self.packages}

    def pick_precision(self, asked: str, *, bf16: bool) -> str:
        """ "auto" -> the best one on a CPU that computes in bf16, or not; others as they are."""
        if asked != "auto":
            return asked
        return "bf16" if bf16 and "bf16" in self.precisions else self.precisions[0]


def quietly(work: Callable[[], Any]) -> Any:
    """What `work` returns; the warnings and logs of the packages it uses are of no use to anybody here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    finally:
        logging.disable(before)
