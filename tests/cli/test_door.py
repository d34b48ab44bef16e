"""Everything that reaches the terminal goes through cli/terminal.py, which lets no control character pass."""

from __future__ import annotations

import ast
import errno
import io
import os

import pytest

from dcpose_cli.cli import terminal
from dcpose_cli.cli.console import of_surroundings, run
from dcpose_cli.errors import InputError, OutputError

ESCAPE = "\x1b]0;TITLE\x07\x1b[2J\u202e\x9b31m"
#: Who may write to stdout or stderr, and how: the door, and the worker whose streams another process reads.
ALLOWED = {"cli/terminal.py", "evaluation/compare_worker.py"}
FORBIDDEN = ("print", "echo", "secho", "print_exc", "print_exception", "Console")


def test_nothing_else_writes_to_the_terminal(root):
    found = []
    for path in (root / "dcpose_cli").rglob("*.py"):
        name = path.relative_to(root / "dcpose_cli").as_posix()
        if name in ALLOWED:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                text = ast.unparse(node.func)
                if called in FORBIDDEN or text in ("sys.stdout.write", "sys.stderr.write"):
                    found.append(f"{name}:{node.lineno} {text}")
    assert found == []


@pytest.mark.parametrize("through", ["message", "say", "details", "show"])
def test_control_characters_are_written_out(capsys, through):
    if through == "message":
        terminal.message(f"a {ESCAPE} b\nc")
    elif through == "say":
        terminal.say(f"a {ESCAPE} b")
    elif through == "details":
        terminal.details(ValueError(f"a {ESCAPE} b"))
    else:
        from rich.table import Table

        table = Table("name", box=None)
        table.add_row(f"a {ESCAPE} b")
        terminal.show(table)
    out, err = capsys.readouterr()
    text = (out + err).replace("\n", "")
    assert text.isprintable()
    assert "TITLE" in text


def test_progress_titles_have_no_control_characters(monkeypatch):
    from rich.console import Console

    from dcpose_cli.cli import console
    from dcpose_cli.types import Progress

    page = io.StringIO()
    screen = Console(file=page, force_terminal=True, width=200)
    monkeypatch.setattr(console, "progress_console", lambda: screen)
    with console.progress_display(ESCAPE, quiet=False) as report:
        report(Progress(1, 10, 1))
    with console.batch_display(1, quiet=False) as display:
        display.show(ESCAPE, Progress(1, 10, 1))
    assert "\x07" not in page.getvalue()
    assert "\x1b]0;" not in page.getvalue()
    assert "\\x1b]0;TITLE" in page.getvalue()


def test_people_are_counted_from_the_first_frame_on(monkeypatch):
    from rich.console import Console

    from dcpose_cli.cli import console
    from dcpose_cli.types import Progress

    page = io.StringIO()
    screen = Console(file=page, force_terminal=True, width=200)
    monkeypatch.setattr(console, "progress_console", lambda: screen)
    with console.progress_display("a.mp4", quiet=False) as report:
        report(Progress(0, 10, 0))
    assert "0/10" in page.getvalue()
    assert "people" not in page.getvalue()
    with console.progress_display("a.mp4", quiet=False) as report:
        report(Progress(1, 10, 0))
    assert "0 people" in page.getvalue()


@pytest.mark.parametrize("args", [["models", "list"], ["doctor"], ["--version"], ["--help"], ["models", "info", "x"]])
def test_full_stdout(product, args):
    dcpose = product.Command("tiny", "tiny")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = dcpose.process(*args, capture_output=False, stdout=full, stderr=-1)
    assert result.returncode in ((5,) if "x" in args else (4,)), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 4, "disk full"),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), 4, "/x/y"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), 4, "TMPDIR"),
        (MemoryError(), 6, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), 6, "out of memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), 6, "out of memory"),
        (RuntimeError("can't start new thread"), 6, "out of memory"),
        (RuntimeError("operator torchvision::nms does not exist"), 6, "one pip command"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 9_000), 3, "File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 3, "/x/y: cannot be reached"),
        (OSError(errno.EIO, "Input/output error"), 1, "internal error"),
        (ValueError("a bug"), 1, "internal error"),
    ],
)
def test_errors_of_the_surroundings(capsys, error, code, says):
    def main():
        raise error

    assert run(main) == code
    assert says in capsys.readouterr().err
    assert (of_surroundings(error) is None) == (code == 1)


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be removed")
def test_working_folder_that_is_gone(capsys, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(lambda: pytest.fail("it was begun")) == 3
    assert capsys.readouterr().err == "dcpose: the working folder is gone; change to one that exists\n"


def test_messages_have_an_end(capsys):
    """Whatever a file names: the middle of what is very long is left out."""

    def main():
        raise InputError(f"begins {'x' * 10_000_000} ends", path="a" * 10_000_000, hint="y" * 10_000_000)

    assert run(main) == 3
    said = capsys.readouterr().err
    assert len(said) < 11_000
    assert said.startswith("dcpose: aaaa")


def test_stdout_that_fails(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(OutputError, match="<stdout>: disk full"):
        terminal.say("x")

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.raises(SystemExit):
        terminal.say("x")
