"""A batch on a Ray cluster of two nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import json

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    # Ray's own test cluster leaves files of its child processes open.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def cluster(monkeypatch, product):
    """Two nodes of one core each."""
    pytest.importorskip("ray", reason="needs the extra dcpose[ray]")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray's workers give way to everything else on a busy machine
    monkeypatch.setenv("PYTHONPATH", product.Command.environment()["PYTHONPATH"])
    from ray.cluster_utils import Cluster

    memory = 100 << 20
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    found.second = found.add_node(num_cpus=1, object_store_memory=memory)
    yield found
    found.shutdown()


def results(folder, product):
    return {name: (folder / name).read_bytes() for name in product.files_in(folder) if name != "manifest.jsonl"}


@pytest.fixture
def clips(product, tmp_path):
    """Twenty short clips and one of three segments."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number in range(20):
        product.make_clip(folder / ("sub" if number % 3 else ".") / f"{number:02}.mp4", frames=4 + number)
    product.make_clip(folder / "long.mp4", frames=1200, gop=50, audio=True)
    return folder


def test_one_node_is_killed_in_the_middle(cluster, dcpose, product, clips, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    alone = dcpose.process("batch", clips, "-o", one, *dcpose.models, timeout=600)
    assert alone.returncode == 0, alone.stderr

    together = dcpose.start("batch", clips, "-o", two, "--ray", cluster.address, *dcpose.models)
    parts = two / ".long.json.segments.part"
    product.wait_until(lambda: together.poll() is not None or any(parts.glob("*.seen")), seconds=600)
    assert together.poll() is None, together.communicate()
    cluster.remove_node(cluster.second, allow_graceful=False)
    _, text = together.communicate(timeout=900)
    assert together.returncode == 0, text

    expected = results(one, product)
    assert len(expected) == 42
    assert results(two, product) == expected
    lines = [json.loads(line) for line in (two / "manifest.jsonl").read_bytes().splitlines()]
    assert sorted(line["input"] for line in lines) == sorted(product.files_in(clips))
    assert {line["state"] for line in lines} == {"done"}

    again = dcpose.process("batch", clips, "-o", two, "--ray", cluster.address, *dcpose.models, timeout=300)
    assert again.returncode == 0
    assert again.stderr.endswith("0 done, 21 finished before, 0 failed, 0 skipped\n")


def test_bad_videos_and_relative_paths(cluster, dcpose, product, clip, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "in" / "bad.mp4").write_bytes(clip.read_bytes()[:500])
    result = dcpose.process(
        "batch", "in", "-o", "out", "--ray", cluster.address, *dcpose.models, timeout=600, cwd=tmp_path
    )
    assert result.returncode == 7, result.stderr
    assert "bad.mp4" in result.stderr
    assert product.files_in(tmp_path / "out") == ["good.json", "good.mp4", "manifest.jsonl", "summary.csv"]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:999999"])
def test_nobody_listens(dcpose, product, clip, tmp_path, address):
    pytest.importorskip("ray", reason="needs the extra dcpose[ray]")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    result = dcpose("batch", tmp_path / "in", "-o", tmp_path / "out", "--ray", address, *dcpose.models)
    assert result.returncode == 6
    assert "no Ray cluster answers" in product.one_line(result)


def test_without_ray(dcpose, product, clip, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    result = dcpose("batch", tmp_path / "in", "-o", tmp_path / "out", "--ray", "auto", *dcpose.models)
    assert result.returncode == 2
    assert "dcpose[ray]" in product.one_line(result)
