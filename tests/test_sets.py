"""Files that get their names together: a kill at any step leaves the old set, the new one, or one that is completed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

import pytest

from dcpose_cli import _sets
from dcpose_cli._claims import claimed_token
from dcpose_cli._recovery import complete_set, complete_sets, journal_of, remove_stale
from dcpose_cli._sets import publish
from dcpose_cli.errors import OutputError
from dcpose_cli.files import AtomicFile, require_free_target, write_atomic

OLD = dict.fromkeys(("x.mp4", "x.json", "sub/y.json", "z.json"), "old")
NEW = dict.fromkeys(("x.mp4", "x.json", "sub/y.json"), "new")


def publish_in_child(folder, step, overwrite):
    """Publish a set in a process that kills itself at this step of its work on names: (exit code, steps)."""
    (folder / "sub").mkdir(parents=True)
    for name in OLD if overwrite else ():
        (folder / name).write_text("old")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _publish(folder, step, overwrite, writing)
        os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        steps = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(steps or 0)


def _publish(folder, step, overwrite, writing):
    outputs = [AtomicFile(folder / name, overwrite=overwrite) for name in NEW]
    for output in outputs:
        output.temp.write_text("new")
    seen = 0

    def count(event, arguments):
        nonlocal seen
        if event in ("os.rename", "os.link", "os.remove"):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    publish(outputs, gone=[folder / "z.json"])
    os.write(writing, str(seen).encode())
    os._exit(0)


def state(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_kill_at_any_step_leaves_one_whole_set(tmp_path, overwrite):
    code, steps = publish_in_child(tmp_path / "whole", 0, overwrite)
    assert code == 0
    assert state(tmp_path / "whole") == NEW
    seen = set()
    for step in range(1, steps + 1):
        folder = tmp_path / str(step)
        assert publish_in_child(folder, step, overwrite)[0] == -signal.SIGKILL
        touched = folder / ("x.json", "x.mp4", "sub/y.json")[step % 3]
        complete_set(touched)  # what every reader and writer does first
        found = state(folder)
        if found.get("x.json") == "new" and touched.parent == folder:
            assert not [name for name in found if name.startswith((".x.set", "..x.set"))], step
        for place in (folder, folder / "sub"):
            remove_stale(place)
        assert state(folder) in (NEW, OLD if overwrite else {}), step
        seen.add(len(state(folder)))
    assert seen == ({3, 4} if overwrite else {0, 3})


def test_nothing_is_left_of_files_that_the_new_set_does_not_have(tmp_path):
    """A run that is killed after the last step; the next one knows the names of the new set only."""
    steps = publish_in_child(tmp_path / "whole", 0, True)[1]
    for step in range(steps // 2, steps + 1):
        folder = tmp_path / str(step)
        publish_in_child(folder, step, True)
        (folder / "z.json").unlink(missing_ok=True)
        for name in NEW:
            write_atomic(folder / name, "newer", overwrite=True)
        for name in ("x", "y"):
            remove_stale(folder, f"..{name}.set.part.")
        assert [name for name in state(folder) if ".z." in name] == [], step


def journal(folder, **changes):
    """A journal of x.json, as a killed process leaves it, and its temporary file."""
    temp = folder / f".x.json.{claimed_token()}.part"
    temp.write_text("new")
    move = [temp.name, "x.json", temp.stat().st_ino]
    data = {"set": "1", "moves": [move], "gone": [], "overwrite": True, "first": None, "others": []}
    path = journal_of(folder / "x.json")
    path.write_text(json.dumps(data | changes))
    return path


def test_readers_and_writers_complete_a_set(tmp_path):
    journal(tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        require_free_target(tmp_path / "x.mp4", overwrite=False) or require_free_target(
            tmp_path / "x.json", overwrite=False
        )
    assert state(tmp_path) == {"x.json": "new"}
    journal(tmp_path)
    write_atomic(tmp_path / "other.json", "1")
    assert state(tmp_path) == {"x.json": "new", "other.json": "1"}


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path):
    journal(tmp_path, overwrite=False)
    (tmp_path / "x.json").write_text("theirs")
    assert complete_sets(tmp_path) == [tmp_path / "x.json"]
    assert state(tmp_path) == {"x.json": "theirs"}


@pytest.mark.parametrize(
    "changes",
    [
        {"moves": [["../x", "x.json", 1]]},
        {"moves": [["precious", "x.json", 1]]},
        {"moves": [[f".x.json.{claimed_token()}.part", "sub/precious", 1]]},
        {"moves": [], "gone": [["precious", 1]]},
        {"moves": [], "gone": [["sub/../precious", 1]]},
        {"first": "/nowhere/.x.set.part"},
        {"moves": 3},
        {"set": [["deep"]], "moves": [[1]]},
        {"first": "/nowhere/.x\0.set.part"},
        {"first": "\ud800.set.part"},
        {"others": ["a\0b"]},
        {"moves": [[f".x.json.{claimed_token()}.part", "\ud800", 1]]},
        {"moves": [[f".x.json.{claimed_token()}.part", "x.json", float("inf")]]},
    ],
)
def test_a_journal_from_elsewhere_does_nothing(tmp_path, changes):
    """It names files that are not its own, or has the inode numbers of another computer."""
    for name in ("precious", "x.json"):
        (tmp_path / name).write_text("mine")
    journal(tmp_path, **changes)
    complete_sets(tmp_path)
    remove_stale(tmp_path)
    assert state(tmp_path) == {"precious": "mine", "x.json": "mine"}


@pytest.mark.parametrize("moves", [True, False])
def test_a_journal_removes_no_file_but_journals_of_its_set(tmp_path, moves):
    """One that came in an archive may name any path of this computer."""
    precious = [tmp_path / "elsewhere" / name for name in ("thesis.docx", ".y.set.part", ".z.set.part")]
    precious[0].parent.mkdir()
    for path in precious:
        path.write_text('{"set": "2"}')
    for path in precious:
        journal(tmp_path, others=[str(path)], **({} if moves else {"moves": []}))
        complete_sets(tmp_path)
        assert path.read_text() == '{"set": "2"}'
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == sorted(path.name for path in precious)


def test_a_journal_guesses_no_inode_numbers(tmp_path):
    """Of many numbers for one file, one would be right."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for changes in (
        {"gone": [["precious", precious.stat().st_ino + guess] for guess in range(-2, 3)]},
        {"moves": [], "gone": [["precious", precious.stat().st_ino]]},
    ):
        journal(tmp_path, **changes)
        complete_sets(tmp_path)
        assert precious.read_text() == "mine"


