"""Only one local media file is ever opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.video import probe
from dcpose_cli.video.source import open_input


@pytest.mark.parametrize(
    "name",
    [
        "http://127.0.0.1:9/x.mp4",
        "https://example.org/x.mp4",
        "rtsp://127.0.0.1/x",
        "concat:clip.mp4|clip.mp4",
        "lavfi:testsrc",
        "file:clip.mp4",
        "subfile,,start,0,end,9,,:clip.mp4",
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_urls_and_protocols_are_refused(clips, monkeypatch, name, kind):
    clips.make()
    monkeypatch.chdir(clips.folder)
    with pytest.raises((UsageError, InputError)) as caught:
        probe(kind(name))
    assert "not a local file" in str(caught.value) or "no such file" in str(caught.value)


def test_a_file_whose_name_looks_like_a_protocol_is_a_file(clips, monkeypatch):
    clips.make().rename(clips.folder / "concat:a|b.mp4")
    monkeypatch.chdir(clips.folder)
    assert probe("concat:a|b.mp4").width == 64


def test_url_is_tried_when_allowed():
    with pytest.raises(InputError, match="not a video we can read"):
        probe("http://127.0.0.1:9/x.mp4", allow_network=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("list.txt", "ffconcat version 1.0\nfile {clip}\n"),
        ("list.mpd", "<?xml version='1.0'?><MPD><Period/></MPD>"),
        ("list.sdp", "v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"),
        ("list.mkv", " \n\n" * 50 + "#EXTM3U\n{clip}\n"),
    ],
)
def test_playlists_are_refused(clips, name, text):
    clip = clips.make("a.ts")
    path = clips.folder / name
    path.write_text(text.format(clip=clip))
    with pytest.raises(InputError) as caught:
        probe(path)
    assert name in str(caught.value)


def test_image_sequences_are_refused(clips, monkeypatch):
    for index in range(3):
        clips.make(f"img%{index}.png", frames=1, codec="png", pix_fmt="rgb24", container="image2")
    (clips.folder / "img%d.png").write_bytes((clips.folder / "img%0.png").read_bytes())
    with pytest.raises(InputError):
        probe(clips.folder / "img%d.png")


def test_what_is_no_file(tmp_path):
    with pytest.raises(UsageError, match="dcpose batch"):
        probe(tmp_path)
    with pytest.raises(InputError, match=r"gone\.mp4: no such file"):
        probe(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match="cannot be opened"):
        probe(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="cannot be opened"):
        probe("a\0b.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="pipe or device"):
        probe(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    with pytest.raises(InputError, match="cannot be opened"):
        probe(tmp_path / "loop.mp4")


@pytest.mark.parametrize("allow_network", [False, True])
def test_standard_input_is_refused_with_what_to_do(clips, monkeypatch, allow_network):
    monkeypatch.chdir(clips.folder)
    for name in ("-", "pipe:", "pipe:0", "pipe:/0", "PIPE:0", "fd:"):
        with pytest.raises(UsageError, match=r"videos are not read from a pipe; write the stream to a file first"):
            open_input(name, allow_network=allow_network)
        with pytest.raises(UsageError, match="not read from a pipe"):
            probe(Path(name), allow_network=allow_network)
    os.mkfifo("pipe.mp4")
    with pytest.raises(InputError, match="write the stream to a file first"):
        open_input("pipe.mp4", allow_network=allow_network)
    with pytest.raises(InputError, match="no such file"):
        open_input("pipe", allow_network=allow_network)
    for name in ("-", "pipe:0"):
        clips.make().rename(name)
        open_input(name, allow_network=allow_network).close()


@pytest.mark.parametrize("name", ["line\nbreak.mp4", "-dash.mp4", "ü%d[1]*.mp4", os.fsdecode(b"bad\xff.mp4")])
def test_awkward_names_open(clips, name):
    clips.make().rename(clips.folder / name)
    assert probe(clips.folder / name).width == 64
    (clips.folder / name).write_bytes(b"no video")
    with pytest.raises(InputError) as caught:
        probe(clips.folder / name)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
