"""Everything received, append-only, as a standard capture (pcapng) that Wireshark opens as RTP streams without
settings.

One section, one interface of link type 252 (exported PDU); each packet names its dissector, "rtp", and carries a
CRC-32. Times in the file are UTC, so that Wireshark shows real dates: monotonic time plus one offset that is taken
once, at the start, and kept in the interface's comment. The wall clock may jump later; the recording does not notice.

Reading is tolerant: a cut or damaged place costs only the packets in it, and is counted.
"""

import os
import re
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from raccall.recorder.extend import SourceCounters
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import TappedPacket, Tick

FLUSH_EVERY: int = NANOS_PER_SECOND
SYNC_EVERY: int = 10 * NANOS_PER_SECOND

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_EXPORTED_PDU = 252
_OPTION_END, _OPTION_COMMENT, _OPTION_HASH, _OPTION_APPLICATION, _OPTION_RESOLUTION = 0, 1, 3, 4, 9
_HASH_CRC32 = 2
_TAG_END, _TAG_DISSECTOR = 0, 12
_PACKET_TAGS = struct.pack(">HH4sHH", _TAG_DISSECTOR, 4, b"rtp\0", _TAG_END, 0)
_PACKET_MARK = struct.pack("<I", _PACKET)
_BLOCK_HEADER = struct.Struct("<II")
_PACKET_HEADER = struct.Struct("<IIIII")
_PACKET_BLOCK_BYTES = 8 + _PACKET_HEADER.size
_MAX_BLOCK_BYTES = 128 * 1024
_READ_BYTES = 1 << 20
_TICK: int = 20 * NANOS_PER_MS
_MAX_BACKWARDS: int = 10 * NANOS_PER_SECOND


@dataclass(frozen=True, slots=True)
class TimeBase:
    """One instant on both clocks: the start of the recording."""

    monotonic_ns: Nanos
    wall_ns: int

    def wall_of(self, now: Nanos) -> int:
        """UTC in nanoseconds since 1970."""
        return now - self.monotonic_ns + self.wall_ns

    def now_of(self, wall_ns: int) -> Nanos:
        """The inverse of `wall_of`."""
        return Nanos(wall_ns - self.wall_ns + self.monotonic_ns)


class JournalWriter:
    """Appends packets. Flushed each second, synced to disk every ten: call `flush_if_due` at least that often."""

    def __init__(self, path: Path, base: TimeBase, *, application: str) -> None:
        self._base = base
        self._file = path.open("xb")
        self._flushed = self._synced = base.monotonic_ns
        self._file.write(_section_block(application) + _interface_block(base))
        self._file.flush()

    def append(self, packet: TappedPacket) -> None:
        """Add one packet; on disk after the next flush."""
        self._file.write(_packet_block(packet, self._base))

    def flush_if_due(self, now: Nanos) -> None:
        """Hand what was appended to the system, once a second; make sure of the disk, every ten."""
        if now - self._synced >= SYNC_EVERY:
            self.sync()
            self._flushed = self._synced = now
        elif now - self._flushed >= FLUSH_EVERY:
            self._file.flush()
            self._flushed = now

    def sync(self) -> None:
        """Return when all that was appended is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close."""
        if not self._file.closed:
            self.sync()
            self._file.close()


@dataclass(slots=True)
class Damage:
    """What could not be read."""

    places: int = 0
    lost_bytes: int = 0
    bad_checksums: int = 0
    bad_times: int = 0


@dataclass(slots=True)
class JournalReader:
    """Packets of a journal in the order they arrived. Also a Tap: the same Ticks that the recorder saw."""

    path: Path
    base: TimeBase | None = None
    """Given, or known once the head of the file has been read; without any, times count from 1970."""
    damage: Damage = field(default_factory=Damage)

    def packets(self) -> Iterator[TappedPacket]:
        """Read through once, in constant memory. Raises OSError only, never for what the file holds."""
        self.damage = Damage()
        sources: dict[Ssrc, SourceCounters] = {}
        for arrival, rtp in self._believable(self._opened()):
            sequence, timestamp, ssrc = struct.unpack_from(">HII", rtp, 2)
            counters = sources.setdefault(Ssrc(ssrc), SourceCounters())
            yield TappedPacket(arrival, Ssrc(ssrc), *counters.extend(sequence, timestamp), rtp)

    def _opened(self) -> Iterator[tuple[Nanos, bytes]]:
        """Arrival and RTP packet of each whole block."""
        with _Blocks(self.path, self.damage) as blocks:
            for kind, body in blocks:
                if kind == _INTERFACE:
                    self.base = self.base or _time_base(body)
                elif kind == _PACKET:
                    self.base = self.base or TimeBase(Nanos(0), 0)
                    opened = _open_packet_block(body, self.base, self.damage)
                    if opened:
                        yield opened

    def _believable(self, packets: Iterator[tuple[Nanos, bytes]]) -> Iterator[tuple[Nanos, bytes]]:
        """Leave out packets whose arrival was damaged: the checksum does not cover it, but both neighbours tell."""
        last: Nanos | None = None
        pending: tuple[Nanos, bytes] | None = None
        for packet in packets:
            if last is not None and packet[0] < last - _MAX_BACKWARDS:
                self.damage.bad_times += 1
                continue
            if pending:
                if pending[0] > packet[0] + _MAX_BACKWARDS:
                    self.damage.bad_times += 1
                else:
                    last = pending[0]
                    yield pending
            pending = packet
        if pending:
            yield pending

    def ticks(self) -> Iterator[Tick]:
        """The packets in groups of 20 ms; a quiet time gives no Ticks."""
        group: list[TappedPacket] = []
        for packet in self.packets():
            if group and packet.arrival >= group[0].arrival + _TICK:
                yield Tick(group[-1].arrival, tuple(group))
                group = []
            group.append(packet)
        if group:
            yield Tick(group[-1].arrival, tuple(group))

    async def __aiter__(self) -> AsyncIterator[Tick]:
        for tick in self.ticks():
            yield tick


