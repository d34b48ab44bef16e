"""Batches whose folders are URLs that fsspec can open ("s3://bucket/videos").

Each job downloads its video to a temporary folder and uploads the result under a temporary name, which is then changed:
first the video, last its JSON. The manifest is kept in a temporary folder during a run and uploaded after every line.
URLs cannot be locked, so only one run may use an output folder at a time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from .._scratch import scratch_folder
from .._text import one_line
from ..config import EstimateConfig
from ..errors import DCPoseError, InputError, OutputError, UsageError
from ..files import TEMP_SUFFIX, printable
from .manifest import MANIFEST_NAME, Line, read_manifest
from .plan import VIDEO_SUFFIXES, Job, Plan, RemoteFiles, is_video_name, targets_of
from .summary import SUMMARY_NAME


def is_url(folder: str) -> bool:
    """Whether a folder's name is a URL."""
    return "://" in folder


def plan_remote(folder: str, out: str, staging: Path, *, config: EstimateConfig) -> Plan:
    """`plan_batch` for URLs (one of the two may be a path). staging: an empty folder for the run's own files.

    Raises InputError, OutputError or UsageError.
    """
    source, target = _Folder(folder, InputError), _Folder(out, OutputError)
    if str(source) == str(target):
        raise UsageError("this is the folder of the inputs", path=out, hint="name another with --out")
    names, skipped = source.videos(target)
    if not names and not skipped:
        raise InputError(f"no videos in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})", path=folder)
    here, there = staging / "in", staging / "out"
    there.mkdir(parents=True)
    manifest = there / MANIFEST_NAME
    for name in (MANIFEST_NAME, SUMMARY_NAME):
        if target.exists(name):
            target.get(name, there / name)

    def publish() -> None:
        target.put(manifest, MANIFEST_NAME)
        if (there / SUMMARY_NAME).is_file():
            target.put(there / SUMMARY_NAME, SUMMARY_NAME)

    known = {} if config.overwrite else read_manifest(there)
    jobs = []
    for name, output in zip(names, targets_of([Path(name) for name in names]), strict=True):
        json = output.with_suffix(".json").as_posix()
        remote = RemoteFiles(source.url(name), target.url(output.as_posix()), target.url(json))
        line = known.get(name)
        done = line is not None and line.state == "done" and line.remote == fingerprint(remote)
        jobs.append(Job(here / name, there / output, done, name, output.as_posix(), before=line, remote=remote))
    return Plan(here, there, jobs, skipped, publish=publish)


def fingerprint(remote: RemoteFiles) -> str:
    """A hash of the versions of an input and its result; empty when one of them is missing."""
    digest = hashlib.sha256()
    for url in (remote.source, remote.video, remote.json):
        fs, path = _open(url, InputError)
        try:
            digest.update(str(fs.ukey(path)).encode())
        except Exception:  # every file system has errors of its own
            return ""
    return digest.hexdigest()


@contextmanager
def staged(job: Job, remote: RemoteFiles) -> Iterator[tuple[Job, Callable[[Line], Line]]]:
    """The job on local copies, and a function that uploads the result and completes the manifest's line."""
    with scratch_folder() as folder:
        local = replace(job, source=folder / "in" / job.source.name, target=folder / "out" / job.target.name)
        local.source.parent.mkdir()
        _Folder(remote.source, InputError).get("", local.source)

        def put(line: Line) -> Line:
            _Folder(remote.video, OutputError).put(local.target, "")
            _Folder(remote.json, OutputError).put(local.target.with_suffix(".json"), "")
            return replace(line, remote=fingerprint(remote))

        yield local, put


class _Folder:
    """A folder or a file at a URL. Failures raise `error`."""

    def __init__(self, url: str, error: type[DCPoseError]) -> None:
        self._fs, self._root = _open(url, error)
        self._url, self._error = url.rstrip("/"), error

    def __str__(self) -> str:
        return str(self._root)

    def url(self, name: str) -> str:
        """The URL of a file in the folder."""
        return f"{self._url}/{name}"

    def exists(self, name: str) -> bool:
        return bool(self._try(lambda: self._fs.exists(self._path(name))))

    def get(self, name: str, path: Path) -> None:
        self._try(lambda: self._fs.get_file(self._path(name), str(path)))

    def put(self, path: Path, name: str) -> None:
        """Upload under a temporary name, then rename."""
        final = self._path(name)
        folder, _, last = final.rpartition("/")
        part = f"{folder}/.{last}.{secrets.token_hex(4)}{TEMP_SUFFIX}"

        def put() -> None:
            self._fs.makedirs(folder, exist_ok=True)
            self._fs.put_file(str(path), part)
            self._fs.mv(part, final)

        self._try(put)

    def videos(self, other: _Folder) -> tuple[list[str], list[tuple[Path, str]]]:
        """Names of the videos in the folder, but not in `other`; and the names that are not safe as local paths."""
        self._fs.invalidate_cache()
        if not self._try(lambda: self._fs.isdir(self._root)):
            raise InputError("there is no such folder", path=self._url, hint="check the address")
        root, names, skipped = self._root.rstrip("/") + "/", [], []
        for path in sorted(self._try(lambda: self._fs.find(self._root))):
            name = path.removeprefix(root)
            if not is_video_name(PurePosixPath(name)) or path.startswith(f"{other}/"):
                continue
            parts = name.split("/")
            if name == path or any(part in ("", ".", "..") for part in parts) or "\0" in name:
                skipped.append((Path(name), "a name that leads out of the folder"))
            else:
                names.append(name)
        return names, skipped

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    def _try(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # every file system has errors of its own
            reason = one_line(error, 160)
            raise self._error(reason, path=self._url, hint="check the address and your rights") from error


def _open(url: str, error: type[DCPoseError]) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(url)
        return fs, str(root)
    except Exception as problem:  # an unknown protocol, a package that is missing, credentials
        reason = one_line(problem, 160)
        raise error(f"cannot open {printable(url)}: {reason}; install what fsspec needs for it") from problem
