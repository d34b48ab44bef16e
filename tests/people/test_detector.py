"""Person boxes: geometry, suppression, independence of the batch, and every way a model file can be wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dcpose_cli import _ultralytics
from dcpose_cli._paths import models_dir
from dcpose_cli.errors import DeviceError, WeightsError
from dcpose_cli.people.detector import Letterbox, PersonDetector, select
from dcpose_cli.people.detector_files import save_detector

TINY = {
    "nc": 1,
    "backbone": [[-1, 1, "Conv", [width, 3, 2]] for width in (8, 16, 16, 16, 16)],
    "head": [[[2, 3, 4], 1, "Detect", ["nc"]]],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of random weights; it fires everywhere a little."""
    torch.manual_seed(3)
    net = _ultralytics.detection_model(TINY)
    for name, parameter in net.named_parameters():
        if name.endswith("2.weight") and parameter.shape[0] == 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return save_detector(net, tmp_path_factory.mktemp("models") / "tiny", name="tiny", imgsz=96)


def noise(seed: int, height: int = 72, width: int = 128) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def test_boxes_lie_in_the_image_best_first(tiny: Path) -> None:
    detector = PersonDetector(tiny, conf=1e-4)
    (found,) = detector.detect([noise(1)])
    assert len(found) > 3
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert np.all(np.diff(found.scores) <= 0)
    low, high = found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]
    assert low.min() >= 0
    assert np.all(high <= np.array([128, 72]) + 1e-3)


def test_the_result_of_an_image_does_not_depend_on_its_batch(tiny: Path) -> None:
    images = [noise(1), noise(2, 96, 64), noise(3), noise(4), noise(5, 96, 64)]
    detector = PersonDetector(tiny, conf=1e-4)
    together = detector.detect(images)
    for image, found in zip(images, together, strict=True):
        (alone,) = detector.detect([image])
        assert len(alone) > 0
        np.testing.assert_array_equal(alone.boxes, found.boxes)
        np.testing.assert_array_equal(alone.scores, found.scores)
    assert not np.array_equal(together[0].boxes, together[2].boxes)


def test_no_images_no_results_and_loading_keeps_the_random_state(tiny: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    detector = PersonDetector(tiny)
    assert torch.equal(torch.get_rng_state(), before)
    assert detector.detect([]) == []
    assert detector.imgsz == 96


def test_name_and_hash_say_which_file_made_the_boxes(tiny: Path) -> None:
    detector = PersonDetector(tiny.parent)
    assert detector.name == "tiny"
    assert detector.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()


def test_reduced_precision_is_close(tiny: Path) -> None:
    full = PersonDetector(tiny, conf=1e-4).detect([noise(1)])[0]
    half = PersonDetector(tiny, conf=1e-4, half=True).detect([noise(1)])[0]
    assert abs(full.scores[0] - half.scores[0]) < 0.05


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (1920, 1080), (33, 641), (100, 100), (3, 2000)])
def test_letterbox_there_and_back(height: int, width: int) -> None:
    boxer = Letterbox(height, width, 416)
    image = np.zeros((height, width, 3), np.uint8)
    top, left, low, right = height // 4, width // 4, height // 2, width // 2
    image[top:low, left:right] = 255
    canvas = boxer.apply(image)
    assert canvas.shape[0] % 32 == canvas.shape[1] % 32 == 0
    assert max(canvas.shape) <= 416
    ys, xs = np.nonzero(canvas[..., 0] > 150)
    if height > 10:
        box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
        found = boxer.back(box, np.ones(1, np.float32)).boxes[0]
        pixel = max(height, width) / 416 + 1
        np.testing.assert_allclose(found, [left, top, right - left, low - top], atol=pixel)


def test_boxes_beyond_the_frame_are_clipped_or_vanish() -> None:
    boxer = Letterbox(72, 128, 128)  # 12 rows of padding above and below
    boxes = np.array([[-20, -20, 64, 200], [0, 0, 128, 11.5]], np.float32)
    found = boxer.back(boxes, np.array([0.9, 0.8], np.float32))
    np.testing.assert_allclose(found.boxes, [[0, 0, 64, 72]])


