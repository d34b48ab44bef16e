"""What the package shows: its names, how fast it answers, and who may import whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dcpose_cli

PACKAGE = Path(dcpose_cli.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: Rooms and files from the bottom up; a file imports from lower floors and from its own room. A file of a room that is
#: named apart lies higher than the rest of it.
FLOORS = (
    ("__init__", "errors", "types", "_paths", "_schema", "_threads", "_locks", "_cores", "_memory", "people.boxes"),
    (
        "skeleton",
        "config",
        "devices",
        "files",
        "pose.crop_plan",
        "people.interpolation",
        "chunks",
        "people.confirmation",
    ),
    ("video", "pose.crop", "nets", "smooth", "results", "export", "datasets", "_ultralytics", "segments"),
    ("pose.heatmaps", "outputs"),
    ("pose.methods",),
    ("checkpoints.files",),
    ("checkpoints", "pose", "people", "window"),
    ("segments.values",),
    ("estimator",),
    ("render", "results.header"),
    ("pipeline",),
    ("segments.parts", "frame_folders", "report"),
    ("batch",),
    ("evaluation",),
    ("training",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def place_of(module):
    """Where a module (its name below the package) lies in FLOOR: by itself, or as a part of its room."""
    parts = module.split(".")
    return ".".join(parts[:2]) if ".".join(parts[:2]) in FLOOR else parts[0]


def imports(path):
    """Full names of the modules a file imports, anywhere in it."""
    package = ["dcpose_cli", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def test_import_law():
    broken = []
    for path in FILES:
        if path == PACKAGE / "__init__.py":  # shows what is above it, and imports it late
            continue
        own = place_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
        for name in imports(path):
            if not name.startswith("dcpose_cli."):
                continue
            other = place_of(name.removeprefix("dcpose_cli."))
            if other != own and FLOOR.get(other, -1) >= FLOOR[own]:
                broken.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert broken == []


def test_every_file_has_a_floor():
    assert {room_of(path) for path in FILES} <= set(FLOOR)


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        ("av", {"video"}),
        ("ultralytics", {"_ultralytics"}),
        ("typer", {"cli"}),
        ("rich", {"cli"}),
        ("polars", {"export", "results"}),
        ("pycocotools", {"evaluation"}),
        ("motmetrics", {"evaluation"}),
    ],
)
def test_libraries_have_one_door(library, doors):
    using = {room_of(path) for path in FILES if library in {name.split(".")[0] for name in imports(path)}}
    assert using == doors


def test_errors_are_defined_in_one_place():
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
                if any(base.endswith(("Error", "Exception")) or base in ("SystemExit", "Warning") for base in bases):
                    found.add(path.name)
    assert found == {"errors.py"}


def test_public_names():
    assert dcpose_cli.__all__ == sorted(dcpose_cli.__all__)
    assert dir(dcpose_cli) == dcpose_cli.__all__
    for name in dcpose_cli.__all__:
        assert getattr(dcpose_cli, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = dcpose_cli.nonsense
    assert dcpose_cli.OutputError.exit_code == 4


def python(*args):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *args], env=environment, capture_output=True, text=True, timeout=60, check=True
    )


def test_import_is_light():
    heavy = "{'torch', 'cv2', 'av', 'ultralytics', 'typer', 'polars'}"
    assert python("-c", f"import sys, dcpose_cli; print({heavy} & set(sys.modules))").stdout.strip() == "set()"


def test_bodies_of_commands_are_light():
    """What only looks at files, names and settings answers without a network, a decoder or a painter."""
    bodies = ", ".join(f"dcpose_cli.cli.{name}_command" for name in ("batch", "convert", "dataset"))
    bodies += ", dcpose_cli.cli.commands, dcpose_cli.cli.view_commands"
    heavy = "{'torch', 'cv2', 'av', 'ultralytics'}"
    assert python("-c", f"import sys, {bodies}; print({heavy} & set(sys.modules))").stdout.strip() == "set()"


def test_help_is_quick():
    """Processor time, which a busy machine hardly changes: under half a second in the median of five."""
    code = (
        "import resource, sys, contextlib, io\n"
        "from dcpose_cli.cli.app import app\n"
        "page = io.StringIO()\n"
        "with contextlib.redirect_stdout(page): app(['--help'], standalone_mode=False)\n"
        "assert 'estimate' in page.getvalue() and 'torch' not in sys.modules\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    assert sorted(float(python("-c", code).stdout) for _ in range(5))[2] < 0.5
