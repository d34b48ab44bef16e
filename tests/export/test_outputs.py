"""Several files and folders: all new or all old, also when the second fails or the process is killed midway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dcpose_cli import _sets
from dcpose_cli._recovery import remove_stale
from dcpose_cli.errors import OutputError
from dcpose_cli.export import _outputs
from dcpose_cli.export._outputs import AtomicFolder, write_files
from dcpose_cli.files import exchange


def test_exchange_of_names(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    (first / "x").write_text("1")
    second.mkdir()
    if not exchange(first, second):
        pytest.skip("this system cannot exchange names")
    assert (second / "x").read_text() == "1"
    assert not (first / "x").exists()
    assert not exchange(first, tmp_path / "missing")


@pytest.mark.parametrize("able", [True, False])
def test_folder_replaces_an_older_one(tmp_path, monkeypatch, able):
    if not able:
        monkeypatch.setattr(_outputs, "exchange", lambda first, second: False)
    for content in ("old", "new"):
        with AtomicFolder(tmp_path / "out", lambda name: True, overwrite=True) as folder:
            (folder.temp / "x").write_text(content)
    assert (tmp_path / "out" / "x").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


KILLED = """
import os, pathlib, signal, sys
from dcpose_cli.export import _outputs
real = _outputs.exchange
def exchange(first, second):
    done = real(first, second)
    os.kill(os.getpid(), signal.SIGKILL)
_outputs.exchange = exchange
with _outputs.AtomicFolder(pathlib.Path(sys.argv[1]), lambda name: True, overwrite=True) as folder:
    (folder.temp / "x").write_text("new")
"""


def test_a_kill_between_leaves_the_old_or_the_new_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "x").write_text("old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (out / "x").read_text() in ("old", "new")


#: The process dies after the first rename of a folder that replaces another, where names cannot be exchanged.
KILLED_WITHOUT_EXCHANGE = """
import os, pathlib, signal, sys
from dcpose_cli.export import _outputs
_outputs.exchange = lambda first, second: False
target, seen = pathlib.Path(sys.argv[1]), 0
with _outputs.AtomicFolder(target, lambda name: True, overwrite=True) as folder:
    (folder.temp / "x").write_text("new")
    def kill(event, arguments):
        global seen
        if event != "os.rename" or str(target) not in map(str, arguments):
            return
        seen += 1
        if seen == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(kill)
"""


@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_between_two_renames_of_folders(tmp_path, step):
    out = tmp_path / "out"
    out.mkdir()
    (out / "x").write_text("old")
    ended = subprocess.run([sys.executable, "-c", KILLED_WITHOUT_EXCHANGE, str(out), str(step)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert out.exists() == (step == 1)
    remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "x").read_text() == "new"


@pytest.mark.parametrize("older", [True, False])
def test_failure_of_the_second_file_undoes_the_first(tmp_path, monkeypatch, older):
    targets = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for target in targets if older else ():
        target.write_text("old")
    real = _sets.give_name

    def give_name(temporary, target, *, overwrite):
        if target == targets[1]:
            raise OutputError("no room", path=target)
        real(temporary, target, overwrite=overwrite)

    monkeypatch.setattr(_sets, "give_name", give_name)
    with pytest.raises(OutputError, match="no room"):
        write_files({t: lambda path: path.write_text("new") and None for t in targets}, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ([t.name for t in targets] if older else [])
    assert {t.read_text() for t in targets if t.exists()} == ({"old"} if older else set())
    monkeypatch.setattr(_sets, "give_name", real)
    write_files({t: lambda path: path.write_text("new") and None for t in targets}, overwrite=True)
    assert {t.read_text() for t in tmp_path.iterdir()} == {"new"}


#: Writes as many files as the second argument says, where a process may have so many files open: at first, at most.
MANY = """
import pathlib, resource, sys
from dcpose_cli.errors import OutputError
from dcpose_cli.export._outputs import write_files
out, count = pathlib.Path(sys.argv[1]) / "new", int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), int(sys.argv[4])))
try:
    for _ in range(2):
        write_files({out / f"{n}.csv": lambda path: path.touch() for n in range(count)}, overwrite=True)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize(("most", "says"), [(1000, ""), (300, "one of 120 files, more than can be open at once")])
def test_a_set_of_more_files_than_may_be_open_at_first(tmp_path, most, says):
    ended = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path), "120", "100", str(most)], check=True, capture_output=True, text=True
    )
    assert says in ended.stdout
    assert (says == "") == (ended.stdout == "")
    assert len(list(tmp_path.rglob("*.csv"))) == (0 if says else 120)
    assert (tmp_path / "new").exists() == (not says)


def test_folders_that_were_made_for_a_set_that_failed_are_removed(tmp_path):
    def fail(path):
        raise OSError(28, "No space left on device")

    out = tmp_path / "new" / "sub"
    with pytest.raises(OutputError, match="disk full"):
        write_files({out / "a.csv": lambda path: path.write_text("new") and None, out / "b.csv": fail})
    assert not (tmp_path / "new").exists()
