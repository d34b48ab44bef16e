"""Folders of videos: which there are, where their results go, which are finished (run.py does the rest)."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

from .._paths import SINGLE, models_dir, shipped_model
from .._text import whole_number
from ..config import DEFAULTS, EstimateConfig
from ..engines import AUTO
from ..errors import InputError, UsageError
from ..files import complete_set, marked_name, sha256_of
from ..results.header import EARLIER_SETTINGS, model_and_detector
from ..results.posetrack import read_posetrack
from ..sequences import input_hash, is_numbered, is_picture_name
from .manifest import Line, read_manifest

#: Endings taken for videos.
VIDEO_SUFFIXES: Final = frozenset(
    {
        *(
            ".360",
            ".3g2",
            ".3gp",
            ".asf",
            ".avi",
            ".dv",
            ".f4v",
            ".flv",
            ".gif",
            ".insv",
            ".lrv",
            ".m2t",
            ".m2ts",
            ".m2v",
        ),
        *(".m4v", ".mjpeg", ".mjpg", ".mkv", ".mod", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt"),
        *(".tod", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    }
)
#: What macOS leaves beside files on other file systems: AppleDouble, never a video.
_APPLE_DOUBLE: Final = "._"
#: Longest name of a result without its ending, in bytes: with `.json` it must still be a file name.
_MAX_STEM_BYTES: Final = 240


@dataclass(frozen=True, slots=True)
class RemoteFiles:
    """URLs of a job that is not on local files: its video, and the two files of its result."""

    source: str
    video: str
    json: str


@dataclass(frozen=True, slots=True)
class Job:
    """One video of a batch.

    name, output: paths of the video and its result below the two folders, as the manifest has them. done: its result
    is complete and belongs to this input. outdated: it is done, but was made with other models or settings than those
    asked for now. before: what the manifest said of it. remote: the URLs of
    its files, if they are not local (remote.py). share: of the bytes that the batch has to go through.
    """

    source: Path
    target: Path
    done: bool
    name: str = ""
    output: str = ""
    outdated: bool = False
    before: Line | None = None
    remote: RemoteFiles | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """jobs: the videos, in order of their paths. skipped: what looks like one and is none, with the reason.

    publish: to be called when the manifest has changed. others: files whose names are not those of videos; hidden
    files are not among them.
    """

    folder: Path
    out: Path
    jobs: list[Job]
    skipped: list[tuple[Path, str]]
    publish: Callable[[], None] = lambda: None
    others: list[Path] = field(default_factory=list)

    def longest_first(self) -> Plan:
        """The same jobs in the order for several at a time: the largest file first, so that none is left for the end.

        Files that cannot be asked for their size come last, in the order they have.
        """
        sizes = {job.name: 0 if job.done else _size(job.source) for job in self.jobs}
        total = sum(sizes.values()) or 1
        jobs = [replace(job, share=sizes[job.name] / total) for job in self.jobs]
        return replace(self, jobs=sorted(jobs, key=lambda job: -job.share))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def plan_batch(folder: Path, out: Path, *, config: EstimateConfig | None = None) -> Plan:
    """Every video below `folder` with its target below `out`: the same tree, the same name with the ending `.mp4`.

    A folder of numbered pictures without videos is a video, too. Another ending is kept before it (`a.mov` ->
    `a.mov.mp4`), so that `a.mov` and `a.mkv` stay apart. Names too long for that are cut, and names that some file
    systems take for one (`A.mp4`, `a.mp4`) told apart, by a hash. Links to files are followed, links to folders are
    not, and neither is `out` when it lies inside `folder`. config: what the results are to be made with; nothing is
    done already when it says `overwrite`. Raises InputError, UsageError or WeightsError.
    """
    settings = config or EstimateConfig()
    if not folder.exists():
        raise InputError("there is no such folder", path=folder, hint="check the path")
    if not folder.is_dir():
        raise UsageError("this is a file", path=folder, hint="use dcpose estimate for a single video")
    if folder.resolve() == out.resolve():
        raise UsageError("this is the folder of the inputs", path=out, hint="name another with --out")
    sources, skipped, others = _videos(folder, out)
    names = [_below(source, folder) for source in sources]
    targets = targets_of(names)
    _require_no_input([out / target for target in targets], sources)
    known, wanted = read_manifest(out), _fingerprint(settings)
    jobs = [
        _job(source, name.as_posix(), out, target, settings, known, wanted)
        for source, name, target in zip(sources, names, targets, strict=True)
    ]
    if not jobs and not skipped:
        raise InputError(f"no videos in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})", path=folder)
    return Plan(folder, out, jobs, skipped, others=others)


def _require_no_input(targets: list[Path], sources: list[Path]) -> None:
    """Raise UsageError where a result would take the name of a video of the batch: `out` holds the inputs' folder."""
    inputs = {os.path.realpath(source) for source in sources}
    for target in targets:
        if os.path.realpath(target) in inputs:
            raise UsageError("this is one of the inputs", path=target, hint="name another folder with --out")


def _below(source: Path, folder: Path) -> Path:
    """The name of a video below the folder; the folder's own where it is a video of pictures itself."""
    return Path(folder.resolve().name) if source == folder else source.relative_to(folder)


def _job(
    source: Path,
    name: str,
    out: Path,
    output: Path,
    config: EstimateConfig,
    known: Mapping[str, Line],
    wanted: Mapping[str, Any],
) -> Job:
    line, target = known.get(name), out / output
    complete_set(target)  # the last run may have been killed while it gave the files their names
    made = None if config.overwrite else _made_by(source, target, line)
    outdated = made is not None and any(
        made.get(key, EARLIER_SETTINGS.get(key)) != value for key, value in wanted.items()
    )
    return Job(source, target, made is not None, name, output.as_posix(), outdated, line)


