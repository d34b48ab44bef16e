"""README and docs: links lead somewhere, commands parse, and the commands of README have names of their own."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^]\[]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
INSTALL_AND_RUN = "pip install . && dcpose estimate sample_videos/sprint.mp4 --out result.mp4"
INSTALL_AND_TEST = "pip install -e '.[test]' && pytest"


def anchors(page):
    """Anchors of a page's headings, as GitHub and mkdocs make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def blocks(text):
    """Lines of the code blocks of a page, fenced or indented; continued lines are joined."""
    inside, lines = False, []
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif inside or line.startswith("    "):
            lines.append(line.strip())
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def commands(line):
    """Arguments of each `dcpose` call in a line of shell."""
    words = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    words.whitespace_split = True
    call = None
    for word in [*words, ";"]:
        if set(word) <= set(";&|"):
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif word == "dcpose":
            call = []


def calls(page):
    """Every `dcpose` call in the code blocks of a page, placeholders such as `dcpose COMMAND` left out."""
    for line in blocks(page.read_text(encoding="utf-8")):
        if re.search(r"(^|[;&] *|do )dcpose ", line):
            yield from (call for call in commands(line) if not call[0].isupper())


@cache
def program():
    from typer.main import get_command

    from dcpose_cli.cli.app import app

    return get_command(app)


def parsed(call):
    """(command, values) of a call; unknown commands and options, and arguments that are missing, raise."""
    command, arguments = program(), list(call)
    context = command.context_class(command, info_name="dcpose")
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        command = command.commands[arguments.pop(0)]
        context = command.context_class(command, info_name=command.name, parent=context)
    values, left, _ = command.make_parser(context).parse_args(args=arguments)
    assert left == [], f"not understood: {left}"
    if "help" not in values:
        missing = [p.name for p in command.params if p.required and values.get(p.name) in (None, ())]
        assert missing == [], f"missing: {missing}"
    return command, values


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    wrong = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_parse(page):
    for call in calls(page):
        try:
            parsed(call)
        except Exception as error:
            raise AssertionError(f"dcpose {shlex.join(call)}: {error!r}") from error


@pytest.mark.parametrize(
    "line",
    [
        "dcpose estimat a.mp4",
        "dcpose estimate a.mp4 --uot b.mp4",
        "dcpose convert a.json --to csv",
        "dcpose evaluate a",
    ],
)
def test_the_check_of_commands_finds_mistakes(line):
    with pytest.raises(Exception, match=r"estimat|uot|out|pred"):
        parsed(next(commands(line)))


def test_readme_is_short_and_holds_the_two_lines():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 125
    assert f"    {INSTALL_AND_RUN}\n" in text
    assert f"    {INSTALL_AND_TEST}\n" in text


def outputs(call):
    """Files that a call writes, as far as its options name them."""
    _, values = parsed(call)
    out = Path(values["out"]) if values.get("out") else None
    if call[0] == "estimate":
        return {out, out.with_suffix(".json")}
    if call[0] == "convert":
        return {out, out.with_stem(f"{out.stem}_angles"), out.with_stem(f"{out.stem}_quality")}
    if call[0] == "report":
        return {out or Path(call[1]).with_suffix(".html")}
    return {out} - {None}


def test_commands_of_readme_write_different_files_and_read_what_is_there():
    """The block runs from top to bottom after the first command, without --overwrite."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    written = set()
    for line in blocks(text):
        for call in commands(line) if line.startswith(("dcpose ", "pip install . ")) else ():
            if call[0] in ("train", "COMMAND"):  # the reader's own labels
                continue
            inputs = [Path(word) for word in call[1:] if word.endswith((".mp4", ".json", "/"))]
            new = outputs(call)
            assert not new & written, call
            assert all((ROOT / path).exists() or path in written for path in inputs if path not in new), call
            written |= new
    assert {Path("result.mp4"), Path("result.json"), Path("plaza_angles.csv"), Path("plaza_pose.html")} <= written


def test_pages_followed_one_after_another_write_different_files():
    """README, then the Python page and the guides, in one folder; `batch` alone may meet its own results again."""
    written = {}
    for page in (ROOT / "README.md", ROOT / "docs/python.md", *sorted((ROOT / "docs/guides").glob("*.md"))):
        new = {Path(name) for name in re.findall(r'\bout="([^"]+)"', page.read_text(encoding="utf-8"))}
        for call in calls(page):
            if call[0] not in ("batch", "doctor"):
                _, values = parsed(call)
                new |= outputs(call) | {Path(work) for work in [values.get("work")] if work}
        assert {path: written[path] for path in new & set(written)} == {}, page.name
        written |= dict.fromkeys(new, page.name)
    assert {Path("plaza_labels"), Path("labels"), Path("gait_quality.csv"), Path("plaza_python.mp4")} <= set(written)


def test_readme_evaluates_the_clip_it_analysed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    analysed = Path(shlex.split(INSTALL_AND_RUN)[-3]).stem
    assert f"dcpose evaluate sample_videos/{analysed}.json result.json" in text


def test_page_of_options_has_the_defaults_of_the_program():
    """Rows of the table with one option and a plain default, and options in the text with a number in brackets."""
    text = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(--[a-z-]+)` \|.*\| `?(auto|none|person-n|[\d.]+)`?[^|]*\|$", text, re.MULTILINE))
    said |= dict(re.findall(r"`(--[a-z-]+)` \(([\d.]+)", text))
    real = {name: option.default for option in program().commands["estimate"].params for name in option.opts}
    assert {"--conf", "--keep-conf", "--track-memory", "--engine", "--interval", "--smooth"} <= said.keys()
    assert len(said) >= 14
    for name, value in said.items():
        default = real[name]
        assert (float(value) == default) if value[0].isdigit() else (value == (default or "none")), name


def test_page_of_the_result_file_has_every_key_of_the_header():
    """The keys that the docstring of dcpose_cli.results.posetrack lists."""
    from dcpose_cli.results import posetrack, schema

    listed = re.findall(r"^ {17}([a-z_]+(?:, [a-z_]+)*) ", posetrack.__doc__, re.MULTILINE)
    keys = {key for names in listed for key in names.split(", ")}
    assert {field.name for field in fields(schema._Header)} | {"pts", "selection", "edits"} <= keys | {"smoothing"}
    text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    assert {key for key in keys if f"`{key}`" not in text} == set()


def test_page_of_formats_has_every_format_and_angle():
    from dcpose_cli.export.angles import FLEXIONS, SEGMENTS
    from dcpose_cli.export.formats import FORMATS

    text = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    left = {name for name in [*FLEXIONS, *SEGMENTS] if not name.startswith("right_")}
    assert {name for name in [*FORMATS, *left] if f"`{name}`" not in text} == set()
