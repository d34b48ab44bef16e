"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import EstimateConfig

#: Headings of `dcpose --help`.
VIDEOS_PANEL = "From video to poses"
RESULTS_PANEL = "Results"
MODELS_PANEL = "Models"

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel="Speed")]
Devices = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:N or mps; several (cuda:0,cuda:1) or all work side by side.",
        rich_help_panel="Speed",
    ),
]
Batch = Annotated[
    int | None, typer.Option(help="People in one pass of the network; default by device.", rich_help_panel="Speed")
]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel="Speed")]
Model = Annotated[str, typer.Option(help="Pose model: a shipped name, a folder, or auto.", rich_help_panel="Models")]
Detector = Annotated[
    str,
    typer.Option(help="Person detector: person-n, a YOLO .pt file, or a stock name.", rich_help_panel="Models"),
]
Conf = Annotated[float, typer.Option(help="Least confidence of a person, 0..1.", rich_help_panel="Poses")]
KptThr = Annotated[float, typer.Option(help="Least confidence of a drawn joint.", rich_help_panel="Poses")]
Interval = Annotated[
    int, typer.Option(help="Frames between the current one and its neighbours.", rich_help_panel="Poses")
]
FlipTest = Annotated[
    bool,
    typer.Option(
        "--flip-test",
        help="Average with the mirrored picture: more accurate, the pose network takes twice as long.",
        rich_help_panel="Poses",
    ),
]
ShareCrops = Annotated[
    bool,
    typer.Option(
        "--share-crops",
        help="Let neighbouring frames share crops: fewer passes of the network, so faster.",
        rich_help_panel="Speed",
    ),
]
DetectEvery = Annotated[
    int, typer.Option(help="Look for people in every n-th frame, follow them between.", rich_help_panel="Speed")
]
Smooth = Annotated[
    str,
    typer.Option(help="What is drawn: none, gaussian or one-euro; the JSON stays raw.", rich_help_panel="Output"),
]
Hwaccel = Annotated[
    str,
    typer.Option(
        help="Hardware decoding: none, auto or a type (cuda, vaapi, ...).", metavar="NAME", rich_help_panel="Speed"
    ),
]
Start = Annotated[float | None, typer.Option(help="Begin at this second.", rich_help_panel="Range")]
End = Annotated[float | None, typer.Option(help="Stop before this second.", rich_help_panel="Range")]
MaxFrames = Annotated[int | None, typer.Option(help="Stop after so many frames.", rich_help_panel="Range")]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.", rich_help_panel="Output")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.", rich_help_panel="Output")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on from what an interrupted run left; keep it when interrupted.", rich_help_panel="Output"
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download anything.")]
AllowNetwork = Annotated[
    bool, typer.Option("--allow-network", help="Let inputs be network addresses, cameras and playlists.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary; errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks and details.")]
JsonPath = Annotated[
    Path | None,
    typer.Option("--json", help="Where the JSON goes; default: beside the video.", rich_help_panel="Output"),
]
FORMATS_HELP = "posetrack18, posetrack21, posetrack17, coco, openpose, csv, parquet, trc or mot."
Boxes = Annotated[
    Path | None,
    typer.Option(
        help="JSON list of people: image_name, bbox, score. VIDEO is then the folder of the frames.",
        rich_help_panel="Data set",
        show_default=False,
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        "--gt",
        help="Ground truth files: results get their names and frames.",
        rich_help_panel="Data set",
        show_default=False,
    ),
]


def settings(**values: Any) -> EstimateConfig:
    """The configuration of a command: its options by name, `no_audio` turned round."""
    values["audio"] = not values.pop("no_audio", False)
    return EstimateConfig(**values)
