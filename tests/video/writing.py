"""What the tests of the writer share; loaded by its path."""

from __future__ import annotations

from dcpose_cli.video import VideoReader, VideoWriter


def transcribe(source, target, *, sound=True, start=None, end=None, max_frames=None, **options):
    """Read `source` and write every frame to `target`; returns (frames, finished writer)."""
    with (
        VideoReader(source, start=start, end=end, max_frames=max_frames) as video,
        VideoWriter(
            target,
            video.info,
            audio_from=source if sound else None,
            start=start,
            end=end,
            cut=max_frames is not None,
            clock=video.clock,
            **options,
        ) as out,
    ):
        frames = []
        for frame in video:
            out.write(frame.image, frame.pts)
            frames.append(frame)
    return frames, out


def names(folder):
    return sorted(path.name for path in folder.iterdir())
