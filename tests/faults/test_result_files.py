"""Fault test 37: mutated and garbage result files into every format, and into evaluate: 3, or output that is whole."""

from __future__ import annotations

import json
import math
import random
import zipfile

import numpy as np
import pytest

from dcpose_cli.export.formats import FORMATS
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture
def result(tmp_path):
    """Four frames, up to three people."""
    rng = np.random.default_rng(1)
    header = {"time_base": "1/25", "fps": "25/1", "width": 64, "height": 48, "settings": {}}
    with PoseTrackWriter(tmp_path / "good.json", header) as writer:
        for index in range(4):
            people = []
            for track in range(index):
                points = rng.uniform(1, 40, (17, 3)).astype(np.float32)
                people.append(Person(track, np.array([1, 2, 30, 40], np.float32), 0.8, points))
            writer.write(FrameResult(index, index, index / 25, tuple(people)))
    return tmp_path / "good.json"


ODD = [
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b'"x"',
    b"[]",
    b"{}",
    b"99999999999999999999",
    b"1e29",
    b"",
]


def damage(raw, rng):
    """Bytes flipped, cut, doubled or noise; or a number replaced by something odd."""
    data = bytearray(raw)
    kind = rng.randrange(6)
    if kind == 0:
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 1:
        del data[rng.randrange(len(data)) :]
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at:at] = data[at : at + rng.randrange(1, 400)]
    elif kind == 3 and rng.random() < 0.3:
        data = bytearray(rng.randbytes(rng.randrange(2000)))
    else:
        digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57 and not 48 <= data[i - 1] <= 57]
        start = rng.choice(digits)
        end = start
        while end < len(data) and chr(data[end]) in "0123456789.":
            end += 1
        data[start:end] = rng.choice(ODD)
    return bytes(data)


def require_whole(path, name):
    """Outputs of a run that ended with 0 can be read by what they are made for."""
    files = sorted(p for p in path.parent.glob(f"{path.stem}*") if p.is_file()) or sorted(path.iterdir())
    assert files
    for file in files:
        if file.suffix == ".json":
            json.loads(file.read_text(), parse_constant=lambda text: pytest.fail(text))
        elif file.suffix == ".csv":
            rows = [line.count(",") for line in file.read_text().splitlines()]
            assert len(set(rows)) == 1
        elif file.suffix == ".txt":
            assert all(len([float(cell) for cell in line.split(",")]) == 10 for line in file.read_text().splitlines())
        elif file.suffix == ".trc":
            lines = file.read_text().splitlines()[6:]
            assert lines
            assert all(all(float(cell) == float(cell) or cell == "nan" for cell in line.split("\t")) for line in lines)
        elif file.suffix == ".parquet":
            assert file.read_bytes()[-4:] == b"PAR1"
        elif file.suffix == ".jsonl":
            assert all(json.loads(line)["people"] is not None for line in file.read_text().splitlines())
        elif file.suffix == ".xlsx":
            with zipfile.ZipFile(file) as book:
                assert book.testzip() is None
        elif file.suffix == ".py":
            compile(file.read_text(), file.name, "exec")
        elif file.suffix == ".bvh":
            assert all(math.isfinite(float(cell)) for cell in file.read_text().split("Frame Time:")[1].split())
        else:  # C3D, HDF5 and the like: read by their libraries in tests/export/test_own_libraries.py
            assert file.stat().st_size > 200


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_results(dcpose, product, result, tmp_path, name):
    product.require_package(FORMATS[name])
    raw = result.read_bytes()
    rng = random.Random(f"37 {name}")
    codes = []
    for number in range(48):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        bad = folder / "bad.json"
        bad.write_bytes(damage(raw, rng))
        out = folder / f"x{FORMATS[name].suffix}"
        done = dcpose("convert", bad, "--to", name, "-o", out)
        codes.append(done.returncode)
        if done.returncode == 0:
            require_whole(out, name)
        else:
            nobody = name in ("trc", "c3d", "bvh") and ("nobody" in done.stderr or "hips" in done.stderr)
            assert done.returncode == 3 or nobody, done.stderr
            product.one_line(done)
            assert product.files_in(folder) == ["bad.json"]
    assert 3 in codes
    assert 0 in codes


def test_mutated_results_into_export_json(dcpose, product, result, tmp_path):
    good = dcpose("export", result, "--format", "csv", "-o", tmp_path / "good.csv")
    assert good.returncode == 0, good.stderr
    rng = random.Random(3)
    for number in range(12):
        bad = tmp_path / f"{number}.json"
        bad.write_bytes(damage(result.read_bytes(), rng))
        out = tmp_path / f"x{number}.json"
        done = dcpose("export", bad, "-o", out)
        assert done.returncode in (0, 3), done.stderr
        assert out.exists() == (done.returncode == 0)
        if out.exists():
            require_whole(out, "posetrack18")
        else:
            assert bad.name in product.one_line(done)


def test_mutated_files_into_evaluate(dcpose, product, root, tmp_path):
    golden = root / "tests" / "data" / "poseval"
    name = "000002_mpiinew_test.json"
    rng = random.Random(7)
    codes = []
    for number in range(30):
        style = rng.choice(["gt", "pred17", "pred18"])
        bad = tmp_path / f"{number}.json"
        bad.write_bytes(damage((golden / style / name).read_bytes(), rng))
        pair = [bad, golden / "pred18" / name] if style == "gt" else [golden / "gt" / name, bad]
        done = dcpose("evaluate", *pair, "--metrics", "ap,pckh,oks", "--json", tmp_path / "s.json", "--overwrite")
        codes.append(done.returncode)
        if done.returncode == 0:
            json.loads((tmp_path / "s.json").read_text(), parse_constant=lambda text: pytest.fail(text))
        else:
            assert done.returncode == 3, done.stderr
            assert bad.name in product.one_line(done)
    assert codes.count(3) > 5
    assert codes.count(0) > 5
