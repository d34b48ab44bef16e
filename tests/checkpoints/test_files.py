"""Models on disk: round trips, what is refused and how it is said (fault 25)."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dcpose_cli.checkpoints import files as weights
from dcpose_cli.checkpoints.files import find_weights, load_model, open_model, save_model, verify
from dcpose_cli.checkpoints.headers import METADATA_KEY
from dcpose_cli.errors import OutputError, UsageError, WeightsError
from dcpose_cli.nets import DCPose, DCPoseConfig, SimpleBaselineConfig
from dcpose_cli.pose.methods import KINDS


@pytest.fixture(scope="module")
def hrnet(small_nets):
    torch.manual_seed(1)
    return small_nets.net("hrnet")


@pytest.fixture
def parts(tiny_folder):
    """Tensors and header of a good file, to be spoilt."""
    path = tiny_folder / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[METADATA_KEY])
    return load_file(path), header


@pytest.fixture
def write(tmp_path):
    def write(tensors, header):
        path = tmp_path / "spoilt.safetensors"
        save_file(tensors, path, metadata=None if header is None else {METADATA_KEY: json.dumps(header)})
        return path

    return write


def refusal(model):
    """The message with which a model is refused; it must be one line that names the file, and exit 5."""
    with pytest.raises(WeightsError) as caught:
        load_model(model)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 5
    return text


# --- round trips


def test_half_precision_file_loads_as_float32(tiny_folder):
    loaded = open_model(tiny_folder)
    stored = load_file(tiny_folder / "model.safetensors")
    state = loaded.net.state_dict()
    assert {v.dtype for v in stored.values()} == {torch.float16}
    assert not loaded.net.training
    assert {v.dtype for k, v in state.items() if not k.endswith("num_batches_tracked")} == {torch.float32}
    assert all(torch.equal(state[name], value.float()) for name, value in stored.items())
    counters = [v for k, v in state.items() if k.endswith("num_batches_tracked")]
    assert counters
    assert all(v.device.type == "cpu" and int(v) == 0 for v in counters)
    assert loaded.sha256 == hashlib.sha256(loaded.path.read_bytes()).hexdigest()


def test_the_file_alone_builds_the_network(tiny_folder, tmp_path):
    moved = tmp_path / "any name.safetensors"
    moved.write_bytes((tiny_folder / "model.safetensors").read_bytes())
    loaded = open_model(moved)
    assert isinstance(loaded.net, DCPose)
    assert loaded.header.input_size == loaded.net.config.input_size == (48, 64)
    assert loaded.net.config.dilations == (2, 4)
    x, margin = torch.rand(1, 9, 64, 48), torch.ones(1, 2)
    with torch.no_grad():
        assert torch.equal(loaded.net(x, margin), load_model(tiny_folder)(x, margin))


def test_float32_round_trip_of_an_hrnet_is_exact(hrnet, tmp_path):
    path = save_model(
        hrnet,
        tmp_path / "h",
        name="h",
        joints="coco",
        predicts=(0, 5),
        input_size=(192, 256),
        source="s",
        decoding="smoothed",
    )
    loaded = open_model(tmp_path / "h")
    assert loaded.path == path
    want = ("hrnet", "h", (192, 256), (0, 5), "coco", "s", hrnet.config)
    head = loaded.header
    assert (head.kind, head.name, head.input_size, head.predicts, head.joints, head.source, head.network) == want
    assert head.decoding == "smoothed"
    mine, theirs = hrnet.state_dict(), loaded.net.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_float16_cannot_hold_stays_float32(small_nets, tmp_path):
    net = small_nets.net("hrnet")
    net.bn1.running_var[0] = 1e6
    path = save_model(net, tmp_path / "h", name="h", dtype=torch.float16)
    stored = load_file(path)
    assert stored["bn1.running_var"].dtype == torch.float32
    assert stored["bn2.running_var"].dtype == torch.float16
    assert float(load_model(path).bn1.running_var[0]) == 1e6


def test_saving_replaces_nothing_unasked(hrnet, tmp_path):
    path = save_model(hrnet, tmp_path / "h", name="first")
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        save_model(hrnet, tmp_path / "h", name="second")
    assert path.read_bytes() == before
    save_model(hrnet, tmp_path / "h", name="second", overwrite=True)
    assert open_model(path).header.name == "second"
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_saving_below_a_file_is_an_output_error(hrnet, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        save_model(hrnet, tmp_path / "file" / "model", name="h")


@pytest.mark.parametrize("kind", [*KINDS, "dcpose on simplebaseline"])
def test_every_kind_comes_back_as_it_was(small_nets, kind, tmp_path):
    if kind in KINDS:
        net = small_nets.net(kind)
    else:
        backbone = SimpleBaselineConfig(depth=18, width=8)
        net = DCPose(DCPoseConfig(backbone, (48, 64), combine_width=8, neighbours=("next",)))
    loaded = open_model(save_model(net, tmp_path / "m", name="m", input_size=(48, 64)))
    assert (type(loaded.net), loaded.net.config, loaded.header.network) == (type(net), net.config, net.config)
    assert loaded.header.input_size == (48, 64)
    theirs = loaded.net.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in net.state_dict().items())


def test_the_single_frame_network_inside(tiny_folder, hrnet, tmp_path):
    whole, single = open_model(tiny_folder), open_model(f"{tiny_folder}:single")
    assert (single.header.kind, single.header.name) == ("hrnet", "tiny:single")
    assert (single.header.input_size, single.sha256) == (whole.header.input_size, whole.sha256)
    x = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        assert torch.equal(single.net(x), whole.net.backbone(x))
    save_model(hrnet, tmp_path / "h", name="h")
    assert "omit :single" in refusal(f"{tmp_path / 'h'}:single")


# --- fault 25: missing, extra, misshapen


def test_missing_extra_and_misshapen_tensors_are_listed_up_to_five(parts, write):
    tensors, header = parts
    for name in ("backbone.conv1.weight", "backbone.conv2.weight"):
        del tensors[name]
    tensors["backbone.bn1.weight"] = torch.zeros(3)
    for k in range(4):
        tensors[f"stranger{k}"] = torch.zeros(1)
    text = refusal(write(tensors, header))
    for part in (
        "missing backbone.conv1.weight",
        "missing backbone.conv2.weight",
        "backbone.bn1.weight is (3,), expected (8,)",
        "unexpected stranger0",
        "unexpected stranger1",
        "and 2 more",
        "spoilt.safetensors",
    ):
        assert part in text
    assert "stranger2" not in text


def test_one_problem_needs_no_more(parts, write):
    tensors, header = parts
    tensors["stranger"] = torch.zeros(1)
    text = refusal(write(tensors, header))
    assert "unexpected stranger" in text
    assert " more" not in text.partition("unexpected")[2]


# --- damaged and foreign files


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.01, 0.5, 0.999])
def test_truncated_file(tiny_folder, tmp_path, share):
    raw = (tiny_folder / "model.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(raw[: int(len(raw) * share)])
    assert "cut.safetensors" in refusal(path)


def test_bytes_that_are_no_safetensors(tmp_path):
    path = tmp_path / "text.safetensors"
    path.write_bytes(b"\xff" * 4096)
    assert "text.safetensors" in refusal(path)


@pytest.mark.parametrize("header", [None, {}, {"format": 2}, [1], "x"])
def test_no_header_or_one_of_another_version(parts, write, header):
    assert "header" in refusal(write(parts[0], header))


def test_deeply_nested_header(parts, tmp_path):
    path = tmp_path / "deep.safetensors"
    save_file(parts[0], path, metadata={METADATA_KEY: "[" * 200_000})
    assert "deep.safetensors" in refusal(path)


def test_a_detector_is_no_pose_model(parts, write):
    assert "'yolo', not a pose network" in refusal(write(parts[0], {**parts[1], "kind": "yolo"}))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"joints": "openpose"}, "joints is 'openpose'"),
        ({"joints": "halpe26"}, "joints has 26 names, 17 are needed"),
        ({"joints": "named"}, "names are for joints that are 'named'"),
        ({"names": ["nose"]}, "names are for joints that are 'named'"),
        ({"joints": "named", "names": ["nose", "LKnee"]}, "names are not in our spelling"),
        ({"joints": "named", "names": ["nose", "nose"]}, "the joint nose is named twice"),
        ({"joints": "named", "names": ["nose", "a\tb"]}, "control characters"),
        ({"joints": "named", "names": ["nose", "tail"]}, "joints has 2 names, 17 are needed"),
        ({"predicts": [1, 1]}, "predicts names a channel twice"),
        ({"decoding": "tarot"}, "decoding is 'tarot', known are quarter, smoothed"),
        ({"input_size": [0, 64]}, "input_size"),
        ({"input_size": [50, 64]}, "input_size"),
        ({"input_size": [64]}, "input_size must have 2 entries"),
        ({"predicts": [17]}, "predicts"),
        ({"name": 3}, "name must be str"),
        ({"extra": 1}, "unknown key extra"),
        ({"network": None}, "network must be a table"),
        ({"network": {"depth": 3}}, "unknown key network.depth"),
        ({"network": {"backbone": {"width": "8"}}}, "network.backbone.width must be int"),
        ({"network": {"backbone": {"joints": 16}}}, "16 joints"),
        ({"network": {"backbone": {"width": -8}}}, "network.backbone.width is -8"),
        ({"network": {"prf_blocks": 0}}, "does not fit its network"),
    ],
)
def test_header_that_cannot_be_meant(parts, write, change, named):
    tensors, header = parts
    assert named in refusal(write(tensors, {**header, **change}))


def test_a_header_of_before_decodings_means_the_published_one(parts, write):
    tensors, header = parts
    del header["decoding"]
    assert open_model(write(tensors, header)).header.decoding == "quarter"


def test_header_without_a_name(parts, write):
    tensors, header = parts
    del header["name"]
    assert "missing key name" in refusal(write(tensors, header))


def test_a_huge_network_is_refused_before_memory_is_taken(parts, write):
    tensors, header = parts
    header["network"]["backbone"]["width"] = 8192  # terabytes of weights
    assert "170,532,509,172 parameters" in refusal(write(tensors, header))
    header["network"]["backbone"]["width"] = 256  # within the limit, and hundreds of megabytes
    assert "does not fit its network" in refusal(write(tensors, header))
    header["network"]["backbone"]["width"] = 1 << 20
    assert "network.backbone.width is 1048576" in refusal(write(tensors, header))


# --- names


@pytest.mark.parametrize("name", ["nothing-here", "", "a\nb", "a\0b", "x" * 300, "../../etc/passwd", "-"])
def test_names_that_are_no_model(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there is no such model" in refusal(name)


def test_a_file_of_another_kind_points_to_the_importer(tmp_path):
    path = tmp_path / "epoch_19_state.pth"
    path.write_bytes(b"x")
    assert "models import" in refusal(path)


def test_a_name_below_a_file(tiny_folder):
    assert "there is no such model" in refusal(tiny_folder / "model.safetensors" / "x")


# --- the shipped models, here a folder of our own


@pytest.fixture
def shelf(tiny_folder, tmp_path, monkeypatch):
    """A models folder with one listed and one unlisted file."""
    root = tmp_path / "shelf"
    for name in ("dcpose-s", "unlisted"):
        (root / name).mkdir(parents=True)
        (root / name / "model.safetensors").write_bytes((tiny_folder / "model.safetensors").read_bytes())
    digest = hashlib.sha256((tiny_folder / "model.safetensors").read_bytes()).hexdigest()
    (root / "SHA256SUMS").write_text(f"{digest}  dcpose-s/model.safetensors\n")
    monkeypatch.setattr(weights, "models_dir", lambda: root)
    monkeypatch.setattr("dcpose_cli._paths.models_dir", lambda: root)
    monkeypatch.chdir(tmp_path)
    return root


def test_auto_and_names_lead_to_the_shipped_file(shelf):
    wanted = shelf / "dcpose-s" / "model.safetensors"
    assert find_weights("auto") == find_weights("dcpose-s") == find_weights(shelf / "dcpose-s") == wanted
    assert [p.name for p in weights.shipped_models()] == ["dcpose-s", "unlisted"]
    (shelf / "person-x").mkdir()
    header = json.dumps({"format": 1, "kind": "detector"})
    save_file({"a": torch.zeros(1)}, shelf / "person-x" / "model.safetensors", metadata={"dcpose": header})
    (shelf / "broken").mkdir()
    (shelf / "broken" / "model.safetensors").write_bytes(b"no")
    assert refusal("dcpose-x").endswith("shipped pose models: broken, dcpose-s, unlisted")


def test_auto_without_models(shelf):
    (shelf / "dcpose-s" / "model.safetensors").unlink()
    assert "no pose model" in refusal("auto")


def test_verify(shelf):
    path = shelf / "dcpose-s" / "model.safetensors"
    assert verify(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(WeightsError, match="not the published file"):
        verify(path)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        verify(path)


def test_verify_of_what_was_never_published(shelf, tiny_folder):
    with pytest.raises(UsageError, match="no published hash"):
        verify(shelf / "unlisted" / "model.safetensors")
    with pytest.raises(UsageError, match="not one of the shipped"):
        verify(tiny_folder / "model.safetensors")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_verify_without_a_readable_list(shelf, content):
    (shelf / "SHA256SUMS").unlink()
    if content is not None:
        (shelf / "SHA256SUMS").write_bytes(content)
    with pytest.raises(WeightsError, match="SHA256SUMS"):
        verify(shelf / "dcpose-s" / "model.safetensors")
