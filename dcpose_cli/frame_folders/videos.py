"""The videos of a data set: which folders of frames there are, in what order, and what their results are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from ..errors import InputError, UsageError
from ..files import printable
from .boxes import BoxFile, ScoredBoxes
from .truth import TruthFile

#: Endings taken for pictures.
PICTURES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
_PT17_DIGITS: Final = 8  # PoseTrack17 numbers its frames from 1 with 8 digits, PoseTrack18 from 0 with 6


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame of a video. name: as written in results. path: its picture. boxes: None without any."""

    name: str
    path: Path
    number: int
    image_id: int | None
    boxes: ScoredBoxes | None


@dataclass(frozen=True, slots=True)
class FrameVideo:
    """A video kept as pictures. result: name of its prediction file. frames: all of them, in order."""

    result: str
    folder: str
    frames: list[VideoFrame]


def find_videos(root: Path, boxes: BoxFile, truth: Sequence[TruthFile] = ()) -> list[FrameVideo]:
    """The videos to predict: those of the ground truth files or, without any, those the boxes name and their siblings.

    root: the folder that image names are relative to, or any folder below it on their way.
    Raises InputError or UsageError.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, hint="check the path")
    found = [_of_truth(root, boxes, file) for file in truth] if truth else list(_of_boxes(root, boxes))
    names = [video.result for video in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two folders of frames are called {printable(Path(name).stem)}", hint="distinguish them with --gt"
            )
    return found


def _of_truth(root: Path, boxes: BoxFile, file: TruthFile) -> FrameVideo:
    folders = {PurePosixPath(frame.name).parent for frame in file.frames}
    if len(folders) != 1:
        raise InputError(f"names pictures of {len(folders)} folders", path=file.path, hint="it must be one video")
    (parent,) = folders
    folder = _resolve(root, parent, boxed=False)
    named = _boxes_of(parent, boxes)
    frames = []
    for frame in file.frames:
        name = PurePosixPath(frame.name)
        if not (name.stem.isascii() and name.stem.isdigit()):
            raise InputError(f"names the picture {name.name!r:.60}, which has no number", path=file.path)
        path, number = folder / name.name, int(name.stem)
        frames.append(VideoFrame(frame.name, path, number, frame.image_id, named.get(number)))
    return FrameVideo(file.path.name, parent.name, frames)


def _boxes_of(parent: PurePosixPath, boxes: BoxFile) -> dict[int, ScoredBoxes]:
    """Boxes by frame number for the folder `parent`: named exactly, or the only one with the same last part."""
    folders = {name.parent for name in boxes.pictures}
    alike = [folder for folder in folders if folder.name == parent.name]
    if parent in folders:
        alike = [parent]
    if len(alike) > 1:
        raise InputError(
            f"the boxes know several folders {parent.name!r:.60}", hint="use the ground truth's image names"
        )
    return {int(name.stem): people for name, people in boxes.pictures.items() if name.parent in alike}


def _of_boxes(root: Path, boxes: BoxFile) -> Iterator[FrameVideo]:
    by_folder: dict[PurePosixPath, dict[str, ScoredBoxes]] = {}
    for name, people in boxes.pictures.items():
        by_folder.setdefault(name.parent, {})[name.name] = people
    places = {parent: _resolve(root, parent, boxed=True) for parent in by_folder}
    for parent, folder in sorted((places | _siblings(root, places)).items()):
        boxed = by_folder.get(parent, {})
        names = _frame_names(folder, boxed, boxes.lengths.get(parent))
        frames = [VideoFrame(str(parent / n), folder / n, int(Path(n).stem), None, boxed.get(n)) for n in names]
        label = parent.name or root.resolve().name
        yield FrameVideo(f"{label}.json", label, frames)


def _siblings(root: Path, places: dict[PurePosixPath, Path]) -> dict[PurePosixPath, Path]:
    """Folders of frames beside those with boxes: videos without any detection."""
    known = {folder.resolve() for folder in places.values()}
    found: dict[PurePosixPath, Path] = {}
    for parent, folder in places.items():
        if folder.resolve() == root.resolve():
            continue
        for other in folder.parent.iterdir():
            if other.is_dir() and other.resolve() not in known and _pictures(other):
                found[parent.parent / other.name] = other
    return found


def _resolve(root: Path, parent: PurePosixPath, *, boxed: bool) -> Path:
    """The folder `parent` below `root`, with as much of its beginning left out as `root` already stands for."""
    parts = [part for part in parent.parts if part not in ("/", "..", ".")]
    for skip in range(len(parts) + 1):
        folder = root.joinpath(*parts[skip:])
        if folder.is_dir() and _pictures(folder):
            return folder
    who = "the boxes" if boxed else "the ground truth"
    raise InputError(
        f"no frames of {str(parent)!r:.100} below {printable(root)}, which {who} name", hint="give the images' folder"
    )


def _pictures(folder: Path) -> list[str]:
    """Names of the numbered pictures in a folder, in order of their numbers."""
    names = [
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and path.stem.isascii() and path.stem.isdigit()
    ]
    return sorted(names, key=lambda name: (int(Path(name).stem), name))


def _frame_names(folder: Path, boxed: dict[str, ScoredBoxes], length: int | None) -> list[str]:
    """All frames of a video: the pictures there are, or, where the boxes say another number, that many by the rule."""
    names = _pictures(folder)
    missing = sorted(set(boxed) - set(names))
    if missing:
        raise InputError(f"the boxes name the picture {printable(missing[0])}, which is not in {printable(folder)}")
    if length is None or length == len(names):
        return names
    first, digits = Path(names[0]), len(Path(names[0]).stem)
    start = 1 if digits == _PT17_DIGITS else 0
    return [f"{number:0{digits}d}{first.suffix}" for number in range(start, start + length)]
