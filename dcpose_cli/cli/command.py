"""How a function becomes a command of `dcpose`: shared options, `--debug`, process settings, other names."""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperOption

from ..config import DEFAULTS, EVERYBODY, EstimateConfig, Measures
from ..errors import UsageError
from ..selection import selection_of
from .console import show_details
from .options import CONFIG_OPTIONS, MEASURE_OPTIONS, SELECTION_OPTIONS, Debug, Settings

#: Ends the name of the value of an option that takes a list.
_LIST: Final = ",..."
#: Parameters of a body that are several options.
_MANY: Final = ("config", "selection", "measures")

#: NVIDIA's libcusparseLt, which torch loads, looks for the driver beside itself, then in the working folder, then where
#: the system has it; the loader tries these folders of each.
_DRIVER: Final = "libcuda.so.1"
_VARIANTS: Final = (".", "x86_64", "tls", "tls/x86_64", "x86_64/x86_64", "tls/x86_64/x86_64", "glibc-hwcaps/x86-64-v*")

Body = TypeVar("Body", bound=Callable[..., None])


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    panel: str | None = None,
    without: Iterable[str] = (),
    also: Sequence[str] = (),
    one_device: bool = True,
) -> Callable[[Body], Body]:
    """Register the decorated function as a command of `app`.

    name: of the command, when the function has another. panel: heading under which `--help` lists it.
    A parameter `config: EstimateConfig` becomes one option per entry of `options.CONFIG_OPTIONS`, except the fields in
    `without`; its `selection` and a parameter `selection: Selection` become those of `options.SELECTION_OPTIONS`, and
    `measures: Measures` those of `options.MEASURE_OPTIONS`. Every command gets `--debug`. also: other names of the
    command, which `--help` does not list. The config is checked before the body is called (config_checks.py);
    one_device: as there.
    """

    def register(body: Body) -> Body:
        app.command(name, cls=_Command, rich_help_panel=panel)(_callback(body, tuple(without), one_device))
        for other in also:
            app.command(other, cls=_Command, hidden=True)(_callback(body, tuple(without), one_device))
        return body

    return register


class _Command(TyperCommand):
    """A command that refuses a second list where it would take the last one only. Other options may be overridden."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As in click. Raises UsageError."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        lists = [p.opts[0] for p in given if isinstance(p, TyperOption) and (p.metavar or "").endswith(_LIST)]
        for name in lists:
            if lists.count(name) > 1:
                raise UsageError(f"{name} was given {lists.count(name)} times", hint="one list with commas, as A,B")
        return super().parse_args(ctx, args)


def _callback(body: Callable[..., None], without: tuple[str, ...], one_device: bool) -> Callable[..., None]:
    """What Typer calls: the body, with its options declared in the signature."""
    fields = [field for field in CONFIG_OPTIONS if field not in without]
    own = inspect.signature(body, eval_str=True).parameters
    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in own.values() if p.name not in _MANY]
    selects = "selection" in own or ("config" in own and "selection" not in without)
    if "config" in own:
        parameters += [
            Parameter(field, Parameter.KEYWORD_ONLY, default=getattr(DEFAULTS, field), annotation=CONFIG_OPTIONS[field])
            for field in fields
        ]
        parameters.insert(0, Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context))
        parameters.append(Parameter("settings", Parameter.KEYWORD_ONLY, default=None, annotation=Settings))
    if "measures" in own:
        parameters += [
            Parameter(field, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for field, annotation in MEASURE_OPTIONS.items()
        ]
    if selects:
        parameters += [
            Parameter(field, Parameter.KEYWORD_ONLY, default=_unchosen(field), annotation=annotation)
            for field, annotation in SELECTION_OPTIONS.items()
        ]
    parameters.append(Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=Debug))

    def callback(**values: Any) -> None:
        begin(debug=values.pop("debug"))
        file, context = values.pop("settings", None), values.pop("context", None)
        if file is not None:
            from .settings_file import with_file

            with_file(values, file, context)
        _require_numbers(values)
        selection = selection_of({field: values.pop(field) for field in SELECTION_OPTIONS}) if selects else EVERYBODY
        if "measures" in own:
            values["measures"] = Measures(**{field: values.pop(field) for field in MEASURE_OPTIONS})
        if "config" in own:
            values["config"] = EstimateConfig(**{field: values.pop(field) for field in fields}, selection=selection)
            _require(values["config"], one_device=one_device)
        if "selection" in own:
            values["selection"] = selection
        body(**values)

    callback.__name__, callback.__doc__ = body.__name__, body.__doc__
    callback.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(callback)["__signature__"] = inspect.Signature(parameters)
    return callback


def _require(config: EstimateConfig, *, one_device: bool) -> None:
    from ..config_checks import require_config  # late: it loads the video library

    require_config(config, one_device=one_device)


def _require_numbers(values: Mapping[str, Any]) -> None:
    """UsageError for inf and nan, which Python reads as numbers, as the value of an option."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} must be a number, got {value}")


def _require_no_driver_here() -> None:
    """Raise UsageError where the working folder holds what torch would load as the driver, beside somebody's videos."""
    for variant in _VARIANTS if sys.platform == "linux" else ():
        for found in Path().glob(f"{variant}/{_DRIVER}"):
            raise UsageError(
                f"the working folder holds {found}, which NVIDIA's libraries would run", hint="use another folder"
            )


def _unchosen(field: str) -> Any:
    """The default of a selector; Typer wants None for an empty list."""
    return None if field == "tracks" else getattr(EVERYBODY, field)


def begin(*, debug: bool) -> None:
    """The settings of the process, made before torch is imported. Raises UsageError."""
    _require_no_driver_here()
    if debug:
        os.environ["DCPOSE_DEBUG"] = "1"
        show_details()
    # Operators that Apple's GPUs lack run on the CPU; torch reads this when it is imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
