"""The page put together: template, scripts, packed data, and where its video is."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ..config import EVERYBODY, Selection
from ..errors import InputError, OutputError, UsageError
from ..files import printable, require_free_target, require_not_input, require_writable_folder, sha256_of, write_atomic
from ..render import track_palette
from ..results.identities import require_distinct_ids
from ..results.measures import pixel_aspect, playback_frames
from ..results.posetrack import PoseTrackResult, read_posetrack
from ..results.quality import Reason, per_second
from ..results.selected import selected
from ..skeleton.sets import detail_joints, limbs
from ..types import FrameResult
from ..video.probe import container_start, probe
from .pack import SCORE_UNIT, Packed, pack

#: Longest video that `embed` takes into the page, bytes.
MAX_EMBED_BYTES: Final = 100 * 2**20
#: Doubtful seconds that a page holds.
_MOST_DOUBTS: Final = 50_000
_MIME: Final = {".webm": "video/webm", ".mkv": "video/x-matroska", ".ogv": "video/ogg"}
_SCRIPTS: Final = ("data.js", "doubts.js", "stage.js", "timeline.js", "plots.js", "edit.js", "page.js")


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """A finished page. video: the file it plays, None when none was found. size: of the page, bytes."""

    page: Path
    video: Path | None
    frames: int
    tracks: int
    size: int
    warnings: tuple[str, ...]


def write_report(
    result: Path,
    out: Path,
    *,
    video: Path | None = None,
    embed: bool = False,
    selection: Selection = EVERYBODY,
    overwrite: bool = False,
) -> ReportSummary:
    """Write the page of a result.

    video: the video the result was made from; without it, it is looked for beside the result and in the working
    folder. The page names it by its path relative to the page, or holds it (`embed`). Without a video the page shows
    skeletons on black. selection: only these people. Raises UsageError, InputError or OutputError.
    """
    result, out = Path(result), Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError("must end in .html", path=out, hint="that is the format it gets")
    require_not_input(out, [result, *([video] if video else [])])
    require_free_target(out, overwrite=overwrite)
    require_writable_folder(out.parent)
    found = selected(read_posetrack(result), selection)
    require_distinct_ids(found)
    if not found.frames:
        raise InputError("holds no frames", path=result, hint="there is nothing to show")
    played = Path(video) if video is not None else _find_video(found, result)
    if played is None and embed:
        raise UsageError("there is no video to embed", hint="name it with --video")
    warnings = [] if played else [_not_found(found, result)]
    clip = _video_entry(found, played, out, embed=embed, warnings=warnings) if played else None
    page = _page(found, title=result.name, video=clip)
    write_atomic(out, page, overwrite=overwrite)
    tracks = len({person.track_id for frame in found.frames for person in frame.people})
    return ReportSummary(out, played, len(found.frames), tracks, len(page), tuple(warnings))


def _find_video(result: PoseTrackResult, path: Path) -> Path | None:
    """The input of the result, known by its name and its hash."""
    source = result.header.get("input")
    name, expected = (source.get("name"), source.get("sha256")) if isinstance(source, dict) else (None, None)
    if not isinstance(name, str) or not name or name != Path(name).name:
        return None
    for folder in (path.parent, Path()):
        candidate = folder / name
        if os.path.isfile(candidate) and (  # noqa: PTH113 - Path's raises for a name too long
            expected is None or sha256_of(candidate) == expected
        ):
            return candidate
    return None


def _not_found(result: PoseTrackResult, path: Path) -> str:
    source = result.header.get("input")
    name = source.get("name") if isinstance(source, dict) else None
    which = f", {name}," if isinstance(name, str) and name else ""
    return f"the video of {printable(path)}{which} is not beside it: name it with --video and pass --overwrite"


def _video_entry(
    result: PoseTrackResult, video: Path, out: Path, *, embed: bool, warnings: list[str]
) -> dict[str, Any]:
    """What the page needs to know of its video. Raises InputError or UsageError."""
    info = probe(video)
    size = (result.header.get("width"), result.header.get("height"))
    if None not in size and size != (info.width, info.height):
        raise InputError(
            f"{info.width}x{info.height}, the result is of a video of {size[0]}x{size[1]}",
            path=video,
            hint="give the video it was made from",
        )
    source = result.header.get("input")
    expected = source.get("sha256") if isinstance(source, dict) else None
    if expected is not None and sha256_of(video) != expected:
        warnings.append(f"{printable(video)} is not the file the result was made from; poses may lie beside the people")
    # Players begin at the start of the container, results with the first picture.
    start = container_start(video) - (info.start_time if "start_pts" in result.header else 0.0)
    entry: dict[str, Any] = {"name": video.name, "start": start, "source": None, "embedded": None}
    entry["mime"] = _MIME.get(video.suffix.lower(), "video/mp4")
    if embed:
        entry["embedded"] = _embedded(video)
    else:
        entry["source"] = _relative_url(video, out.parent)
    return entry


def _embedded(video: Path) -> str:
    size = video.stat().st_size
    if size > MAX_EMBED_BYTES:
        raise UsageError(
            f"has {size / 2**20:.0f} MiB, --embed takes up to {MAX_EMBED_BYTES // 2**20}",
            path=video,
            hint="leave it out",
        )
    return base64.b64encode(video.read_bytes()).decode()


def _relative_url(video: Path, folder: Path) -> str:
    target = os.path.abspath(video)  # noqa: PTH100 - a link stays a link: it is what lies beside the page
    try:
        path = os.path.relpath(target, folder.resolve())
    except ValueError:  # another drive
        return Path(target).as_uri()
    return "/".join(quote(os.fsencode(part)) for part in Path(path).parts)


def _page(result: PoseTrackResult, *, title: str, video: dict[str, Any] | None) -> bytes:
    frames = playback_frames(result)
    packed = pack(frames)
    header = result.header
    positions = {frame.index: position for position, frame in enumerate(result.frames)}
    boxes = [p.bbox[:2] + p.bbox[2:] for f in result.frames[:: max(1, len(result.frames) // 2000)] for p in f.people]
    width, height = (
        value
        if isinstance(value := header.get(key), int) and value > 0
        else max((float(b[i]) for b in boxes), default=640)
        for i, key in enumerate(("width", "height"))
    )
    meta = {
        "title": title,
        "width": width,
        "height": height,
        "aspect": pixel_aspect(header),
        "frames": len(result.frames),
        "scale": packed.scale,
        "scoreUnit": SCORE_UNIT,
        "joints": result.joints,
        "edges": limbs(result.joints),
        "details": sorted(detail_joints(result.joints)),
        "tracks": [{"id": track, "count": count, "colours": _colours(track)} for track, count in packed.tracks],
        "damaged": [positions[frame.index] for frame in result.frames if frame.damaged][:10_000],
        "doubts": _doubts(frames, packed),
        "reasons": [reason.value for reason in Reason],
        "about": _about(header),
        "video": {k: v for k, v in video.items() if k != "embedded"} if video else None,
    }
    texts = {
        name: _text(name) for name in ("template.html", "page.css", "uPlot.min.css", "uPlot.iife.min.js", *_SCRIPTS)
    }
    parts = {
        "STYLE": texts["uPlot.min.css"] + texts["page.css"],
        "LIBRARY": texts["uPlot.iife.min.js"],
        "SCRIPT": "\n".join(texts[name] for name in _SCRIPTS),
        # Inside a script element only "<" could end it.
        "META": json.dumps(meta, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "DATA": base64.b64encode(packed.data).decode(),
        "VIDEO": (video or {}).get("embedded") or "",
    }
    page = texts["template.html"]
    head, *rest = page.split("{{")
    chunks = [head]
    for piece in rest:
        name, _, tail = piece.partition("}}")
        chunks += [parts[name], tail]
    return "".join(chunks).encode()


def _doubts(frames: Sequence[FrameResult], packed: Packed) -> list[list[int]]:
    """Doubtful seconds by time: place of the track in the stream, second, and flags: bit n for the nth of `Reason`."""
    places = {track: place for place, (track, _) in enumerate(packed.tracks)}
    found = [
        [places[one.track_id], one.second, sum(1 << bit for bit, reason in enumerate(Reason) if reason in one.reasons)]
        for one in per_second(frames)
        if one.reasons
    ]
    return found[:_MOST_DOUBTS]


def _about(header: Any) -> list[str]:
    """One line each: the model, the detector, what smoothed it."""
    lines = []
    for key in ("model", "detector"):
        made = header.get(key)
        if isinstance(made, dict) and isinstance(made.get("name"), str):
            lines.append(f"{key} {made['name']}")
    smoothing = header.get("smoothing")
    if isinstance(smoothing, dict) and isinstance(smoothing.get("method"), str):
        lines.append(f"smoothed: {smoothing['method']}")
    return lines


def _colours(track: int) -> list[str]:
    palette = track_palette(track)
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in (palette.left, palette.right, palette.centre)]


def _text(name: str) -> str:
    try:
        return (files(__package__) / name).read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the page's own {name} is missing: {error}", hint="install dcpose again") from error