class _Blocks:
    """Whole blocks of a pcapng file; skips to the next believable packet after damage."""

    def __init__(self, path: Path, damage: Damage) -> None:
        self._file = path.open("rb")
        self._damage = damage
        self._buffer = b""
        self._at = 0

    def __enter__(self) -> "_Blocks":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self._need(1):
            length = self._block_length()
            if length is None:
                self._skip_damage()
                continue
            body = self._buffer[self._at + 8 : self._at + length - 4]
            kind = _BLOCK_HEADER.unpack_from(self._buffer, self._at)[0]
            self._at += length
            yield kind, body

    def _need(self, size: int) -> bool:
        """Have `size` bytes from the current place in the buffer, if the file holds as many."""
        if len(self._buffer) - self._at < size:
            more = self._file.read(max(size, _READ_BYTES))
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
        return len(self._buffer) - self._at >= size

    def _block_length(self) -> int | None:
        """Length of the block here, None when it is not whole."""
        if not self._need(12):
            return None
        kind, length = _BLOCK_HEADER.unpack_from(self._buffer, self._at)
        if kind not in (_SECTION, _INTERFACE, _PACKET) or length % 4 or not 12 <= length <= _MAX_BLOCK_BYTES:
            return None
        if not self._need(length) or self._buffer[self._at + length - 4 : self._at + length] != struct.pack(
            "<I", length
        ):
            return None
        return int(length)

    def _skip_damage(self) -> None:
        """Go on to the next packet block that is whole; to the end when there is none."""
        self._damage.places += 1
        while True:
            found = self._buffer.find(_PACKET_MARK, self._at + 1)
            if found < 0:
                # Keep three bytes: the mark may lie across the border of two reads.
                tail = max(self._at + 1, len(self._buffer) - len(_PACKET_MARK) + 1)
                self._damage.lost_bytes += tail - self._at
                self._at = tail
                if not self._need(_PACKET_BLOCK_BYTES):
                    self._damage.lost_bytes += len(self._buffer) - self._at
                    self._at = len(self._buffer)
                    return
                if self._block_length() is not None:
                    return
                continue
            self._damage.lost_bytes += found - self._at
            self._at = found
            if self._block_length() is not None:
                return


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return _BLOCK_HEADER.pack(kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _section_block(application: str) -> bytes:
    options = _option(_OPTION_APPLICATION, application.encode()) + _option(_OPTION_END, b"")
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def _interface_block(base: TimeBase) -> bytes:
    comment = f"raccall monotonic_ns={base.monotonic_ns} wall_ns={base.wall_ns}"
    options = (
        _option(_OPTION_COMMENT, comment.encode()) + _option(_OPTION_RESOLUTION, b"\x09") + _option(_OPTION_END, b"")
    )
    return _block(_INTERFACE, struct.pack("<HHI", _EXPORTED_PDU, 0, 0) + options)


def _packet_block(packet: TappedPacket, base: TimeBase) -> bytes:
    wall = base.wall_of(packet.arrival)
    data = _PACKET_TAGS + packet.rtp
    header = _PACKET_HEADER.pack(0, wall >> 32, wall & 0xFFFFFFFF, len(data), len(data))
    checksum = struct.pack("<BI", _HASH_CRC32, zlib.crc32(data))
    return _block(
        _PACKET,
        header + data + bytes(-len(data) % 4) + _option(_OPTION_HASH, checksum) + _option(_OPTION_END, b""),
    )


def _time_base(body: bytes) -> TimeBase | None:
    found = re.search(rb"monotonic_ns=(\d{1,19}) wall_ns=(\d{1,19})", body)
    return TimeBase(Nanos(int(found[1])), int(found[2])) if found else None


def _open_packet_block(body: bytes, base: TimeBase, damage: Damage) -> tuple[Nanos, bytes] | None:
    """Arrival and RTP packet, None when the block is not one of ours or its bytes changed."""
    if len(body) < _PACKET_HEADER.size:
        return None
    _, high, low, size, _ = _PACKET_HEADER.unpack_from(body)
    data = body[_PACKET_HEADER.size : _PACKET_HEADER.size + size]
    options = body[_PACKET_HEADER.size + size + -size % 4 :]
    expected = _option(_OPTION_HASH, struct.pack("<BI", _HASH_CRC32, zlib.crc32(data)))
    if not options.startswith(expected):
        damage.bad_checksums += 1
        return None
    rtp = data[len(_PACKET_TAGS) :]
    if not data.startswith(_PACKET_TAGS) or len(rtp) < 12:
        return None
    return base.now_of(high << 32 | low), rtp