def _made_by(source: Path, target: Path, line: Line | None) -> Mapping[str, Any] | None:
    """Models and settings of the result that is there, if it is whole and of this input.

    The manifest is believed where it knows the files as they are; what it does not know is looked into.
    """
    if line is not None and is_finished(line, source, target):
        return line.made_by
    header = finished_header(source, target)
    return None if header is None else model_and_detector(header)


def is_finished(line: Line, source: Path, target: Path) -> bool:
    """Whether a line of the manifest says that this result is there, and nothing has changed since."""
    if line.state != "done" or line.source is None or line.video is None or line.json is None:
        return False
    stamps = ((line.source, source), (line.video, target), (line.json, target.with_suffix(".json")))
    return all(stamp.fits(path) for stamp, path in stamps)


#: Settings that decide the joints, and are the same in EstimateConfig and in the header of a result.
_DECISIVE: Final = (
    *("conf", "keep_conf", "tracker", "track_iou", "track_memory", "fill"),
    *("interval", "box_scale", "flip_test", "share_crops", "detect_every"),
)


def _fingerprint(config: EstimateConfig) -> dict[str, Any]:
    """What decides the joints, as the header of a result names it; a detector that is not here yet is left out."""
    from ..checkpoints.files import find_models  # late: it loads torch

    names = (*_DECISIVE, "start", "end", "max_frames", "shot_fps", "deinterlace")
    out: dict[str, Any] = {name: getattr(config, name) for name in names} | {"keep_conf": config.tracked_conf}
    out["fix_swaps"] = config.repairs_sides
    if config.detect_size != DEFAULTS.detect_size:
        out["detect_size"] = whole_number(config.detect_size) or config.detect_size
    if config.engine != AUTO:
        out["engine"] = config.engine
    out["model"], *out["ensemble"] = map(sha256_of, find_models(config.model, config.further_models))
    out["single"] = config.model.endswith(SINGLE)
    out["selection"] = config.selection.header()
    detector = find_detector(config.detector)
    if detector.is_file():
        out["detector"] = sha256_of(detector)
    return out


def find_detector(name: str | Path) -> Path:
    """Where the weights of a detector in a file or folder, or of a shipped one, would be."""
    path = Path(name)
    shipped = shipped_model(name, "model.safetensors", models_dir())
    return shipped or (path / "model.safetensors" if path.is_dir() else path)


def _videos(folder: Path, out: Path) -> tuple[list[Path], list[tuple[Path, str]], list[Path]]:
    """Videos below a folder, folders of numbered pictures among them, sorted; what has a video's name but is none, with
    the reason; other files."""
    skip = out.resolve()
    found: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    others: list[Path] = []

    def unreadable(error: OSError) -> None:
        skipped.append((Path(error.filename), error.strerror or "cannot be read"))

    for root, directories, names in os.walk(folder, onerror=unreadable):
        paths = [Path(root) / name for name in sorted(directories)]
        skipped += [(path, "a link to a folder") for path in paths if path.is_symlink()]
        directories[:] = [path.name for path in paths if not path.is_symlink() and path.resolve() != skip]
        for path in (Path(root) / name for name in sorted(names)):
            if is_video_name(path):
                reason = _unfit(path)
                if reason:
                    skipped.append((path, reason))
                else:
                    found.append(path)
            elif not path.name.startswith("."):
                others.append(path)
        pictures = [path for path in others if path.parent == Path(root) and is_picture_name(path)]
        if is_numbered(pictures) and not any(path.parent == Path(root) for path in found):
            others = [path for path in others if path not in set(pictures)]
            found.append(Path(root))
    return sorted(found), skipped, others


def is_video_name(path: PurePath) -> bool:
    """Whether a file is taken for a video by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(_APPLE_DOUBLE)


def _unfit(path: Path) -> str:
    """Why a path is no file to read, or nothing."""
    try:
        return "" if stat.S_ISREG(path.stat().st_mode) else "a pipe or device"
    except OSError as error:  # a link into nowhere or in a circle
        return error.strerror or "cannot be read"


def targets_of(names: list[Path]) -> list[Path]:
    """Relative targets of relative sources, no two of them alike on any file system."""
    plain = [_plain_target(name) for name in names]
    alike = Counter(_folded(target) for target in plain)
    return [
        _marked_target(name) if alike[_folded(target)] > 1 else target
        for name, target in zip(names, plain, strict=True)
    ]


def _plain_target(name: Path) -> Path:
    if len(os.fsencode(name.name)) > _MAX_STEM_BYTES:
        return _marked_target(name)
    return name if name.suffix == ".mp4" else name.with_name(f"{name.name}.mp4")


def _marked_target(name: Path) -> Path:
    return name.with_name(f"{marked_name(name.name, _MAX_STEM_BYTES, of=name.as_posix())}.mp4")


def _folded(path: Path) -> str:
    """Equal for names that a file system without case, or one that composes accents, takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def finished_header(source: Path, target: Path) -> dict[str, Any] | None:
    """The header of the result at `target`, if it is whole: MP4 and JSON exist, belong together, and were made from
    the bytes `source` has now; otherwise None."""
    result = target.with_suffix(".json")
    if not (target.is_file() and result.is_file()):
        return None
    try:
        header = dict(read_posetrack(result).header)
        whole = header["video"] == sha256_of(target) and header["input"]["sha256"] == input_hash(source)
        return header if whole and {"model", "detector"} <= header.keys() else None
    except (InputError, KeyError, TypeError):
        return None
