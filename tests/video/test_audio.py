"""Which sound of the input is kept."""

from __future__ import annotations

import runpy
from pathlib import Path

import av
import pytest

transcribe = runpy.run_path(str(Path(__file__).parent / "writing.py"))["transcribe"]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_of_several_sound_tracks_one_is_kept_and_that_is_said(clips, ending):
    single, source = clips.make(f"single.{ending}", audio="aac"), clips.folder / f"two.{ending}"
    with av.open(str(single)) as one, av.open(str(source), "w") as out:
        video, sound = one.streams.video[0], one.streams.audio[0]
        copies = {stream.index: [out.add_stream_from_template(stream)] for stream in (video, sound)}
        copies[sound.index].append(out.add_stream_from_template(sound))
        for packet in one.demux(video, sound):
            if not packet.size:
                continue
            data = bytes(packet), packet.pts, packet.dts, packet.time_base, packet.is_keyframe, packet.duration
            for copy in copies[packet.stream.index]:
                twin = av.Packet(data[0])
                twin.pts, twin.dts, twin.time_base, twin.is_keyframe, twin.duration = data[1:]
                twin.stream = copy
                out.mux(twin)
    _, written = transcribe(source, clips.folder / "out.mp4")
    assert [f"two.{ending}: 1 of 2 tracks is kept, number 1" in said for said in written.warnings] == [True]
    with av.open(str(clips.folder / "out.mp4")) as container:
        assert len(container.streams.audio) == 1
    _, written = transcribe(single, clips.folder / "alone.mp4")
    assert written.warnings == []
