"""The table of published models: what is listed, and that no entry contradicts itself."""

from __future__ import annotations

import re

import pytest

from dcpose_cli.people.download import is_stock
from dcpose_cli.published.table import DETECTOR, PUBLISHED

POSE = [entry for entry in PUBLISHED.values() if entry.kind != DETECTOR and not entry.head]
STOCK = [entry for entry in PUBLISHED.values() if entry.kind == DETECTOR]


def test_names():
    sizes = ("", "-256x192")
    expected = {f"hrnet-{w}-posetrack18{s}" for w in ("w32", "w48") for s in sizes}
    expected |= {f"hrnet-{w}-coco{way}{s}" for w in ("w32", "w48") for way in ("", "-udp", "-dark") for s in sizes}
    expected |= {"posewarper-w48-posetrack18", "simplebaseline-r50", "dcpose-w48"}
    expected |= {f"yolo{version}{size}" for version in ("v8", "11", "26") for size in "nsmlx"}
    assert set(PUBLISHED) == expected
    assert all(name == entry.name for name, entry in PUBLISHED.items())


@pytest.mark.parametrize("entry", POSE, ids=lambda entry: entry.name)
def test_what_a_file_is_called_is_what_its_entry_says(entry):
    assert re.fullmatch(r"https://download\.openmmlab\.com/mmpose/[\w/]+/", entry.folder)
    assert entry.sha256 == (re.search(r"-([0-9a-f]{8})_20\d{6}\.pth$", entry.file)[1],)
    height, width = map(int, re.search(r"(\d+)x(\d+)", entry.file).groups())
    assert entry.input_size == (width, height)
    assert entry.joints == ("coco" if "coco" in entry.file else "posetrack")
    assert entry.decoding == next((way for way in ("udp", "dark") if way in entry.file), "quarter")
    assert entry.name.endswith("-256x192") == (height == 256) or entry.kind == "simplebaseline"
    assert re.fullmatch(r"(PoseTrack18|COCO) [78]\d\.\d( \(true boxes\))?", entry.ap)
    assert entry.score.startswith(entry.ap.split()[0])
    assert len({e.sha256 for e in POSE}) == len({e.url for e in POSE}) == len(POSE)


def test_a_network_with_a_head_of_ours_is_the_published_file():
    """With three frames, another decoding, and no score: nobody published one."""
    whole, network = PUBLISHED["dcpose-w48"], PUBLISHED["hrnet-w48-posetrack18"]
    assert (whole.url, whole.sha256, whole.size, whole.page) == (
        network.url,
        network.sha256,
        network.size,
        network.page,
    )
    assert (whole.input_size, whole.joints, whole.data_licence) == (
        network.input_size,
        network.joints,
        network.data_licence,
    )
    assert (whole.kind, whole.frames, whole.decoding, whole.score, whole.ap) == ("dcpose", 3, "smoothed", "", "")


def test_addresses():
    base = "https://download.openmmlab.com/mmpose/"
    assert PUBLISHED["hrnet-w48-posetrack18"].url == (
        f"{base}top_down/hrnet/hrnet_w48_posetrack18_384x288-5fd6d3ff_20211130.pth"
    )
    assert PUBLISHED["hrnet-w32-coco-udp-256x192"].url == (
        f"{base}v1/body_2d_keypoint/topdown_heatmap/coco/"
        "td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547_20220914.pth"
    )
    assert PUBLISHED["hrnet-w48-coco"].file == "td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth"


def test_detectors_have_whole_hashes():
    digests = [digest for entry in STOCK for digest in entry.sha256]
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert all(is_stock(entry.file) for entry in STOCK)
    assert [len(PUBLISHED[f"yolov8{size}"].sha256) for size in "nsm"] == [2, 2, 2]  # both releases


def test_the_ladder_of_the_docs_is_the_table(root):
    """docs/models.md: a row for each pose model, with its score, options, size and licence."""
    rows = [line for line in (root / "docs" / "models.md").read_text(encoding="utf-8").splitlines() if "| `" in line]
    for entry in (*POSE, PUBLISHED["dcpose-w48"]):
        cells = [
            cell.strip() for cell in next(row for row in rows if f"| `{entry.name}` |" in row).strip("|").split("|")
        ]
        size = f"{entry.size / 1e6:.0f} MB"
        score = (
            f"{entry.score}; `{entry.options}`"
            if entry.score
            else "not measured, see its [card](../models/dcpose-w48/card.md)"
        )
        assert cells[1:3] == [str(entry.frames), score]
        assert cells[-2:] == [size, entry.code_licence]
