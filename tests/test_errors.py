"""Errors carry what happened, to what and what to do; their text is made of that."""

from __future__ import annotations

import copy
import errno
import pickle
from pathlib import Path

import pytest

from dcpose_cli import errors
from dcpose_cli._text import reason_of, whole_number
from dcpose_cli.errors import DCPoseError, InputError, OutputError, WeightsError
from dcpose_cli.files import output_error, require_free_target, sha256_of

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DCPoseError)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_alone_is_enough(kind):
    error = kind("something is wrong")
    assert str(error) == error.reason == "something is wrong"
    assert (error.path, error.hint) == (None, "")


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"path": Path("a/clip.mp4")}, "a/clip.mp4: no video; "),
        ({"hint": "try another"}, "no video; try another"),
        ({"path": "rtsp://camera", "hint": "try another"}, "rtsp://camera: no video; try another"),
        ({}, "no video"),
    ],
)
def test_the_line_is_made_of_the_parts(parts, text):
    error = InputError("no video", **parts)
    assert str(error) == text.removesuffix("; ")
    assert error.path == (str(parts["path"]) if "path" in parts else None)


def test_a_name_cannot_break_the_line():
    error = InputError("no video", path="two\nlines\x1b[31m")
    assert str(error) == r"'two\nlines\x1b[31m': no video"
    assert error.path == "two\nlines\x1b[31m"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_travel_between_processes_whole(kind, copied):
    """Workers of a batch send theirs through a pipe."""
    error = copied(kind("cannot be read", path="clip.mp4", hint="check the file"))
    assert type(error) is kind
    assert (error.reason, error.path, error.hint) == ("cannot be read", "clip.mp4", "check the file")
    assert str(error) == "clip.mp4: cannot be read; check the file"


def test_a_hint_more():
    error = OutputError("disk full", path="o.csv", hint="free some space").with_hint("the result is kept in o.json")
    assert str(error) == "o.csv: disk full; free some space; the result is kept in o.json"
    assert isinstance(error, OutputError)
    assert error.path == "o.csv"


def test_callers_need_not_parse_text(tmp_path):
    """What a program wants to know of the usual failures."""
    with pytest.raises(InputError) as unreadable:
        sha256_of(tmp_path / "none.mp4")
    assert unreadable.value.path == str(tmp_path / "none.mp4")
    (tmp_path / "there.json").touch()
    with pytest.raises(OutputError) as taken:
        require_free_target(tmp_path / "there.json", overwrite=False)
    assert (taken.value.path, taken.value.reason) == (str(tmp_path / "there.json"), "exists already")
    assert "--overwrite" in taken.value.hint
    full = output_error(OSError(errno.ENOSPC, "No space left on device"), Path("a.mp4"))
    assert (full.path, full.reason) == ("a.mp4", "disk full")
    from dcpose_cli.checkpoints.files import find_weights

    with pytest.raises(WeightsError) as missing:
        find_weights("no-such-model")
    assert missing.value.path == "no-such-model"
    assert "shipped pose models" in missing.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_reasons_and_names_have_an_end(kind):
    error = kind(f"begins {'x' * 10_000_000} ends", path="/" + "a" * 10_000_000 + ".json")
    assert len(str(error)) < 7_000
    assert error.reason.startswith("begins xxx")
    assert error.reason.endswith("xxx ends")
    assert "aaa.json: begins" in str(error)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "²", "٣", "1_0", "9" * 19, "9" * 5000, " 1"])
def test_texts_that_are_no_whole_numbers(text):
    assert whole_number(text) is None
    assert whole_number("007") == 7
    assert whole_number("9" * 18) == 10**18 - 1


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda: {}["image_id"], "'image_id' is missing"),
        (lambda: [][3], "a list or a line of it is too short"),
        (lambda: int(None), "a value is of another kind than its layout has"),
        (lambda: None.get("x"), "a value is of another kind than its layout has"),
        (lambda: int(float("inf")), "a number is too large"),
        (lambda: float("o\n1"), "could not convert string to float: 'o\\\\n1'"),
        (lambda: next(iter(())), "StopIteration"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_pythons_words(read, says):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the kinds are in the table
        read()
    assert reason_of(caught.value) == says
