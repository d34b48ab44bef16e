"""What a user gets: the wheel and the source archive, built by the project's own backend."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

BUILD = "import sys, hatchling.build as backend; print(backend.{}(sys.argv[1]))"


@pytest.fixture(scope="module")
def checkout(root, tmp_path_factory):
    """A copy of what is released, so that other files of the working folder cannot help; with weights to ship."""
    copy = tmp_path_factory.mktemp("source") / "checkout"
    copy.mkdir()
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"][
        "include"
    ]
    for name in [*listed, "pyproject.toml"]:
        if (root / name).is_dir():
            skip = ("__pycache__", "*.mp4", *(["data"] if name == "tests" else []))
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns(*skip))
        elif (root / name).is_file():
            shutil.copy(root / name, copy / name)
    weights = copy / "models" / "dcpose-s" / "model.safetensors"
    weights.write_bytes(b"weights")
    (copy / "runs").mkdir()
    (copy / "runs" / "scratch.ckpt").write_bytes(b"not for release")
    return copy


def build(what, checkout, out):
    """Build in a process of its own: the backend changes what is imported."""
    command = [sys.executable, "-c", BUILD.format(what), str(out)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    return build("build_wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_names(wheel):
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_wheel_carries_package_models_and_licence(wheel_names, root):
    modules = {p.relative_to(root).as_posix() for p in (root / "dcpose_cli").rglob("*.py")}
    assert len(modules) > 40
    assert modules <= wheel_names
    for name in ("recipe.toml", "model.safetensors"):
        assert f"dcpose_cli/_models/dcpose-s/{name}" in wheel_names
    for name in (
        "py.typed",
        "report/template.html",
        "report/page.js",
        "report/uPlot.iife.min.js",
        "report/uPlot.LICENSE",
    ):
        assert f"dcpose_cli/{name}" in wheel_names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


def test_wheel_takes_no_other_import_name(wheel_names):
    assert {name.split("/")[0].split("-")[0] for name in wheel_names} == {"dcpose_cli", "dcpose"}
    dist_info = {name.split("/")[0] for name in wheel_names if not name.startswith("dcpose_cli/")}
    assert all(name.endswith(".dist-info") for name in dist_info)
    files = [name.split("/") for name in wheel_names]
    assert not any("tests" in parts or "runs" in parts for parts in files)
    assert not any(parts[-1].startswith(("test_", "conftest")) or parts[-1].endswith(".ckpt") for parts in files)


def test_wheel_declares_the_command(wheel):
    with zipfile.ZipFile(wheel) as file:
        text = {n.split("/")[-1]: file.read(n).decode() for n in file.namelist() if ".dist-info/" in n}
    assert "dcpose = dcpose_cli.cli.app:main" in text["entry_points.txt"]
    assert "License-Expression: AGPL-3.0-or-later" in text["METADATA"]
    from dcpose_cli import __version__

    assert f"\nVersion: {__version__}\n" in text["METADATA"]


def test_an_unpacked_wheel_finds_its_own_models(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    script = "import dcpose_cli._paths as p; print(p.models_dir())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str((tmp_path / "site/dcpose_cli/_models").resolve())


def test_a_checkout_reads_models_beside_the_package(root):
    from dcpose_cli._paths import models_dir

    assert models_dir() == root / "models"


def test_sdist_holds_what_is_listed(checkout, tmp_path):
    with tarfile.open(build("build_sdist", checkout, tmp_path)) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    listed = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"][
        "include"
    ]
    for entry in listed:
        assert entry in names or any(name.startswith(f"{entry}/") for name in names), entry
    assert "tests/conftest.py" in names
    assert not any(name.startswith("runs") for name in names)


def test_an_editable_install_does_not_hide_the_checkout(root):
    spec = importlib.util.spec_from_file_location("hatch_build", root / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hook = module.ModelsHook(str(root), {}, None, None, "", "wheel")
    editable, standard = {"force_include": {}}, {"force_include": {}}
    hook.initialize("editable", editable)
    hook.initialize("standard", standard)
    assert editable["force_include"] == {}
    assert standard["force_include"] == {"models": "dcpose_cli/_models"}
