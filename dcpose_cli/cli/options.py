"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .times import seconds_of

#: Headings of `dcpose --help`.
VIDEOS_PANEL = "From video to poses"
RESULTS_PANEL = "Results"
MODELS_PANEL = "Models"


Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:N or mps; batch: several (cuda:0,cuda:1) or all.", rich_help_panel="Speed"
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.", rich_help_panel="Output")]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.", rich_help_panel="Output")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary; errors only.")]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Options from a TOML file (conf = 0.4), or those that made a result; the command line overrides them.",
        show_default=False,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks and details.")]
ShotFps = Annotated[
    str | None,
    typer.Option(
        "--shot-fps",
        metavar="FPS",
        help="Slow motion: frames per second that the camera recorded with (240); results then use real time.",
        show_default=False,
    ),
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        help="JSON list of people: image_name, bbox, score. VIDEO is then the folder of the frames.",
        rich_help_panel="Data set",
        show_default=False,
    ),
]
FORMATS_HELP = (
    "posetrack18, posetrack21, posetrack17, coco, openpose, csv, parquet, trc, mot, xlsx, jsonl, bvh, blender, "
    "deeplabcut-csv; with dcpose\\[formats]: c3d, deeplabcut, sleap, nwb; with dcpose\\[rerun]: rerun."
)


def _option(kind: Any, *names: str, panel: str | None = None, help: str, **more: Any) -> Any:  # noqa: A002
    return Annotated[kind, typer.Option(*names, help=help, rich_help_panel=panel, **more)]


#: Field of Selection -> the option that sets it: the same in every command that knows people.
SELECTION_OPTIONS: Final[dict[str, Any]] = {
    "tracks": _option(
        list[int] | None, "--track", panel="People", show_default=False, help="Only this track; may be repeated."
    ),
    "largest": _option(
        bool, "--largest", panel="People", help="Only the track with the largest boxes over the whole video."
    ),
    "longest": _option(bool, "--longest", panel="People", help="Only the track that is in the most frames."),
    "center": _option(bool, "--center", panel="People", help="Only the track nearest to the middle of the picture."),
    "roi": _option(
        str | None,
        "--roi",
        panel="People",
        metavar="X,Y,W,H",
        help="Only people whose box has its centre in this rectangle.",
    ),
    "max_people": _option(
        int | None, "--max-people", panel="People", metavar="N", help="At most N people per frame, the largest tracks."
    ),
    "min_height": _option(
        float | None,
        "--min-height",
        panel="People",
        metavar="PIXELS",
        help="Only tracks whose median height is at least this.",
    ),
}

#: Field of Measures -> the option that sets it, in every command that writes other formats.
MEASURE_OPTIONS: Final[dict[str, Any]] = {
    "metres_per_pixel": _option(
        float | None, "--metres-per-pixel", panel="Measures", show_default=False,
        help="For trc, c3d, bvh, blender: coordinates in metres, with Y up.",
    ),
    "person_height": _option(
        float | None, "--person-height", panel="Measures", metavar="METRES", show_default=False,
        help="Metres, from the height of the person.",
    ),
    "floor_angle": _option(
        str | None, "--floor-angle", panel="Measures", metavar="DEGREES", show_default=False,
        help="With metres: make the floor level; auto, or degrees.",
    ),
    "resample_fps": _option(
        str | None, "--resample-fps", panel="Measures", metavar="FPS", show_default=False,
        help="Frames per second of the output, where the times of the video are irregular.",
    ),
}  # fmt: skip

