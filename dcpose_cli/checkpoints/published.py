"""Published models on this machine: fetched, converted to our files, removed."""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path

from ..errors import UsageError, WeightsError
from ..files import output_error
from ..people.download import fetch_detector
from ..published.download import Report
from ..published.store import (
    converted_hash,
    detector_path,
    file_sha256,
    forget_converted,
    forget_partial,
    hash_problem,
    models_folder,
    note_converted,
    obtained,
)
from ..published.table import DETECTOR, PUBLISHED, PublishedModel
from .files import WEIGHTS_NAME, verify
from .headers import read_metadata
from .heads import shipped_head
from .importing import import_checkpoint


def published_model(name: str) -> PublishedModel:
    """The entry of a name; a detector's may end in ".pt". Raises UsageError, which names the nearest."""
    entry = PUBLISHED.get(name) or PUBLISHED.get(name.removesuffix(".pt"))
    if entry is None:
        near = difflib.get_close_matches(name, PUBLISHED, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "dcpose models available lists them"
        raise UsageError("there is no published model of this name", path=name, hint=hint)
    return entry


def is_fetched(entry: PublishedModel) -> bool:
    """Whether the model is here already; a file that is no such model does not count."""
    if entry.kind == DETECTOR:
        path = detector_path(entry.file)
        return path.is_file() and not hash_problem(entry, file_sha256(path))
    path = models_folder() / entry.name / WEIGHTS_NAME
    with suppress(WeightsError):
        return path.is_file() and read_metadata(path).get("name") == entry.name
    return False


def get_model(
    name: str,
    *,
    file: Path | None = None,
    mirror: str | None = None,
    offline: bool = False,
    report: Report | None = None,
) -> Path:
    """Fetch a published model and store it in the user's folder of models; returns its file.

    A pose model is converted and its crop, joints and decoding are the table's; a detector stays as it is. A model that
    is here already is left alone, without a request, unless `file` is given. file, mirror, offline, report: see
    published.store.obtained. Raises UsageError, WeightsError, InputError, OutputError.
    """
    entry = published_model(name)
    if file is None and is_fetched(entry):
        return detector_path(entry.file) if entry.kind == DETECTOR else models_folder() / entry.name / WEIGHTS_NAME
    if entry.kind == DETECTOR:
        return fetch_detector(entry, file=file, mirror=mirror, offline=offline, report=report)
    head = shipped_head(entry.head) if entry.head else None
    if head is not None:
        verify(head)
    with obtained(entry, file=file, mirror=mirror, offline=offline, report=report) as found:
        made = import_checkpoint(
            found, models_folder() / entry.name, name=entry.name, joints=entry.joints, input_size=entry.input_size,
            decoding=entry.decoding, source=f"{entry.url}, sha256 {file_sha256(found)}", head=head, overwrite=True,
        )  # fmt: skip
        note_converted(made)
    return made


def verify_fetched(name: str) -> str:
    """SHA-256 of a fetched model's file, after comparing it with the one it had when it came.

    Of a detector that is the published file; a pose model was converted, and the hash of the converted file was
    remembered then. Raises UsageError for a name that is no published model's; WeightsError when the model is not here,
    or its file is another one than at first.
    """
    entry = published_model(name)
    again = f"run dcpose models remove {entry.name} and dcpose models get {entry.name}"
    if entry.kind == DETECTOR:
        path = detector_path(entry.file)
        found = file_sha256(path)
        problem = hash_problem(entry, found)
    else:
        path = models_folder() / entry.name / WEIGHTS_NAME
        found, known = file_sha256(path), converted_hash(path)
        if not known:
            raise WeightsError("no hash of it was remembered: it cannot be compared", path=path, hint=again)
        problem = (
            "" if found == known else f"not the file that was fetched (sha256 {found[:12]}..., then {known[:12]}...)"
        )
    if problem:
        raise WeightsError(problem, path=path, hint=again)
    return found


def remove_model(name: str) -> bool:
    """Remove a fetched model and what is left of its download; whether there was something. Its hash is remembered.

    Raises UsageError, OutputError.
    """
    entry = published_model(name)
    detector = entry.kind == DETECTOR
    path = detector_path(entry.file) if detector else models_folder() / entry.name / WEIGHTS_NAME
    there = path.is_file()
    try:
        path.unlink(missing_ok=True)
        if not detector:
            forget_converted(path)
        if not detector and path.parent.is_dir():
            path.parent.rmdir()
        return forget_partial(entry) or there
    except OSError as error:
        raise output_error(error, path) from error
