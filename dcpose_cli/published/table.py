"""The table of published models that `dcpose models get` knows: addresses, hashes, settings, scores and licences.

A file is listed only when its address and its SHA-256, or the beginning of it that its name carries, are published. A
new model is one entry here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

_OPENMMLAB: Final = "https://download.openmmlab.com/mmpose/"
_OPENMMLAB_PAGE: Final = "https://github.com/open-mmlab/mmpose"
_ULTRALYTICS: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_POSETRACK_DATA: Final = "PoseTrack images: non-commercial"
_COCO_DATA: Final = "COCO annotations: CC BY 4.0; images: terms of Flickr"
#: Kind of the entries that are person detectors; the others are kinds of pose.methods.
DETECTOR: Final = "detector"
#: Digits of a whole SHA-256.
WHOLE_HASH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """A model as published.

    name: what `--model` or `--detector` takes. file: name of the published file. folder: the address it lies under,
    with a slash at the end. sha256: its possible hashes, whole ones or beginnings, hexadecimal. size: bytes, of pose
    models estimated; 0: not known. kind: "detector" or a kind of pose.methods. input_size: crop width and height; of a
    detector the long side twice. joints: "posetrack" or "coco"; "" of a detector. decoding: see
    pose.heatmaps.DECODERS. frames: seen at once. options: what the published score was measured with. score: as
    published, with its conditions. code_licence, data_licence: of the publishers' code and weights, and of the training
    data. page: where it was published. head: the shipped head that is put on the network (checkpoints/heads.py), which
    has no published score then; "" for none.
    """

    name: str
    file: str
    folder: str
    sha256: tuple[str, ...]
    size: int
    kind: str
    input_size: tuple[int, int]
    joints: str = ""
    decoding: str = ""
    frames: int = 1
    options: str = ""
    score: str = ""
    code_licence: str
    data_licence: str
    page: str
    head: str = ""

    @property
    def url(self) -> str:
        """The whole address."""
        return self.folder + self.file

    @property
    def ap(self) -> str:
        """Benchmark and AP in per cent, the first figure of the score; "" without a score."""
        if not self.score:
            return ""
        benchmark, _, rest = self.score.partition(" AP ")
        value, _, conditions = rest.partition(" ")
        number = float(value.rstrip(","))
        boxes = " (true boxes)" if conditions.startswith("true boxes") else ""
        return f"{benchmark.split()[0]} {number if number > 1 else 100 * number:.1f}{boxes}"

    @property
    def option(self) -> str:
        """How the model is used once it is there."""
        return f"--detector {self.name}.pt" if self.kind == DETECTOR else f"--model {self.name}"


#: Size of an HRNet's file by its width, megabytes.
_HRNET_SIZES: Final = {"w32": 114, "w48": 255}


def _openmmlab(name: str, file: str, at: str, megabytes: int, **more: Any) -> PublishedModel:
    """A model of OpenMMLab's zoo. Its file's name has the crop, and ends with the first digits of the hash and a date.

    at: the folder below the zoo's.
    """
    return PublishedModel(
        name=name, file=file, folder=f"{_OPENMMLAB}{at}/", sha256=(file.rsplit("-", 1)[1][:8],),
        size=megabytes * 10**6, input_size=(288, 384) if "384x288" in file else (192, 256),
        code_licence="Apache-2.0", page=_OPENMMLAB_PAGE, **more,
    )  # fmt: skip


def _posetrack(name: str, file: str, at: str, megabytes: int, score: str, *, kind: str = "hrnet") -> PublishedModel:
    clip = kind == "posewarper"
    return _openmmlab(
        name, file, f"top_down/{at}", megabytes, kind=kind, joints="posetrack", decoding="quarter",
        frames=5 if clip else 1, options="--conf 0.2" if clip else "--flip-test",
        score=f"PoseTrack18 val AP {score}", data_licence=_POSETRACK_DATA,
    )  # fmt: skip


def _posetrack_models() -> Iterator[PublishedModel]:
    for width, side, end, score in (
        ("w32", "384x288", "806f00a3_20211130", "77.3 detected boxes, 83.7 true boxes, flip test"),
        ("w32", "256x192", "1ee951c4_20201028", "76.9 detected boxes, 83.4 true boxes, flip test"),
        ("w48", "384x288", "5fd6d3ff_20211130", "77.8 detected boxes, 84.6 true boxes, flip test"),
        ("w48", "256x192", "b5d9b3f1_20211130", "77.4 detected boxes, 84.6 true boxes, flip test"),
    ):
        small = "" if side == "384x288" else f"-{side}"
        file = f"hrnet_{width}_posetrack18_{side}-{end}.pth"
        yield _posetrack(f"hrnet-{width}-posetrack18{small}", file, "hrnet", _HRNET_SIZES[width], score)
    yield _posetrack(
        "posewarper-w48-posetrack18", "hrnet_w48_posetrack18_384x288_posewarper_stage2-4abf88db_20211130.pth",
        "posewarper", 285, "79.8 PoseWarper's detected boxes, 85.0 true boxes", kind="posewarper",
    )  # fmt: skip
    yield _posetrack(
        "simplebaseline-r50", "res50_posetrack18_256x192-a62807c7_20201028.pth", "resnet", 136,
        "81.2 true boxes, flip test", kind="simplebaseline",
    )  # fmt: skip


def _with_head(entry: PublishedModel, head: str) -> PublishedModel:
    """A published network of single frames with a head of ours on top, which makes it a DCPose."""
    return replace(
        entry, name=head, head=head, kind="dcpose", decoding="smoothed", frames=3, options="", score="",
        code_licence=f"network {entry.code_licence}, head AGPL-3.0",
    )  # fmt: skip


#: Width of the HRNet, way of decoding, crop, hash and date in the file's name, AP.
_COCO: Final = (
    ("w32", "", "256x192", "81c58e40_20220909", "0.749"),
    ("w32", "", "384x288", "ca5956af_20220909", "0.761"),
    ("w48", "", "256x192", "0e67c616_20220913", "0.756"),
    ("w48", "", "384x288", "c161b7de_20220915", "0.767"),
    ("w32", "udp", "256x192", "73ede547_20220914", "0.762"),
    ("w32", "udp", "384x288", "9a3f7c85_20220914", "0.768"),
    ("w48", "udp", "256x192", "3feaef8f_20220913", "0.768"),
    ("w48", "udp", "384x288", "70d7ab01_20220913", "0.773"),
    ("w32", "dark", "256x192", "0e00bf12_20220914", "0.757"),
    ("w32", "dark", "384x288", "9bab4c9b_20220917", "0.766"),
    ("w48", "dark", "256x192", "e1ebdd6f_20220913", "0.764"),
    ("w48", "dark", "384x288", "39c3c381_20220916", "0.772"),
)


def _coco_models() -> Iterator[PublishedModel]:
    for width, way, side, end, score in _COCO:
        batch = "8xb32" if width == "w48" else "8xb64"
        yield _openmmlab(
            "-".join(filter(None, ("hrnet", width, "coco", way, "" if side == "384x288" else side))),
            f"td-hm_hrnet-{width}_{way + '-' if way else ''}{batch}-210e_coco-{side}-{end}.pth",
            "v1/body_2d_keypoint/topdown_heatmap/coco",
            _HRNET_SIZES[width],
            kind="hrnet",
            joints="coco",
            decoding=way or "quarter",
            options="--flip-test",
            score=f"COCO val2017 AP {score}, boxes of a detector of 56.4 AP, flip test",
            data_licence=_COCO_DATA,
        )


#: Name, bytes (0: not known), SHA-256 of the present file and, where there is one, of the first release.
_YOLO: Final = (
    ("yolov8n", 6_549_796,
     "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
     "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95"),
    ("yolov8s", 22_588_772,
     "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
     "268e5bb54c640c96c3510224833bc2eeacab4135c6deb41502156e39986b562d"),
    ("yolov8m", 0,
     "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
     "6c25b0b63b1a433843f06d821a9ac1deb8d5805f74f0f38772c7308c5adc55a5"),
    ("yolov8l", 0, "64c9115303f6a25575f82200d1b22ec409fa6bd7d08d0313884fc20d919478cd"),
    ("yolov8x", 0, "3df4ada6b4dad6d657868f2fdf7faecfb34dcfccf3a25c4b82079064718524c8"),
    ("yolo11n", 5_613_764, "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1"),
    ("yolo11s", 19_313_732, "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5"),
    ("yolo11m", 0, "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95"),
    ("yolo11l", 0, "9ebd0e09d59811db4b1d61e2bc6730649608b1ac47f8dd01e2da6bca7c20023f"),
    ("yolo11x", 0, "7bc158aa95c0ebfdd87f70f01653c1131b93e92522dbe15c228bcd742e773a24"),
    ("yolo26n", 5_544_453, "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef"),
    ("yolo26s", 20_422_725, "646f8bc3fe0a656803d95c294f7852321748cb29d13466a1af8862e2db384a1b"),
    ("yolo26m", 44_255_705, "401cea9ab23ad19246ff7744859816bc599f350e93c9dd30367b6f0a0745d0b7"),
    ("yolo26l", 53_211_173, "9fe3c544f2b19bebad7ea41e76d7ad3d88b7c2f10d11d24430c5311f6b32db26"),
    ("yolo26x", 118_667_365, "9fdd44a31c504547ffb81d2c6d9e6dac3493c8eaa8b0398d3f43bae6c7003e92"),
)  # fmt: skip


def stock_detector_entry(name: str, size: int = 0, sha256: tuple[str, ...] = ()) -> PublishedModel:
    """The entry of one of ultralytics' stock detectors, such as "yolov8n". Without a hash it is none of the table."""
    return PublishedModel(
        name=name, file=f"{name}.pt", folder=_ULTRALYTICS, sha256=sha256, size=size,
        kind=DETECTOR, input_size=(640, 640), code_licence="AGPL-3.0", data_licence=_COCO_DATA,
        page="https://github.com/ultralytics/assets",
    )  # fmt: skip


#: Every published model by its name, pose models first.
PUBLISHED: Final[dict[str, PublishedModel]] = {
    entry.name: entry
    for entry in (
        *_posetrack_models(),
        *(_with_head(entry, "dcpose-w48") for entry in _posetrack_models() if entry.name == "hrnet-w48-posetrack18"),
        *_coco_models(),
        *(stock_detector_entry(name, size, tuple(hashes)) for name, size, *hashes in _YOLO),
    )
}