#: Field of EstimateConfig -> the option that sets it, with the field's default, in the order of `--help`. A new option
#: of estimate, export, batch and compare is a line here and a field there; commands name the ones that they leave out.
CONFIG_OPTIONS: Final[dict[str, Any]] = {
    "json": _option(Path | None, "--json", panel="Output", help="Where the JSON goes; default: beside the video."),
    "overwrite": Overwrite,
    "resume": _option(
        bool, "--resume", panel="Output", help="Continue an interrupted run; keep finished parts when interrupted."
    ),
    "audio": _option(bool, " /--no-audio", panel="Output", show_default=False, help="Leave the sound out."),
    "smooth": _option(
        str, panel="Output", help="Smoothing of drawn joints: none, gaussian or one-euro; the JSON stays raw."
    ),
    "model": _option(str, panel="Models", help="Pose model: a shipped or fetched name, a folder, or auto."),
    "ensemble": _option(
        str,
        panel="Models",
        metavar="MODEL,...",
        help="Further pose models, at most 8, averaged with --model.",
    ),
    "detector": _option(str, panel="Models", help="Person detector: person-n, a YOLO .pt file, or a stock name."),
    "device": Device,
    "engine": _option(
        str,
        panel="Speed",
        metavar="NAME",
        help="What computes the networks: torch (auto), or openvino or onnx (pip install 'dcpose\\[openvino]').",
    ),
    "precision": _option(str, panel="Speed", help="auto, fp32, bf16 or fp16."),
    "batch": _option(int | None, "--batch", panel="Speed", help="Crops in one pass of the network; default by device."),
    "share_crops": _option(
        bool,
        "--share-crops/--no-share-crops",
        panel="Speed",
        help="Neighbouring windows share crops, which is faster; otherwise every window has crops of its own.",
    ),
    "detect_every": _option(int, panel="Speed", help="Detect people in every n-th frame, interpolate in between."),
    "detect_size": _option(
        str,
        panel="Poses",
        metavar="PIXELS",
        help="Long side to which frames are scaled for the detector, or auto: larger where people are small.",
    ),
    "hwaccel": _option(
        str, panel="Speed", metavar="NAME", help="Hardware decoding: none, auto or a type (cuda, vaapi, ...)."
    ),
    "deinterlace": _option(
        str, panel="Range", metavar="MODE", help="auto (frames that are marked as interlaced), on or off."
    ),
    "conf": _option(float, panel="Poses", help="Least confidence of a detected person, 0..1."),
    "keep_conf": _option(float, panel="Tracking", help="Least confidence of a person who is tracked already."),
    "tracker": _option(
        str, panel="Tracking", metavar="NAME", help="dcpose, or bytetrack (pip install 'dcpose\\[trackers]')."
    ),
    "track_iou": _option(float, panel="Tracking", help="Least overlap of a detection with the expected box, 0..1."),
    "track_memory": _option(float, panel="Tracking", help="Seconds after which a person out of sight is forgotten."),
    "fill": _option(
        bool, " /--no-fill", panel="Tracking", show_default=False, help="Leave gaps in tracks as they are."
    ),
    "kpt_thr": _option(float, panel="Poses", help="Least confidence of a drawn joint."),
    "interval": _option(
        int, panel="Poses", help="Frames from the current one to each of its two neighbours; 1 takes the next ones."
    ),
    "flip_test": _option(
        bool,
        "--flip-test",
        panel="Poses",
        help="Average with the mirrored picture: more accurate, the pose network takes twice as long.",
    ),
    "fix_swaps": _option(
        bool | None,
        "--fix-swaps/--no-fix-swaps",
        panel="Poses",
        help="Repair legs whose left and right are exchanged for some frames. Default: in files; live sources would be "
        "delayed by half a second.",
    ),
    "fps": _option(str | None, panel="Range", metavar="FPS", help="Frames per second of pictures; default 25."),
    "shot_fps": _option(
        str | None,
        panel="Range",
        metavar="FPS",
        help="Slow motion: frames per second that the camera recorded with (240); results then use real time.",
    ),
    "start": _option(
        float | None, panel="Range", parser=seconds_of, metavar="TIME", help="Begin at 90, 1:30 or 0:01:30."
    ),
    "end": _option(float | None, panel="Range", parser=seconds_of, metavar="TIME", help="Stop before this time."),
    "max_frames": _option(int | None, panel="Range", help="Stop after this many frames."),
    "offline": _option(bool, "--offline", help="Never download anything."),
    "allow_network": _option(bool, "--allow-network", help="Allow network addresses, cameras and playlists as inputs."),
}
