"""Where downloaded files go."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dcpose_cli import _paths


def test_data_is_below_the_given_folder_or_the_systems(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert _paths.data_dir() == tmp_path / "dcpose"
    monkeypatch.delenv("XDG_DATA_HOME")
    asked = []
    monkeypatch.setattr(_paths, "user_data_path", lambda *args, **more: asked.append((args, more)) or Path("C:/data"))
    assert _paths.data_dir() == Path("C:/data")
    assert asked == [(("dcpose",), {"appauthor": False})]


def test_cache_is_below_the_given_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _paths.cache_dir() == tmp_path / "dcpose"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_cache_is_the_users_own_without_any_variable(monkeypatch):
    """It fell to the shared temporary folder where HOME is not set, as on Windows."""
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert _paths.cache_dir() == Path("~").expanduser() / ".cache" / "dcpose"


def test_cache_elsewhere_is_the_systems(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    asked = []
    monkeypatch.setattr(_paths, "user_cache_path", lambda *args, **more: asked.append((args, more)) or Path("C:/cache"))
    assert _paths.cache_dir() == Path("C:/cache")
    assert asked == [(("dcpose",), {"appauthor": False})]
