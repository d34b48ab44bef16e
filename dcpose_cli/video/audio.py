"""The sound of the input, carried into the output as the pictures go: copied where it fits, else encoded as AAC."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Disposition

from dcpose_cli.errors import DCPoseError
from dcpose_cli.files import printable
from dcpose_cli.video.audio_clock import AudioClock
from dcpose_cli.video.clock import BACK_SECONDS, Clock
from dcpose_cli.video.source import open_input

# Codecs that common players accept in each container and that no damage can make the muxer refuse midway, as happens
# with AC-3 in MP4; anything else becomes AAC.
_COPYABLE = {
    "mp4": frozenset({"aac", "mp3", "opus", "alac"}),
    "mov": frozenset({"aac", "mp3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"}),
    "matroska": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "pcm_s16le", "dts"}),
}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_MAX_FAILED_READS = 10
_SEEK_MARGIN_S = 2.0
#: Gaps and overlaps in the sound longer than this are filled with silence or cut, so that it stays in sync.
_RESYNC_S = 0.1
#: Sound that begins earlier than this before the first picture is left out; less is the lead-in of the codec.
_LEAD_S = 0.1
_FINE = Fraction(1, 1000)


class _Carrier(Protocol):
    """One way to bring packets of the input into the output. shift: seconds to add to every time stamp."""

    def send(self, packet: Packet[AudioStream], shift: float) -> None: ...

    def flush(self) -> None: ...


class AudioTrack:
    """The input's best sound, muxed lazily: `pump(until)` moves what is heard before `until`, so memory is bounded.

    pictures: their clock. since: what begins earlier is left out. offset: seconds to take off every time.
    Times are seconds on the clock of the pictures, whose first frame is at 0. Damage in the sound never raises: what
    cannot be read is left out and `warnings` says so. Errors of writing (disk full) are raised as OSError.
    """

    def __init__(
        self,
        source: Path,
        output: OutputContainer,
        *,
        pictures: Clock,
        since: float | None,
        offset: float = 0.0,
        allow_network: bool,
    ) -> None:
        self.warnings: list[str] = []
        self._source = source
        self._since = -_LEAD_S if since is None else since
        self._offset = offset
        self._clock = AudioClock(pictures)
        self._can_seek = not pictures.discontinuous
        self._damage = 0
        self._early = 0.0
        self._sent: float | None = None
        self._carrier: _Carrier | None = None
        self._input: InputContainer | None = None
        self._pending: Packet[AudioStream] | None = None
        try:
            self._input = open_input(source, allow_network=allow_network)
            stream = _best_audio(self._input)
            if stream is None:
                if self._input.streams.audio:
                    self._drop("there is no decoder for it")
                return
            self._carrier = _carrier_for(stream, output)
            count = len(self._input.streams.audio)
            if count > 1:
                self.warnings.append(
                    f"sound of {printable(source)}: 1 of {count} tracks is kept, number {stream.index}"
                )
            if since is not None:
                self._seek(since - self._clock.shift)
            self._packets = self._read(self._input, stream)
            self._pending = next(self._packets, None)
        except (av.FFmpegError, DCPoseError, ValueError) as exc:
            self._drop(str(exc))

    @property
    def present(self) -> bool:
        """True while there is a sound track in the output."""
        return self._carrier is not None

    def pump(self, until: float) -> None:
        """Mux every packet that starts before `until`."""
        while self._pending is not None:
            packet = self._pending
            at = self._clock.place(_seconds(packet), _length(packet), until)
            if at is None or at >= until:
                return
            self._send(packet, at)
            if self._pending is not None:
                self._pending = next(self._packets, None)

    def finish(self, until: float) -> None:
        """Mux what is left before `until`, flush and close."""
        self.pump(until)
        if self._carrier is not None:
            self._guard(self._carrier.flush)
        if self._early > _LEAD_S and self._since < 0:
            self.warnings.append(
                f"sound of {printable(self._source)}: {self._early:.1f} s before the first picture were left out"
            )
        if self._damage:
            self.warnings.append(f"sound of {printable(self._source)}: {self._damage} damaged places were left out")
        self.close()

    def close(self) -> None:
        """Release the input."""
        self._pending = None
        if self._input is not None:
            self._input.close()
            self._input = None

    def _send(self, packet: Packet[AudioStream], at: float) -> None:
        if at < self._since:
            self._early = max(self._early, -at)
        # The sound of a joined recording may begin a little before the one before it ended.
        elif self._carrier is not None and (self._sent is None or at > self._sent):
            carrier, self._sent = self._carrier, at
            self._guard(lambda: carrier.send(packet, at - _seconds(packet) - self._offset))

    def _guard(self, action: _Action) -> None:
        try:
            action()
        except OSError:
            raise  # the output cannot be written: that is not the sound's fault
        except (av.FFmpegError, ValueError):
            self._damage += 1

    def _seek(self, since: float) -> None:
        if since < _SEEK_MARGIN_S or self._input is None or not self._can_seek:
            return
        try:
            self._input.seek(int((since - _SEEK_MARGIN_S) * av.time_base))
        except av.FFmpegError:  # no index: read from the beginning, packets before `since` are passed over
            self._input.seek(0)

    def _read(self, container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
        """Packets in order, each with a time; failed reads are counted and passed over."""
        failed = 0
        last: float | None = None
        while failed <= _MAX_FAILED_READS:
            try:
                for packet in container.demux(stream):
                    failed = 0
                    if not packet.size or (packet.pts is None and packet.dts is None):
                        continue
                    if last is not None and last - BACK_SECONDS <= _seconds(packet) <= last:
                        self._damage += 1
                        continue
                    last = _seconds(packet)
                    yield packet
                return
            except av.FFmpegError:
                failed += 1
                self._damage += 1

    def _drop(self, reason: str) -> None:
        self.warnings.append(f"sound of {printable(self._source)} was left out: {reason}")
        self._carrier = None
        self.close()


class _Action(Protocol):
    def __call__(self) -> None: ...


class _Copy:
    """Moves packets unchanged."""

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        self._output = output
        self._stream = output.add_stream_from_template(source)
        # AAC from transport streams carries a header in every packet, which other containers do not allow.
        framed = source.codec_context.codec.canonical_name == "aac" and not source.codec_context.extradata
        self._unframe = BitStreamFilterContext("aac_adtstoasc", source) if framed else None
        self._bare = source.codec_context.codec.canonical_name == "aac" and not framed

    def send(self, packet: Packet[AudioStream], shift: float) -> None:
        if self._bare and _begins_as_framed(packet):
            raise ValueError("damaged: the muxer would refuse the whole file for it")
        _move(packet, shift)
        for ready in [packet] if self._unframe is None else self._unframe.filter(packet):
            ready.stream = self._stream
            self._output.mux(ready)

    def flush(self) -> None:
        pass


def _begins_as_framed(packet: Packet[AudioStream]) -> bool:
    """Whether an AAC packet begins with the mark of the header that MP4 does not allow."""
    head = bytes(packet)[:2]
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xF0 == 0xF0


class _Encode:
    """Decodes, fills gaps with silence, and encodes as AAC, mono or stereo."""

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        self._source = source
        self._output = output
        rate = min(_AAC_RATES, key=lambda known: abs(known - source.codec_context.sample_rate))
        self._layout = "mono" if source.codec_context.channels == 1 else "stereo"
        self._stream = output.add_stream("aac", rate=rate, options={"threads": "1"})
        self._stream.codec_context.layout = self._layout
        self._rate = rate
        self._graph: Graph | None = None

    def send(self, packet: Packet[AudioStream], shift: float) -> None:
        _move(packet, shift)
        for frame in self._source.decode(packet):
            self._resample(frame)

    def flush(self) -> None:
        if self._graph is not None:
            self._graph.push(None)
            self._drain(self._graph)
        self._output.mux(self._stream.encode(None))

    def _resample(self, frame: AudioFrame) -> None:
        if self._graph is None:
            self._graph = self._build(frame)
        self._graph.push(frame)
        self._drain(self._graph)

    def _drain(self, graph: Graph) -> None:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if isinstance(frame, AudioFrame):
                self._output.mux(self._stream.encode(frame))

    def _build(self, frame: AudioFrame) -> Graph:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=frame.time_base
        )
        resample = graph.add("aresample", f"{self._rate}:async=1:min_hard_comp={_RESYNC_S}")
        shape = graph.add("aformat", f"sample_fmts=fltp:sample_rates={self._rate}:channel_layouts={self._layout}")
        sink = graph.add("abuffersink")
        source.link_to(resample)
        resample.link_to(shape)
        shape.link_to(sink)
        graph.configure()
        return graph


def _best_audio(container: InputContainer) -> AudioStream | None:
    """The default track if marked, then the one with the finest sound, then the first."""
    known = [s for s in container.streams.audio if s.codec_context is not None]
    by_worth = {s.index: (bool(s.disposition & Disposition.default), s.codec_context.sample_rate) for s in known}
    return max(known, key=lambda s: (*by_worth[s.index], -s.index), default=None)


def _carrier_for(stream: AudioStream, output: OutputContainer) -> _Carrier:
    """Raises ValueError or av.FFmpegError when the sound can neither be copied nor decoded."""
    codec = stream.codec_context.codec.canonical_name
    if (
        codec in _COPYABLE.get(output.format.name, ())
        and stream.codec_context.sample_rate > 0
        and _takes_header(output.format.name, stream)
    ):
        return _Copy(stream, output)
    return _Encode(stream, output)


def _takes_header(container: str, stream: AudioStream) -> bool:
    """Whether a container of this format can describe the sound: a damaged codec header would fail it at its end."""
    at_once = {} if container == "matroska" else {"movflags": "empty_moov"}
    try:
        with av.open(io.BytesIO(), "w", format=container, container_options=at_once) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _move(packet: Packet[AudioStream], shift: float) -> None:
    """Add seconds to the times of a packet; in finer ticks where its own are as long as a packet (AVI)."""
    if packet.time_base > _FINE and shift:
        scale = packet.time_base / _FINE
        packet.pts, packet.dts = (None if t is None else round(t * scale) for t in (packet.pts, packet.dts))
        packet.duration, packet.time_base = round((packet.duration or 0) * scale), _FINE
    ticks = round(shift / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


def _length(packet: Packet[AudioStream]) -> float:
    return float((packet.duration or 0) * packet.time_base)


def _seconds(packet: Packet[AudioStream]) -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return float((stamp or 0) * packet.time_base)