def rows(people: list[tuple[float, float, float, float, float]], others: float = 0.0) -> torch.Tensor:
    """Raw output (4 + 2 classes) with the given xyxy + score, person being class 1."""
    data = torch.tensor(people)
    centre, side = (data[:, :2] + data[:, 2:4]) / 2, data[:, 2:4] - data[:, :2]
    return torch.cat([centre, side, torch.full((len(data), 1), others), data[:, 4:]], 1).T.contiguous()


def test_overlapping_boxes_are_suppressed_and_weak_ones_dropped() -> None:
    raw = rows([(0, 0, 10, 20, 0.5), (0, 1, 10, 21, 0.9), (50, 0, 60, 20, 0.4), (80, 0, 90, 20, 0.1)])
    xyxy, scores = select(raw, 1, 0.3, 0.7)
    np.testing.assert_allclose(xyxy, [[0, 1, 10, 21], [50, 0, 60, 20]], atol=1e-5)
    np.testing.assert_allclose(scores, [0.9, 0.4])


def test_a_place_that_looks_more_like_another_class_is_no_person() -> None:
    raw = rows([(0, 0, 10, 20, 0.5)], others=0.6)
    assert len(select(raw, 1, 0.3, 0.7)[0]) == 0
    assert len(select(raw, 0, 0.3, 0.7)[0]) == 1


def test_half_a_person_boxed_again_goes_but_a_child_in_front_stays() -> None:
    adult, half, child = (0, 0, 40, 100, 0.9), (0, 1, 22, 99, 0.8), (10, 60, 30, 99, 0.7)
    beside = (25, 0, 65, 100, 0.6)
    xyxy, _ = select(rows([adult, half, child, beside]), 1, 0.3, 0.7)
    np.testing.assert_allclose(xyxy, [adult[:4], child[:4], beside[:4]], atol=1e-4)


def test_end_to_end_rows_are_taken_as_they_are() -> None:
    raw = torch.tensor([[0, 0, 5, 5, 0.4, 0], [1, 1, 9, 9, 0.9, 0], [1, 1, 9, 9, 0.9, 7], [0, 0, 1, 1, 0.1, 0]])
    xyxy, scores = select(raw.float(), 0, 0.3, 0.7)
    np.testing.assert_allclose(scores, [0.9, 0.4])
    np.testing.assert_allclose(xyxy[0], [1, 1, 9, 9])


def edited(tiny: Path, target: Path, change: Callable[[dict[str, torch.Tensor], dict[str, object]], None]) -> Path:
    from safetensors import safe_open

    with safe_open(tiny, framework="pt") as file:
        header = json.loads(file.metadata()["dcpose"])
    state = load_file(tiny)
    change(state, header)
    save_file(state, target, metadata={"dcpose": json.dumps(header)})
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, h: s.pop("model.0.conv.weight"), r"missing model\.0\.conv\.weight"),
        (lambda s, h: s.update({"stray": torch.zeros(2)}), "unexpected stray"),
        (lambda s, h: s.update({"model.0.conv.weight": torch.zeros(8, 3, 5, 5)}), r"expected \(8, 3, 3, 3\)"),
        (lambda s, h: h.update(kind="dcpose"), "not a detector"),
        (lambda s, h: h.update(format=99), "not a detector of format"),
        (lambda s, h: h.pop("architecture"), "no header"),
        (lambda s, h: h.update(names=["cat"]), "detects no people"),
        (lambda s, h: h["architecture"].update(activation="exec('1')"), "architecture"),
        (lambda s, h: h["architecture"].update(head=[[[2, 9], 1, "Detect", ["nc"]]]), "cannot be built"),
    ],
)
def test_wrong_model_files_are_named(
    tiny: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, object]], None], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        PersonDetector(edited(tiny, tmp_path / "wrong.safetensors", change))


def test_damaged_missing_and_unknown_files_are_weights_errors(tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny.read_bytes()[:1000])
    (tmp_path / "text.txt").write_text("hello")
    for source in (cut, tmp_path / "text.txt", tmp_path / "nowhere.pt", "no-such-model", tmp_path):
        with pytest.raises(WeightsError) as caught:
            PersonDetector(source)
        assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="CUDA"):
        PersonDetector(tiny, device="cuda")


