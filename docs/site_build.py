"""What mkdocs does beside the pages in docs/ (a hook of mkdocs.yml).

It writes the command-line reference from the commands themselves, takes in the Markdown files of the repository that
the pages link to, and turns links that leave docs/ into links between pages of the site.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
#: Files outside docs/ that become pages, or pictures of these; they appear under repository/ on the site.
TAKEN_IN = (
    "CHANGELOG.md",
    "benchmarks/README.md",
    "models/*/card.md",
    "models/*/*.jpg",
    "models/*/*.png",
    "sample_videos/README.md",
    "tests/faults/README.md",
)
_PREFIX = "repository/"
_LINK = re.compile(r"(!?)\[([^]\[]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated page and the files of the repository."""
    files.append(File.generated(config, "cli.md", content=command_reference()))
    for pattern in TAKEN_IN:
        for path in sorted(ROOT.glob(pattern)):
            name = _PREFIX + path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path), inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between the repository's folders become links between pages; links to anything else become plain text."""
    source = PurePosixPath(page.file.src_uri)
    folder = PurePosixPath(str(source).removeprefix(_PREFIX)).parent
    inside = str(source).startswith(_PREFIX)
    if not inside:
        folder = PurePosixPath("docs") / folder

    def rewritten(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups(default="")
        if re.match(r"[a-z]+:", target):
            return match.group()
        path = PurePosixPath(os.path.normpath(folder / target).replace(os.sep, "/"))
        uri = str(path.relative_to("docs")) if path.is_relative_to("docs") else f"{_PREFIX}{path}"
        if files.get_file_from_path(uri) is None:
            return match.group() if path.is_relative_to("docs") else text
        here = os.path.relpath(uri, source.parent).replace(os.sep, "/")
        return f"{mark}[{text}]({here}{anchor})"

    return _LINK.sub(rewritten, markdown)


def command_reference() -> str:
    """The page of all commands and options, from the Typer program."""
    from typer.main import get_command

    from dcpose_cli.cli.app import app

    lines = ["# Command line", "", "Made from the program itself. `dcpose COMMAND --help` prints the same.", ""]
    for words, command in _commands("dcpose", get_command(app)):
        lines += [f"## `{words}`", "", (command.help or "").strip(), ""]
        lines += ["```text", _usage(words, command), "```", ""]
        lines += [f"- `{_name(a)}`: {a.help}" for a in _arguments(command) if a.help]
        lines += _options(command)
    return "\n".join(lines)


def _commands(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command that does something, in the order of --help."""
    for name, part in getattr(command, "commands", {}).items():
        yield from _commands(f"{words} {name}", part)
    if not hasattr(command, "commands"):
        yield words, command


def _usage(words: str, command: Any) -> str:
    return " ".join([words, *map(_name, _arguments(command)), "[OPTIONS]"])


def _arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def _name(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if name.endswith("...") or argument.nargs == 1 else f"{name}..."


def _options(command: Any) -> Iterator[str]:
    """A table of the options of each panel of --help."""
    context = command.context_class(command, info_name=command.name)
    panels: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False) or parameter.param_type_name == "argument":
            continue
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
        text = (parameter.help or "").strip().replace("|", "\\|")
        default = parameter.get_default(context)
        shown = "" if default in (None, "", ()) or isinstance(default, bool) else f"`{default}`"
        if parameter.required:
            shown = "required"
        panel = getattr(parameter, "rich_help_panel", None) or "Options"
        panels.setdefault(panel, []).append(f"| {names} | {text} | {shown} |")
    for panel, rows in panels.items():
        yield from ["", f"| {panel} | meaning | default |", "|---|---|---|", *rows]
    yield ""
