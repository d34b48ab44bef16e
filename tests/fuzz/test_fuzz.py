"""Fault tests 36, 37 and 57: mutated files of every kind end in a documented way. The long run: tests/fuzz/run.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).parent / "run.py"))
#: Clips that were findings once.
FOUND = (213, 432, 697, 1629, 1865)
HEADERS = runpy.run_path(str(Path(__file__).parent / "headers.py"))
PRODUCT = runpy.run_path(str(Path(__file__).parents[1] / "product.py"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    found = FUZZ["make_seeds"](tmp_path_factory.mktemp("seeds"))
    assert len(found) >= 12
    return found


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return FUZZ["small_estimator"](tmp_path_factory.mktemp("networks"), PRODUCT)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([*range(30), *FOUND], id="short"),
        pytest.param(range(500), id="long", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_clips_through_the_library(seeds, networks, tmp_path, numbers):
    ends, findings = FUZZ["fuzz_library"](numbers, seeds, networks[0], tmp_path)
    assert findings == []
    assert min(ends["done"], ends["refused"]) > len(numbers) // 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_clips_through_the_command(seeds, networks, tmp_path):
    command = PRODUCT["Command"](*networks[1:])
    codes, findings = FUZZ["fuzz_command"](range(50), seeds, command, tmp_path)
    assert findings == []
    assert set(codes) <= {0, 3, 8}


def test_results(networks, tmp_path):
    from dcpose_cli import export_json

    source = PRODUCT["make_clip"](tmp_path / "good.mp4", frames=3)
    export_json(source, tmp_path / "good.json", estimator=networks[0])
    ends, findings = FUZZ["fuzz_results"](range(400), (tmp_path / "good.json").read_bytes(), tmp_path / "m.json")
    assert findings == []
    assert min(ends["read"], ends["refused"]) > 20


def test_a_result_is_no_video(networks, tmp_path):
    """Result files, whole and mutated, into export."""
    from dcpose_cli import InputError, export_json

    source = PRODUCT["make_clip"](tmp_path / "good.mp4", frames=3)
    export_json(source, tmp_path / "good.json", estimator=networks[0])
    raw = (tmp_path / "good.json").read_bytes()
    for number in range(20):
        name, data = FUZZ["clip_of"](number, {"x.json": raw})
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=r"x\.json"):
            export_json(tmp_path / name, tmp_path / "out.json", estimator=networks[0])
        assert not (tmp_path / "out.json").exists()


@pytest.mark.filterwarnings("ignore")  # of the writer: torch.save of odd tensors
@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(range(40), id="short"),
        pytest.param(range(1000, 1400), id="long", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_headers_data_sets_and_checkpoints(networks, tmp_path, numbers):
    from dcpose_cli import export_json

    (tmp_path / "kit").mkdir()
    source = PRODUCT["make_clip"](tmp_path / "good.mp4", frames=3)
    export_json(source, tmp_path / "good.json", estimator=networks[0])
    kit = HEADERS["Kit"](tmp_path / "kit", *networks[1:], tmp_path / "good.json", source)
    ends, findings = HEADERS["fuzz_headers"](numbers, kit, PRODUCT["Command"](*networks[1:]), tmp_path / "work")
    assert findings == []
    assert {end.split()[0] for end in ends} >= set(HEADERS["CODES"])
    read = sum(count for end, count in ends.items() if end.endswith(" 0"))
    assert min(read, ends.total() - read) > len(numbers) // 10
