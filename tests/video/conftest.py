"""Clips made on the spot, so that every property under test is known exactly."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

# Display matrices (a, b, c, d) of the eight orientations, by clockwise degrees and mirroring.
MATRICES = {
    (0, False): (1, 0, 0, 1),
    (90, False): (0, 1, -1, 0),
    (180, False): (-1, 0, 0, -1),
    (270, False): (0, -1, 1, 0),
    (0, True): (-1, 0, 0, 1),
    (90, True): (0, -1, -1, 0),
    (180, True): (1, 0, 0, -1),
    (270, True): (0, 1, 1, 0),
}


class Clips:
    """Makers of clips inside one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def picture(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
        """(height, width, 3) uint8: four flat quarters of different colours, one of them changing with `index`."""
        image = np.zeros((height, width, 3), np.uint8)
        image[: height // 2, : width // 2] = (200, 40, 40)
        image[: height // 2, width // 2 :] = (40, 180, 60)
        image[height // 2 :, : width // 2] = (50, 60, 210)
        image[height // 2 :, width // 2 :] = 30 + index * 7 % 200
        return image

    def make(
        self,
        name: str = "clip.mp4",
        *,
        frames: int = 12,
        size: tuple[int, int] = (64, 48),
        fps: int = 25,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        pts: list[int] | None = None,
        time_base: Fraction | None = None,
        audio: str | None = None,
        audio_start: float = 0.0,
        audio_seconds: float | None = None,
        matrix: tuple[int, int, int, int] | None = None,
        colour: tuple[int, int] | None = None,
        sar: Fraction | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        container: str | None = None,
    ) -> Path:
        """A clip of `picture(i)`. colour: (matrix, range) codes to convert with and tag."""
        path = self.folder / name
        base = time_base or Fraction(1, fps)
        stamps = pts if pts is not None else list(range(frames))
        with av.open(str(path), "w", format=container, container_options=container_options or {}) as out:
            quality = {"crf": "4", "preset": "ultrafast", "threads": "1"} if codec == "libx264" else {}
            video = out.add_stream(codec, rate=fps, options=quality | (options or {}))
            context = video.codec_context
            context.width, context.height, context.pix_fmt, context.time_base = *size, pix_fmt, base
            if sar is not None:
                context.sample_aspect_ratio = sar
            if colour is not None:
                context.colorspace, context.color_range = colour
            sound = None
            if audio is not None:
                sound = out.add_stream(audio, rate=48000)
                sound.codec_context.layout = "stereo"
            if sound is not None:
                self._tone(out, sound, audio_seconds or len(stamps) / fps, audio_start)
            for index, stamp in enumerate(stamps):
                rgb = av.VideoFrame.from_ndarray(self.picture(index, *size))
                tags = {} if colour is None else {"dst_colorspace": colour[0], "dst_color_range": colour[1]}
                # Accurate rounding and full chroma: the clip itself must not be off.
                frame = rgb.reformat(format=pix_fmt, interpolation=0x42002, **tags)
                frame.pts, frame.time_base = stamp, base
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if matrix is not None:
            self.set_matrix(path, matrix)
        return path

    @staticmethod
    def _tone(out, sound, seconds: float, start: float) -> None:
        for block in range(max(1, int(seconds * 48000 / 1024))):
            at = np.arange(1024) + block * 1024
            wave = (np.sin(at * 2 * np.pi * 440 / 48000) * 8000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = block * 1024 + round(start * 48000)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))

    @staticmethod
    def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
        """Write a display matrix into the track header of an MP4."""
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 4 + 40
        a, b, c, d = (value << 16 for value in matrix)
        data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data)

    @staticmethod
    def flip_bytes(path: Path, count: int, *, seed: int = 0) -> None:
        """Change `count` bytes in the middle of a file's media data."""
        data = bytearray(path.read_bytes())
        start = data.find(b"mdat") + 2000 if b"mdat" in data else 2000
        for at in np.random.default_rng(seed).integers(start, len(data) - 200, count):
            data[at] ^= 0x5A
        path.write_bytes(data)

    @staticmethod
    def cut(path: Path, share: float) -> None:
        """Keep only the first part of a file."""
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    @staticmethod
    def noise(path: Path, *, frames: int = 50, container: str | None = None, gop: int = 10) -> Path:
        """A clip of moving texture, big enough that damage hits pictures and not headers; MP4 with its index first."""
        rng = np.random.default_rng(7)
        texture = rng.integers(0, 255, (96, 320, 3), np.uint8)
        index_first = {"movflags": "faststart"} if container == "mp4" else {}
        with av.open(str(path), "w", format=container, container_options=index_first) as out:
            options = {"preset": "ultrafast", "threads": "1", "crf": "20"}
            video = out.add_stream("libx264", rate=25, options=options)
            context = video.codec_context
            context.width, context.height, context.pix_fmt, context.gop_size = 128, 96, "yuv420p", gop
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, index * 3 : index * 3 + 128]))
                frame.pts, frame.time_base = index, Fraction(1, 25)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        return path

    @staticmethod
    def sound_times(path: Path) -> list[float]:
        """Start of every packet of the first sound track, in seconds."""
        with av.open(str(path)) as container:
            packets = [p for p in container.demux(container.streams.audio[0]) if p.size]
            return [float((p.pts if p.pts is not None else p.dts) * p.time_base) for p in packets]


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """Clip makers that write into this test's folder."""
    return Clips(tmp_path)


@pytest.fixture(params=sorted(MATRICES), ids=lambda key: f"{key[0]}{'-mirrored' if key[1] else ''}")
def turned(request) -> tuple[int, bool, tuple[int, int, int, int]]:
    """(clockwise degrees, mirrored, display matrix) of each orientation."""
    return *request.param, MATRICES[request.param]
