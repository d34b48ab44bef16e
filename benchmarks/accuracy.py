"""Accuracy of a model: held-out pictures with human labels, and the sample clips end to end.

    python benchmarks/accuracy.py --model models/dcpose-s --data ../shared/data --json accuracy.json

Held-out pictures (DATA/heldout-dev): the true boxes are given, each picture is previous, current and next frame at
once, no flip test unless --flip. Stills are all sources but lspet. Intervals are 95 % bootstraps over people. The
sample clips go through `dcpose_cli.export_json` as a user's video would, detector and tracking included. OKS-AP is
COCO's, per joint group, with the area of the box as the person's; `scores` says how many joints with about that score
are right. --pictures draws the people of the clips who are done best and worst.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dcpose_cli
from dcpose_cli.evaluation.calibration import HitRate
from dcpose_cli.evaluation.grouped_ap import Ap
from dcpose_cli.evaluation.heldout import Estimator, HeldoutResult, measure_parts, read_pictures, run_heldout
from dcpose_cli.evaluation.pck import PckResult, Share
from dcpose_cli.evaluation.sample_clips import ClipScore, clips_ap, score_clip
from dcpose_cli.evaluation.sample_people import (
    draw_sheets,
    read_run,
    sample_ap,
    sample_hit_rates,
    sample_shares,
)
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.results import read_posetrack

HELDOUT = "heldout-dev"

#: Turns a clip into a result file: (clip, folder to write to) -> JSON.
Run = Callable[[Path, Path], Path]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Accuracy of a model on held-out pictures and on the sample clips.")
    parser.add_argument("--model", required=True, help="folder of the model, or a shipped model's name")
    parser.add_argument(
        "--data", type=Path, help=f"folder that holds {HELDOUT}/; without it only the clips are measured"
    )
    parser.add_argument("--detector", default="person-n", help="detector for the clips (default: %(default)s)")
    parser.add_argument(
        "--samples", type=Path, default=Path("sample_videos"), help="folder of the clips and their JSON"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--engine", default="auto", help="as of dcpose estimate (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="as of dcpose estimate (default: %(default)s)")
    parser.add_argument(
        "--flip", action="store_true", help="average with the mirrored picture (held-out pictures only)"
    )
    parser.add_argument("--pictures", type=Path, help="write good.jpg and bad.jpg, people of the clips, in this folder")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, *, estimator: Estimator | None = None, run: Run | None = None) -> int:
    """estimator, run: stand-ins for the real ones (tests)."""
    options = parse(arguments)
    report: dict[str, Any] = {
        "model": options.model,
        "flip": options.flip,
        **circumstances(options.device, options.engine, options.precision),
    }
    if run is None:
        real = load(options)
        estimator, run = estimator or real, runner(real)
    if options.data is not None and estimator is not None:
        report["heldout"] = heldout(estimator, options.data / HELDOUT, flip=options.flip)
    report["samples"] = samples(run, options.samples, options.pictures)
    print(as_text(report))
    if options.json is not None:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def load(options: argparse.Namespace) -> dcpose_cli.PoseEstimator:
    """The network for the pictures, and with its detector for the clips: loaded once."""
    config = dcpose_cli.EstimateConfig(
        model=options.model,
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        detector=options.detector,
    )
    return dcpose_cli.PoseEstimator.from_config(config)


def runner(estimator: dcpose_cli.PoseEstimator) -> Run:
    def run(clip: Path, folder: Path) -> Path:
        target = folder / f"{clip.stem}.json"
        dcpose_cli.export_json(clip, target, estimator=estimator)
        return target

    return run


def circumstances(device: str, engine: str = "auto", precision: str = "auto") -> dict[str, Any]:
    """When and on what; no host name."""
    versions = {"dcpose": dcpose_cli.__version__}
    for name in ("torch", "ultralytics", "opencv-python", "numpy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "device": device,
        "engine": f"engine {engine}, precision {precision}",
        "python": platform.python_version(),
        "versions": versions,
    }


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def heldout(estimator: Estimator, folder: Path, *, flip: bool) -> dict[str, Any]:
    started = time.perf_counter()
    poses = run_heldout(estimator, read_pictures(folder, HELDOUT), flip=flip)
    seconds = time.perf_counter() - started
    parts = {name: part_figures(result) for name, result in measure_parts(poses).items()}
    hashes = {path.name: sha256_of(path) for path in sorted(folder.glob(f"{HELDOUT}*"))}
    return {"parts": parts, "sha256": hashes, "seconds": round(seconds, 1)}


def part_figures(result: HeldoutResult) -> dict[str, Any]:
    return {
        "people": result.people,
        "pck@0.2 torso": pck_figures(result.torso),
        "pckh@0.5": pck_figures(result.head),
        "oks": asdict(result.oks),
        "oks_ap": ap_figures(result.ap),
        "scores": score_figures(result.scores),
    }


def ap_figures(groups: dict[str, Ap]) -> dict[str, Any]:
    """A group without people has no figure."""
    return {name: asdict(ap) if ap.people else {"value": None} for name, ap in groups.items()}


def score_figures(rates: Sequence[HitRate]) -> list[dict[str, Any]]:
    return [asdict(rate) if rate.joints else {"score": rate.score, "value": None} for rate in rates]


def pck_figures(result: PckResult) -> dict[str, Any]:
    return {
        "total": share_figures(result.total),
        **{name: share_figures(share) for name, share in result.groups.items()},
    }


def share_figures(share: Share) -> dict[str, Any]:
    # A group without joints has no figure: null, since JSON has no NaN.
    return {"value": share.value if share.joints else None, **asdict(share)} if share.joints else {"value": None}


def samples(run: Run, folder: Path, pictures: Path | None = None) -> dict[str, Any]:
    clips = sorted(path for path in folder.glob("*.mp4") if path.with_suffix(".json").is_file())
    if not clips:
        raise SystemExit(f"{folder} holds no clip with its JSON: run from the repository's root or pass --samples")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        results = [(run(clip, Path(scratch)), clip.with_suffix(".json")) for clip in clips]
        seconds = time.perf_counter() - started
        for clip, (result, truth) in zip(clips, results, strict=True):
            score = score_clip(result, truth)
            ap = clips_ap([(result, truth)])
            figures[clip.stem] = {**clip_figures(score), "ap": ap.table(), "sha256": sha256_of(clip)}
        figures["all"] = {**total_figures(list(figures.values())), "ap": clips_ap(results).table()}
        people = read_run([(clip, *pair) for clip, pair in zip(clips, results, strict=True)])
        if pictures is not None:
            draw_sheets(people, pictures)
        result = read_posetrack(results[0][0])
        header, frames = result.header, sum(len(read_posetrack(path).frames) for path, _ in results)
    used = {key: header[key] for key in ("model", "detector", "settings") if key in header}
    shares = {name: share_figures(share) for name, share in sample_shares(people).items()}
    more = {
        "joints": shares,
        "oks_ap": ap_figures(sample_ap(people)),
        "scores": score_figures(sample_hit_rates(people)),
    }
    return {"clips": figures, "people": more, **used, "frames": frames, "seconds": round(seconds, 1)}


def clip_figures(score: ClipScore) -> dict[str, Any]:
    return {"value": score.value, **asdict(score)}


def total_figures(clips: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = {key: sum(clip[key] for clip in clips) for key in ("hits", "joints", "people", "matched", "surplus")}
    return {"value": counts["hits"] / counts["joints"], **counts}


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{report['model']}, {report['date']}, {report['machine']}, device {report['device']}, {report['engine']}"]
    for name, part in report.get("heldout", {}).get("parts", {}).items():
        lines.append(f"\n{HELDOUT} {name}: {part['people']} people{', flip test' if report['flip'] else ''}")
        lines += [f"  {measure:14} {share_text(part[measure])}" for measure in ("pck@0.2 torso", "pckh@0.5")]
        oks = part["oks"]
        low, high = oks["interval"]
        lines.append(f"  {'oks':14} {oks['mean']:.3f} [{low:.3f}, {high:.3f}]  people {oks['people']}")
        lines += [f"  {'oks ap':14} {ap_text(part['oks_ap'])}", f"  {'scores':14} {score_text(part['scores'])}"]
    lines += [f"  {name} sha256 {value}" for name, value in report.get("heldout", {}).get("sha256", {}).items()]
    lines.append("\nsample clips, end to end: visible joints within half a head size")
    used = report["samples"]
    lines += [
        f"  {key} {used[key]['name']} sha256 {used[key]['sha256']}" for key in ("model", "detector") if key in used
    ]
    for name, clip in report["samples"]["clips"].items():
        lines.append(
            f"  {name:10} {clip['value']:.3f}  ({clip['hits']} of {clip['joints']} joints; people {clip['matched']} of "
            f"{clip['people']}, {clip['surplus']} surplus)  AP {clip['ap']['Total']:.1f}"
        )
    people = used["people"]
    lines.append(f"  {'joints':14} {share_text(people['joints'])}")
    lines += [f"  {'oks ap':14} {ap_text(people['oks_ap'])}", f"  {'scores':14} {score_text(people['scores'])}"]
    lines.append(f"  {used['frames']} frames in {used['seconds']} s, everything included")
    return "\n".join(lines)


def ap_text(figures: dict[str, Any]) -> str:
    everything = figures["all"]
    if everything["value"] is None:
        return "nobody"
    low, high = everything["interval"]
    groups = "  ".join(f"{k} {v['value']:.2f}" for k, v in figures.items() if k != "all" and v["value"] is not None)
    return f"{everything['value']:.3f} [{low:.3f}, {high:.3f}]  people {everything['people']}  ({groups})"


def score_text(rates: Sequence[dict[str, Any]]) -> str:
    """What about so high a score means."""
    known = (f"{r['score']:.1f}: {r['value']:.2f} of {r['joints']}" for r in rates if r["value"] is not None)
    return "; ".join(known) or "no joints"


def share_text(figures: dict[str, Any]) -> str:
    total = figures["total"]
    if total["value"] is None:
        return "no joints"
    groups = "  ".join(
        f"{name} {share['value']:.2f}"
        for name, share in figures.items()
        if name != "total" and share["value"] is not None
    )
    low, high = total["interval"]
    return (
        f"{total['value']:.3f} [{low:.3f}, {high:.3f}]  joints {total['joints']}, people {total['people']}  ({groups})"
    )


if __name__ == "__main__":
    sys.exit(main())
