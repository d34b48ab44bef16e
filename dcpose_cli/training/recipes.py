"""Kinds of training, and the recipes that name them.

A new kind is one package beside `dcpose`, `dsta` and `detector`, and one line of KINDS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from torch import nn

from .._reading import read_toml
from .._schema import build
from .._text import printable
from ..checkpoints.files import load_model
from ..errors import UsageError
from .dcpose import recipe as dcpose_recipe
from .dcpose import train as dcpose
from .detector import recipe as detector_recipe
from .detector import train as detector
from .dsta import recipe as dsta_recipe
from .dsta import train as dsta


class AnyRecipe(Protocol):
    """The part that recipes of all kinds have: frozen dataclasses built from TOML."""

    @property
    def kind(self) -> str:
        """Key of KINDS."""

    @property
    def name(self) -> str:
        """Of the model."""

    def check(self) -> None:
        """ValueError names the first key whose value is out of range."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of training.

    recipe: the dataclass of its recipes, an AnyRecipe. train: (recipe, data, work, init=, **RunOptions) -> network,
    also `teacher=` where `teacher` says so. save: (network, recipe, folder, overwrite=) -> file. read_init: the model
    that --init names.
    """

    recipe: type[Any]
    train: Callable[..., nn.Module]
    save: Callable[..., Path]
    read_init: Callable[[str], nn.Module]
    teacher: bool = False


#: By the recipe's key `kind`.
KINDS: Final[dict[str, Kind]] = {
    "dcpose": Kind(dcpose_recipe.Recipe, dcpose.train, dcpose.save, dcpose.read_init),
    "dsta": Kind(dsta_recipe.DSTARecipe, dsta.train_dsta, dsta.save, load_model),
    "detector": Kind(
        detector_recipe.DetectorRecipe, detector.train_detector, detector.save, detector.read_init, teacher=True
    ),
}
_DEFAULT_KIND: Final = "dcpose"


def load_recipe(path: Path) -> Any:
    """Read a recipe: a dataclass of the kind that its key `kind` names, "dcpose" without it.

    Raises UsageError on a missing file, unknown keys, wrong types or values out of range.
    """
    try:
        table = read_toml(path)
    except OSError as error:
        raise UsageError(f"cannot read the recipe: {error.strerror}", path=path, hint="check its name") from error
    except ValueError as error:
        raise UsageError(f"the recipe is not valid TOML: {error}", path=path) from error
    kind = table.get("kind", _DEFAULT_KIND)
    if not isinstance(kind, str) or kind not in KINDS:
        shown = repr(printable(kind, 40)) if isinstance(kind, str) else "no text"
        raise UsageError(f"the recipe has the kind {shown}", path=path, hint=f"known are {', '.join(KINDS)}")
    try:
        recipe: AnyRecipe = build(KINDS[kind].recipe, table)
        recipe.check()
        if recipe.name in ("", ".", "..") or set(recipe.name) & set("/\\"):  # it names the folder of the run, too
            raise ValueError(f"name is {recipe.name!r}, which cannot be the name of a folder")
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the recipe does not fit: {error}", path=path) from error
    return recipe
