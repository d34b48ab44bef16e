"""Writing a result as PoseTrack18 JSON while the video runs, in flat memory."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from ..files import AtomicFile, output_error
from ..skeleton import JOINT_NAMES
from ..types import FrameResult, Person
from .format import (
    FORMAT_VERSION,
    FRAMES_PER_SEQUENCE,
    SCHEMA_VERSION,
    annotation_id,
    category_of,
    image_entry,
    image_id,
)
from .serialization import compact_json, written

_OWN_KEYS: Final = ("format", "schema_version", "frames", "people", "pts", "damaged_frames")


class PoseTrackWriter:
    """Streams FrameResults into one PoseTrack18 JSON file that appears complete or not at all.

    People go to an unnamed temporary file beside the target as they come; per frame only its number and its PTS
    stay in memory (16 bytes). `close` writes the final file under a temporary name, syncs it and renames it. Leaving
    the context by an exception removes everything. Equal input gives equal bytes.

    path: the target. header: what is known at the start of the `dcpose` object (dcpose_cli.results.posetrack); must
    be JSON without NaN. overwrite: replace an existing target. joints: names of the joints of everybody.
    Raises OutputError when the target exists (without overwrite), its folder is missing or read-only, or the disk is
    full.
    """

    def __init__(
        self, path: Path, header: Mapping[str, Any], overwrite: bool = False, *, joints: Sequence[str] = JOINT_NAMES
    ) -> None:
        self._path, self._joints = Path(path), tuple(joints)
        self._header = dict(header)
        _check_header(self._header)
        self._indexes = array("q")
        self._pts = array("q")
        self._damaged = array("q")
        self._people = 0
        self._file = AtomicFile(self._path, overwrite=overwrite)
        try:
            self._spool: IO[bytes] = tempfile.TemporaryFile(dir=self._path.parent)  # noqa: SIM115
        except OSError as error:
            self._file.discard()
            raise output_error(error, self._path) from error
        self._open = True

    def write(self, result: FrameResult) -> None:
        """Add one frame, with people or without; frames come in ascending `index`. Raises OutputError, ValueError."""
        if not self._open:
            raise ValueError("write to a PoseTrackWriter that is closed")
        if result.index < 0 or (self._indexes and result.index <= self._indexes[-1]):
            raise ValueError(f"frame {result.index} is not later than the frame before it")
        image = image_id(result.index)
        try:
            for number, person in enumerate(result.people):
                separator = ",\n" if self._people else "\n"
                if person.joints != self._joints:
                    raise ValueError(f"a person has {len(person.joints)} joints, the file {len(self._joints)} others")
                entry = annotation(person, image, number)
                self._spool.write((separator + compact_json(entry)).encode())
                self._people += 1
        except OSError as error:
            raise output_error(error, self._path) from error
        self._indexes.append(result.index)
        self._pts.append(result.pts)
        if result.damaged:
            self._damaged.append(result.index)

    def close(self, extra_header: Mapping[str, Any] | None = None) -> None:
        """Join the parts and publish the file.

        extra_header: what only the end of a run knows (counts of damage, sha256 of the MP4); replaces equal keys.
        Raises OutputError.
        """
        try:
            self.finish(extra_header).commit()
        finally:
            self.abort()

    def finish(self, extra_header: Mapping[str, Any] | None = None) -> AtomicFile:
        """Join the parts of a file that is to be published with others; see `close`. Raises OutputError."""
        if not self._open:
            raise ValueError("close of a PoseTrackWriter that is closed")
        try:
            header = self._header | dict(extra_header or {})
            _check_header(header)
            with self._file.temp.open("wb") as out:
                self._join(header, out)
            self._close_spool()
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise output_error(error, self._path) from error
            raise
        self._open = False
        return self._file

    def abort(self) -> None:
        """Drop everything that is not published; a second call, or one after `close`, does nothing."""
        self._open = False
        self._close_spool()
        self._file.discard()

    def _close_spool(self) -> None:
        with contextlib.suppress(OSError):  # closing flushes, and a full disk says no once more
            self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._open:
            self.close()
        else:
            self.abort()

    def _join(self, header: Mapping[str, Any], out: IO[bytes]) -> None:
        versions = {"format": FORMAT_VERSION, "schema_version": SCHEMA_VERSION}
        own = versions | {"frames": len(self._indexes), "people": self._people}
        head = own | {"video": None} | {key: value for key, value in header.items() if key not in _OWN_KEYS}
        out.write(b'{"dcpose":' + compact_json(head)[:-1].encode())
        _write_numbers(out, "damaged_frames", self._damaged)
        _write_numbers(out, "pts", self._pts)
        out.write(b'},\n"images":[')
        counts = Counter(index // FRAMES_PER_SEQUENCE for index in self._indexes)
        for number, index in enumerate(self._indexes):
            entry = image_entry(index, counts[index // FRAMES_PER_SEQUENCE])
            out.write(((",\n" if number else "\n") + compact_json(entry)).encode())
        out.write(b'],\n"annotations":[')
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, out, 1 << 20)
        out.write(b'],\n"categories":[' + compact_json(category_of(self._joints)).encode() + b"]}\n")


def _check_header(header: Mapping[str, Any]) -> None:
    """A header that is not JSON is an error of the caller; it is raised before the video is processed."""
    try:
        compact_json(dict(header))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the header of a PoseTrack file must be JSON: {error}") from error


def _write_numbers(out: IO[bytes], key: str, numbers: Iterable[int]) -> None:
    out.write(f',"{key}":['.encode())
    for position, number in enumerate(numbers):
        out.write(f",{number}".encode() if position else f"{number}".encode())
    out.write(b"]")


def annotation(person: Person, image: int, number: int) -> dict[str, Any]:
    """The `annotations` entry of person `number` of the image with id `image`."""
    numbers = written(person)
    keypoints: list[float] = []
    for joint in numbers.joints:
        keypoints += [0, 0, 0] if joint is None else [joint[0], joint[1], 1]
    return {
        "image_id": image,
        "id": annotation_id(image, number),
        "track_id": numbers.track_id,
        "category_id": 1,
        "keypoints": keypoints,
        "scores": [0.0 if joint is None else joint[2] for joint in numbers.joints],
        "bbox": numbers.bbox,
        "score": numbers.score,
    } | ({"interpolated": True} if person.interpolated else {})
