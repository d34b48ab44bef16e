"""OpenCV's import leaves no part of the library path that stands for the working folder."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import shutil
import subprocess
import sys

import pytest

import dcpose_cli

IMPORT = "import os; import dcpose_cli._opencv; print(os.environ.get('LD_LIBRARY_PATH'))"


@pytest.mark.parametrize(
    ("before", "after"), [(None, "None"), ("", "None"), ("/opt/lib", "/opt/lib"), (":/opt/lib::/b:", "/opt/lib:/b")]
)
@pytest.mark.parametrize("first", ["", "import cv2; "], ids=["alone", "imported by the user before"])
def test_library_path(dcpose, before, after, first):
    env = dcpose.environment(LD_LIBRARY_PATH=before)
    told = subprocess.run([sys.executable, "-c", first + IMPORT], env=env, capture_output=True, text=True, check=True)
    parts, expected = told.stdout.strip().split(":"), after.split(":")
    assert "" not in parts
    if first and before:  # OpenCV's own folder stays before the others
        assert parts[1:] == expected
    elif not first:
        assert parts == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_module_changes_the_environment(dcpose):
    modules = [m.name for m in pkgutil.walk_packages(dcpose_cli.__path__, "dcpose_cli.") if "__main__" not in m.name]
    found = importlib.util.find_spec
    optional = {"ray": "cluster", "trackers": "bytetrack"}
    modules = [m for m in modules if all(found(k) or v not in m for k, v in optional.items())]
    code = f"""
import importlib, os
before = dict(os.environ)
for name in {modules!r}:
    importlib.import_module(name)
print({{key: (before.get(key), os.environ.get(key)) for key in before.keys() | os.environ.keys()
       if before.get(key) != os.environ.get(key)}})
"""
    told = subprocess.run(
        [sys.executable, "-c", code], env=dcpose.environment(), capture_output=True, text=True, check=False
    )
    assert told.stdout.strip() == "{}", told.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs a compiler for Linux")
@pytest.mark.parametrize("command", ["compare", "batch"])
def test_workers_load_no_library_of_the_working_folder(dcpose, clip, tmp_path, command):
    """A library that every Python with torch loads; where the working folder is searched, this one is."""
    folder, ran = tmp_path / "videos", tmp_path / "ran"
    (folder / "in").mkdir(parents=True)
    shutil.copy(clip, folder / "in" / "a.mp4")
    source = tmp_path / "x.c"
    source.write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) void run(void) "
        f'{{ open("{ran}", O_CREAT | O_WRONLY, 0600); }}\n'
    )
    for name in ("libuuid.so.1", "libz.so.1", "libbz2.so.1.0", "liblzma.so.5", "libffi.so.8"):
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / name, source], check=True)
    models = [*dcpose.models]
    given = ("in", "-o", "out", "--workers", 1)
    if command == "compare":
        models[0], given = "--models", ("in/a.mp4", "-o", "c.mp4")
    result = dcpose.process(command, *given, *models, cwd=folder, env={"LD_LIBRARY_PATH": None}, timeout=300)
    assert not ran.exists()
    assert result.returncode == 0, result.stderr
    control = subprocess.run(
        [sys.executable, "-c", "import uuid, zlib, bz2, lzma, ctypes"], cwd=folder, check=False,
        env=dcpose.environment(LD_LIBRARY_PATH=f"/nowhere{os.pathsep}"),
    )  # fmt: skip
    assert ran.exists() or control.returncode != 0
