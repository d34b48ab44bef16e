"""Public names, import time, and the layers of docs/architecture.md."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dcpose_cli

PACKAGE = Path(dcpose_cli.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

PICTURE = Path(__file__).parents[1] / "docs" / "architecture.md"


def layers():
    """The picture of the architecture page: packages and top-level modules, line by line from the top."""
    text = PICTURE.read_text(encoding="utf-8")
    block = text.split("## Layers", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]
    return [line.split() for line in block.splitlines() if line.strip()]


def package_of(path):
    """The package or top-level module that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@functools.cache
def nodes(path, *kinds):
    """The nodes of such kinds in a file, anywhere in it."""
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


def imports(path):
    """Full names of the modules a file imports, anywhere in it."""
    package = ["dcpose_cli", *path.relative_to(PACKAGE).parts[:-1]]
    for node in nodes(path, ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        else:
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def test_imports_are_as_the_picture_shows():
    """Imports lead downwards only, hence in no circle."""
    level = {name: number for number, line in enumerate(layers()) for name in line}
    wrong = []
    for path in FILES:
        if path == PACKAGE / "__init__.py":  # shows what is above it, and imports it late
            continue
        own = package_of(path)
        for name in imports(path):
            other = name.removeprefix("dcpose_cli.").split(".")[0]
            if not name.startswith("dcpose_cli.") or other == own or other not in level:
                continue
            if level[other] <= level[own]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_the_picture_shows_every_package_once():
    names = [name for line in layers() for name in line]
    assert sorted(names) == sorted({package_of(path) for path in FILES} - {"__init__"})


def test_no_file_is_long():
    files = [*FILES, *Path(__file__).parent.rglob("*.py")]
    assert len(files) > len(FILES)
    assert {str(p): n for p in files if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400} == {}


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        ("av", {"video"}),
        ("cv2", {"_opencv"}),
        ("ultralytics", {"_ultralytics"}),
        ("torchvision", {"_torchvision"}),
        ("typer", {"cli"}),
        ("rich", {"cli"}),
        ("polars", {"export"}),
        ("pycocotools", {"evaluation"}),
        ("motmetrics", {"evaluation"}),
    ],
)
def test_libraries_have_one_door(library, doors):
    using = {package_of(path) for path in FILES if library in {name.split(".")[0] for name in imports(path)}}
    assert using == doors


def test_errors_are_defined_in_one_place():
    found = set()
    for path in FILES:
        for node in nodes(path, ast.ClassDef):
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


#: Counts the work of the pose network in the end, and says which libraries were loaded.
LOADED = """
import atexit, sys
def end():
    from dcpose_cli.checkpoints.files import open_model
    from dcpose_cli.evaluation.cost import cost_of
    assert cost_of(open_model(sys.argv[sys.argv.index("--model") + 1])).gmac > 0
    slow = {"torchvision", "torch._dynamo", "sympy", "scipy", "polars", "pandas", "matplotlib"}
    print("loaded:", sorted(slow & set(sys.modules)))
atexit.register(end)
"""


def test_runs_on_the_cpu_load_no_slow_libraries(dcpose, clip, tmp_path):
    """torchvision and torch's compiler take as long to import as torch; detectors that are not ours need neither."""
    ended = dcpose.process("estimate", clip, "--out", tmp_path / "out.mp4", *dcpose.models, before=LOADED)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.rstrip().endswith("loaded: []"), (ended.stdout, ended.stderr)