def test_journals_that_name_each_other_are_none(tmp_path):
    """Each says that the other decides: neither counts."""
    for names in (("x", "x"), ("x", "y")):
        for name, other in zip(names, reversed(names), strict=True):
            path = journal(tmp_path, first=str(journal_of(tmp_path / other)))
            path.rename(journal_of(tmp_path / name))
        assert complete_sets(tmp_path) == []
        complete_set(tmp_path / "x.json")
        remove_stale(tmp_path)
        assert state(tmp_path) == {}


def test_a_journal_is_never_written_through_a_link(tmp_path, monkeypatch):
    """Temporary names have few digits: in a folder of many users somebody may have taken all of them."""
    (tmp_path / "precious").write_text("mine")
    taken = tmp_path / f".x.set.part.{claimed_token()}.part"
    taken.symlink_to(tmp_path / "precious")
    outputs = [AtomicFile(tmp_path / name) for name in ("x.mp4", "x.json")]
    monkeypatch.setattr(_sets, "temporary_name", lambda path, claimed: taken)
    with pytest.raises(OutputError, match="File exists"):
        publish(outputs)
    for output in outputs:
        output.discard()
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [taken.name, "precious"]


def test_links_and_pipes_in_the_place_of_a_journal_are_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    place = journal_of(tmp_path / "x.json")
    place.symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / ".y.set.part")
    assert complete_sets(tmp_path) == []
    outputs = [AtomicFile(tmp_path / name) for name in ("x.mp4", "x.json")]
    with pytest.raises(OutputError, match=r"x\.set\.part"):
        publish(outputs)
    for output in outputs:
        output.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.set.part", ".y.set.part", "precious"]
    assert (tmp_path / "precious").read_text() == "mine"


def test_two_processes_that_write_one_set(tmp_path, monkeypatch):
    """The second waits while the first holds the journal, and says so when that lasts."""
    from dcpose_cli._claims import claim, release

    handle = claim(journal(tmp_path))
    monkeypatch.setattr(_sets, "_PATIENCE_S", 0.1)
    outputs = [AtomicFile(tmp_path / name) for name in ("x.mp4", "x.json")]
    with pytest.raises(OutputError, match="another run is writing"):
        publish(outputs)
    for output in outputs:
        output.discard()
    release(handle)
    complete_sets(tmp_path)
    assert state(tmp_path) == {"x.json": "new"}


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("older", [True, False])
def test_failure_of_the_second_file_undoes_the_first(tmp_path, monkeypatch, older, links):
    targets = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for target in targets if older else ():
        target.write_text("old")
    real = _sets.give_name

    def give_name(temporary, target, *, overwrite):
        if target == targets[1]:
            raise OSError(28, "No space left on device")
        real(temporary, target, overwrite=overwrite)

    def no_links(*args, **options):
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(_sets, "give_name", give_name)
    outputs = [AtomicFile(target, overwrite=True) for target in targets]
    for output in outputs:
        output.temp.write_text("new")
    with pytest.raises(OutputError, match="disk full"):
        publish(outputs, of=targets[0])
    for output in outputs:
        output.discard()
    assert state(tmp_path) == ({t.name: "old" for t in targets} if older else {})
