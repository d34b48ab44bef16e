"""What all commands have in common: names, shared options, `--debug`, settings of the process."""

from __future__ import annotations

import dataclasses
import os

import pytest
import typer.main

from dcpose_cli.cli.app import app
from dcpose_cli.cli.options import CONFIG_OPTIONS
from dcpose_cli.config import DEFAULTS, EstimateConfig


def leaves(command=None, path=()):
    """Every command with its path, hidden ones too."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from leaves(below, (*path, name))


def options_of(command):
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


VISIBLE = {path: command for path, command in leaves() if not command.hidden}


def test_commands_are_verbs_and_models_groups_those_on_models():
    assert sorted(" ".join(path) for path in VISIBLE) == [
        "batch",
        "compare",
        "convert",
        "dataset from-result",
        "doctor",
        "edit",
        "estimate",
        "evaluate",
        "events",
        "export-json",
        "models available",
        "models average",
        "models export",
        "models get",
        "models import",
        "models info",
        "models list",
        "models optimise",
        "models remove",
        "models verify",
        "render",
        "report",
        "smooth",
        "train",
    ]


@pytest.mark.parametrize("path", VISIBLE, ids=" ".join)
def test_every_command_has_debug(path):
    assert "--debug" in options_of(VISIBLE[path])


@pytest.mark.parametrize(
    "args",
    [
        ("models", "list"),
        ("models", "info", "nothing"),
        ("models", "verify", "nothing"),
        ("convert", "nothing.json", "--format", "csv", "-o", "x.csv"),
        ("evaluate", "nothing.json", "nothing.json"),
        ("smooth", "nothing.json", "-o", "x.json"),
        ("render", "nothing.mp4", "nothing.json", "-o", "x.mp4"),
        ("report", "nothing.json"),
    ],
    ids=" ".join,
)
def test_debug_and_the_fallback_of_apples_gpus_are_set_in_every_command(dcpose, tmp_path, monkeypatch, args):
    """They were missing in commands with a way of their own to begin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTORCH_ENABLE_MPS_FALLBACK", raising=False)
    seen = []
    real = os.environ.__class__.__setitem__

    def note(environment, name, value):
        seen.append((name, value))
        real(environment, name, value)

    monkeypatch.setattr(os.environ.__class__, "__setitem__", note)
    result = dcpose(*args, "--debug")
    assert ("DCPOSE_DEBUG", "1") in seen
    assert ("PYTORCH_ENABLE_MPS_FALLBACK", "1") in seen
    if args != ("models", "list"):  # an error, so there is a traceback to show
        assert result.returncode != 0
        assert "Traceback" in result.stderr


def test_a_setting_is_one_option_with_one_default():
    fields = {field.name for field in dataclasses.fields(EstimateConfig)}
    # The paper's number, which the library has; and the selectors, which are options of their own.
    assert fields - set(CONFIG_OPTIONS) == {"box_scale", "selection"}
    assert set(CONFIG_OPTIONS) <= fields


@pytest.mark.parametrize("path", [("estimate",), ("export-json",), ("batch",), ("compare",)], ids=" ".join)
def test_shared_options_have_the_defaults_of_the_library(path):
    own = {("compare", "json")}
    for parameter in VISIBLE[path].params:
        if parameter.name in CONFIG_OPTIONS and (*path, parameter.name) not in own:
            assert parameter.default == getattr(DEFAULTS, parameter.name), parameter.name


def test_shared_options_reach_the_configuration(dcpose, monkeypatch):
    seen = []
    monkeypatch.setattr("dcpose_cli.cli.commands.estimate_videos", lambda *args, **_: seen.append(args[2]) or 0)
    given = ["--no-audio", "--conf", 0.5, "--json", "j.json", "--resume", "--batch", 3, "--flip-test", "--start", 1.5]
    assert dcpose("estimate", "a.mp4", *given).returncode == 0
    assert dcpose("estimate", "a.mp4").returncode == 0
    changed, plain = seen
    assert plain == DEFAULTS
    assert changed == dataclasses.replace(
        DEFAULTS, audio=False, conf=0.5, json=changed.json, resume=True, batch=3, flip_test=True, start=1.5
    )
    assert str(changed.json) == "j.json"


def test_export_is_another_name_of_export_json(dcpose, product, clip, tmp_path):
    runs = {
        name: dcpose(name, clip, "-o", tmp_path / f"{name}.json", "-q", "--max-frames", 3, *dcpose.models)
        for name in ("export", "export-json")
    }
    assert [(run.returncode, run.stderr) for run in runs.values()] == [(0, ""), (0, "")]
    assert (tmp_path / "export.json").read_bytes() == (tmp_path / "export-json.json").read_bytes()


def test_former_names_of_options_work(dcpose, native, real, tmp_path):
    for number, option in enumerate(("--to", "-t", "--format", "-f")):
        assert dcpose("convert", real, option, "csv", "-o", tmp_path / f"{number}.csv").returncode == 0
    assert len({(tmp_path / f"{number}.csv").read_bytes() for number in range(4)}) == 1


@pytest.mark.parametrize(
    ("command", "given", "refused"),
    [
        (("estimate", "-o", "a.mp4"), ("--ensemble", "a", "--ensemble", "b"), "--ensemble was given 2 times"),
        (("evaluate", "a.json"), ("--metrics", "ap", "--metrics=oks"), "--metrics was given 2 times"),
        (("compare",), ("--models", "a", "--models", "b", "--models", "c"), "--models was given 3 times"),
        (("estimate", "-o", "a.mp4"), ("--ensemble", "a,b", "--conf", "0.3", "--conf", "0.4"), None),
        (("convert", "-o", "a.csv"), ("--track", "1", "--track", "2", "--format", "trc", "--format", "csv"), None),
    ],
)
def test_a_second_list_is_refused_and_other_options_are_overridden(
    dcpose, product, tmp_path, monkeypatch, command, given, refused
):
    monkeypatch.chdir(tmp_path)
    done = dcpose(command[0], "none.json", *command[1:], *given)
    assert done.returncode == (2 if refused else 3), done.stderr
    assert (refused or "no such file") in product.one_line(done).lower()