#: As torch words it on a CPU and on MPS: plain RuntimeErrors. On CUDA it has a type of its own.
OUT_OF_MEMORY = [
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at CPUAllocator.cpp:64] data. DefaultCPUAllocator: not enough memory: you tried"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.12 GB, max allowed: 9.07 GB)"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
]


def raising(error: Exception) -> Callable[..., object]:
    def full(*_: object) -> object:
        raise error

    return full


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_even_for_one_image(tiny: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    detector = PersonDetector(tiny)
    monkeypatch.setattr(detector._net, "forward", raising(error))
    with pytest.raises(DeviceError, match=r"cpu has too little memory .* 96 pixels; close other programs") as caught:
        detector.detect([noise(1), noise(2)])
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)


def test_a_real_allocation_that_fails_is_out_of_memory(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this version's own words: an allocation that no machine can make."""
    detector = PersonDetector(tiny)
    monkeypatch.setattr(detector._net, "forward", lambda batch: torch.empty(1 << 60, dtype=torch.uint8))
    with pytest.raises(DeviceError, match="too little memory"):
        detector.detect([noise(1)])


def test_other_errors_of_the_network_are_not_taken_for_lack_of_memory(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = PersonDetector(tiny)
    monkeypatch.setattr(detector._net, "forward", raising(RuntimeError("an illegal memory access")))
    with pytest.raises(RuntimeError, match="illegal"):
        detector.detect([noise(1)])


def test_lack_of_memory_on_a_cpu_leaves_one_image_at_a_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [noise(seed) for seed in range(4)]
    expected = PersonDetector(tiny, conf=1e-4).detect(images)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        detector = PersonDetector(tiny, conf=1e-4)
        real, failed = detector._net.forward, []

        def forward(batch: torch.Tensor) -> object:
            if detector._cores > 1:
                failed.append(len(batch))
                raise OUT_OF_MEMORY[0]
            return real(batch)

        monkeypatch.setattr(detector._net, "forward", forward)
        found = detector.detect(images)
    finally:
        torch.set_num_threads(before)
    assert failed
    assert detector._cores == 1
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_lack_of_memory_on_a_gpu_halves_the_batch_for_good(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [noise(seed) for seed in range(11)]
    whole = PersonDetector(tiny, conf=1e-4)
    expected = whole.detect(images)
    detector, sizes = PersonDetector(tiny, conf=1e-4), []
    detector._device, detector._batch = torch.device("mps"), 8

    def forward(pixels: np.ndarray) -> list[torch.Tensor]:
        sizes.append(len(pixels))
        if len(pixels) > 3:
            raise OUT_OF_MEMORY[2]
        return [row for image in pixels for row in whole._forward(image[None])]

    monkeypatch.setattr(detector, "_forward", forward)
    found = detector.detect(images)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


@pytest.mark.shared
@pytest.mark.parametrize("source", ["yolov8n.pt", "person-n"])
def test_people_of_a_sample_clip_are_found(shared: Path, source: str) -> None:
    import av

    truth = json.loads((shared / "samples" / "plaza.json").read_text())["frames"]
    if source.endswith(".pt"):
        detector = PersonDetector(shared / "weights" / source)
    else:
        detector = PersonDetector(models_dir() / source)
    found = wanted = 0
    with av.open(shared / "samples" / "plaza.mp4") as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            if number % 15:
                continue
            (people,) = detector.detect([frame.to_ndarray(format="rgb24")])
            for person in truth[number]["persons"]:
                if person["visible_fraction"] > 0.8 and person["bbox"][3] > 120:
                    wanted += 1
                    found += any(overlap(person["bbox"], box) > 0.5 for box in people.boxes)
    assert wanted >= 8
    assert found >= 0.7 * wanted


def overlap(a: list[float], b: np.ndarray) -> float:
    """Intersection over union of xywh boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared_area = max(width, 0) * max(height, 0)
    return float(shared_area / (a[2] * a[3] + b[2] * b[3] - shared_area))
