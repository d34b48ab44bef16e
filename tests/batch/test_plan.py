"""Folders of videos: which there are, and the names of their results."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from dcpose_cli import InputError, UsageError
from dcpose_cli.batch.plan import plan_batch


@pytest.fixture
def tree(tmp_path):
    """A folder `in`, and a function that puts empty files there."""
    folder = tmp_path / "in"
    folder.mkdir()

    def add(*names):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return folder

    return add


def planned(folder, out):
    return {str(j.source.relative_to(folder)): str(j.target.relative_to(out)) for j in plan_batch(folder, out).jobs}


def test_targets_keep_tree_and_endings(tree, tmp_path):
    folder = tree("a/b.mp4", "a_b.mp4", "x.mp4", "x.mov", "X.MKV", "-dash.mp4", "new\nline.mp4", "notes.txt", "x.json")
    assert planned(folder, tmp_path / "out") == {
        "-dash.mp4": "-dash.mp4",
        "X.MKV": "X.MKV.mp4",
        "a/b.mp4": "a/b.mp4",
        "a_b.mp4": "a_b.mp4",
        "new\nline.mp4": "new\nline.mp4",
        "x.mov": "x.mov.mp4",
        "x.mp4": "x.mp4",
    }


def test_names_that_other_file_systems_confuse(tree, tmp_path):
    composed, split = (unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD"))
    names = [composed, split, "Case.mp4", "case.mp4", "d/Case.mp4", "D/Case.mp4", "alone.mp4"]
    targets = planned(tree(*names), tmp_path / "out")
    folded = {unicodedata.normalize("NFC", target).casefold() for target in targets.values()}
    assert len(folded) == len(names)
    assert targets["alone.mp4"] == "alone.mp4"


def test_longest_names_fit(tree, tmp_path):
    one, other = "x" * 250 + "1.mp4", "x" * 250 + "2.mp4"
    wide = "ü" * 125 + ".mp4"
    targets = planned(tree(one, other, wide), tmp_path / "out")
    assert len(set(targets.values())) == 3
    for target in targets.values():
        (tmp_path / Path(target).with_suffix(".json").name).write_bytes(b"")
        assert len(os.fsencode(target)) <= 255


def test_nothing_leaves_the_output_folder(tree, tmp_path):
    folder = tree("in.mp4")
    (tmp_path / "elsewhere.mp4").write_bytes(b"")
    (folder / "link.mp4").symlink_to("../elsewhere.mp4")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "deep.mp4").write_bytes(b"")
    (folder / "linked").symlink_to(tmp_path / "far")
    plan = plan_batch(folder, tmp_path / "out")
    assert [job.target for job in plan.jobs] == [tmp_path / "out" / "in.mp4", tmp_path / "out" / "link.mp4"]
    assert [(path.name, reason) for path, reason in plan.skipped] == [("linked", "a link to a folder")]


def test_what_is_no_file_is_skipped_with_a_reason(tree, tmp_path):
    folder = tree("good.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "nowhere.mp4").symlink_to("gone.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    plan = plan_batch(folder, tmp_path / "out")
    assert [job.source.name for job in plan.jobs] == ["good.mp4"]
    reasons = {path.name: reason for path, reason in plan.skipped}
    assert reasons == {
        "device.mp4": "a pipe or device",
        "loop.mp4": "Too many levels of symbolic links",
        "nowhere.mp4": "No such file or directory",
        "pipe.mp4": "a pipe or device",
    }


def test_outputs_inside_the_folder_are_no_inputs(tree):
    folder = tree("a.mp4", "out/a.mp4")
    assert planned(folder, folder / "out") == {"a.mp4": "a.mp4"}


def test_folders_that_cannot_be_meant(tree, tmp_path):
    folder = tree("a.mp4")
    with pytest.raises(InputError, match="no such folder"):
        plan_batch(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UsageError, match="dcpose estimate"):
        plan_batch(folder / "a.mp4", tmp_path / "out")
    with pytest.raises(UsageError, match="folder of the inputs"):
        plan_batch(folder, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no videos"):
        plan_batch(tmp_path / "empty", tmp_path / "out")


def test_what_macos_leaves_is_passed_over_and_other_names_are_given(tree, tmp_path):
    folder = tree("IMG_1.MOV", "._IMG_1.MOV", "sub/._x.mp4", "a.gif", "b.insv", ".DS_Store", "noending", "notes.txt")
    plan = plan_batch(folder, tmp_path / "out")
    assert [job.name for job in plan.jobs] == ["IMG_1.MOV", "a.gif", "b.insv"]
    assert plan.skipped == []
    assert [path.name for path in plan.others] == ["noending", "notes.txt"]


def test_a_folder_with_nothing_but_what_macos_leaves_has_no_videos(tree, tmp_path):
    with pytest.raises(InputError, match="no videos"):
        plan_batch(tree("._IMG_1.MOV"), tmp_path / "out")


def test_longest_first(tree, tmp_path):
    folder = tree("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    for name, size in (("a", 100), ("b", 600), ("d", 300)):
        (folder / f"{name}.mp4").write_bytes(b"x" * size)
    plan = plan_batch(folder, tmp_path / "out").longest_first()
    assert [(job.name, job.share) for job in plan.jobs] == [
        ("b.mp4", 0.6),
        ("d.mp4", 0.3),
        ("a.mp4", 0.1),
        ("c.mp4", 0),
    ]
