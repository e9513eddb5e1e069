"""Captured packets out of a file: classic pcap and pcapng, of either byte order (draft-ietf-opsawg-pcap, -pcapng).

A file that ends inside a packet, or that makes no sense from some byte on, gives what came before; `ended` tells.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from raccall.errors import InputError
from raccall.units import NANOS_PER_SECOND

MAX_PACKET_BYTES = 1 << 18
"""The most that libpcap captures. A longer packet or block is damage."""
MAX_BLOCK_BYTES = 1 << 24
"""Of other blocks of pcapng: names, secrets, comments."""
MAX_INTERFACES = 4096

_PCAP_NANOSECONDS = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
"""Magic number → nanoseconds of a fraction."""
_GZIP = b"\x1f\x8b"

_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_OLD_PACKET = 2
_SIMPLE_PACKET = 3
_PACKET = 6
_BYTE_ORDER = 0x1A2B3C4D
_OPTION_RESOLUTION = 9
_OPTION_OFFSET = 14


class Captured(NamedTuple):
    """One packet as it was captured."""

    wall_ns: int | None
    """UTC, nanoseconds since 1970. None: a kind of block that tells no time."""
    link_type: int
    """What `data` begins with (tcpdump.org/linktypes.html)."""
    data: bytes
    whole: bool
    """False: the capture kept only the beginning."""


@dataclass(slots=True)
class _Interface:
    link_type: int
    ticks_per_second: int = 1_000_000
    offset_s: int = 0

    def wall_ns(self, high: int, low: int) -> int:
        return (high << 32 | low) * NANOS_PER_SECOND // self.ticks_per_second + self.offset_s * NANOS_PER_SECOND


@dataclass
class Capture:
    """One reading of a file.

    capture = Capture(path)
    for captured in capture.packets(): ...
    capture.ended, capture.at
    """

    path: Path
    at: int = 0
    """Bytes read so far."""
    ended: Literal["whole", "cut", "damaged"] = "whole"
    """"cut": inside a packet, as a killed capture leaves it. "damaged": what stands at `at` makes no sense."""
    _interfaces: list[_Interface] = field(default_factory=list)
    _order: str = "<"

    def packets(self) -> Iterator[Captured]:
        """Read through once, in constant memory. Raises InputError ("capture_unreadable", "not_a_capture")."""
        try:
            with self.path.open("rb") as file:
                yield from self._packets(file)
        except OSError as error:
            raise InputError("capture_unreadable", f"{self.path} cannot be read: {error.strerror}.") from error

    def _packets(self, file: BinaryIO) -> Iterator[Captured]:
        start = file.read(4)
        for order in "<>":
            magic = int.from_bytes(start, "little" if order == "<" else "big")
            if magic in _PCAP_NANOSECONDS:
                return self._classic(file, order, _PCAP_NANOSECONDS[magic])
        if start == _SECTION.to_bytes(4, "little"):  # reads the same in either order
            file.seek(0)
            return self._blocks(file)
        hint = "it is compressed: unpack it with gunzip first" if start[:2] == _GZIP else "neither pcap nor pcapng"
        raise InputError("not_a_capture", f"{self.path} is no capture: {hint if start else 'it is empty'}.")

    # ---- classic pcap ----

    def _classic(self, file: BinaryIO, order: str, fraction_ns: int) -> Iterator[Captured]:
        header = file.read(20)
        self.at = 4 + len(header)
        if len(header) < 20:
            self.ended = "cut"
            return
        (link_type,) = struct.unpack_from(order + "I", header, 16)
        record = struct.Struct(order + "IIII")
        while head := file.read(record.size):
            if len(head) < record.size:
                self.ended = "cut"
                return
            seconds, fraction, kept, original = record.unpack(head)
            if kept > MAX_PACKET_BYTES:
                self.ended = "damaged"
                return
            data = file.read(kept)
            if len(data) < kept:
                self.ended = "cut"
                return
            self.at += record.size + kept
            wall_ns = seconds * NANOS_PER_SECOND + fraction * fraction_ns
            # The upper bits of the link type tell of checksums at the end of frames.
            yield Captured(wall_ns, link_type & 0xFFFF, data, kept >= original)

    # ---- pcapng ----

    def _blocks(self, file: BinaryIO) -> Iterator[Captured]:
        while head := file.read(8):
            if len(head) < 8:
                self.ended = "cut"
                return
            section = head[:4] == _SECTION.to_bytes(4, "little")
            if section:
                peek = file.read(4)
                file.seek(-len(peek), 1)
                if len(peek) < 4:
                    self.ended = "cut"
                    return
                order = {_BYTE_ORDER.to_bytes(4, "little"): "<", _BYTE_ORDER.to_bytes(4, "big"): ">"}.get(peek)
                if order is None:
                    self.ended = "damaged"
                    return
                self._order, self._interfaces = order, []
            kind, length = struct.unpack(self._order + "II", head)
            if length % 4 or not 12 <= length <= MAX_BLOCK_BYTES:
                self.ended = "damaged"
                return
            body = file.read(length - 8)
            if len(body) < length - 8:
                self.ended = "cut"
                return
            if int.from_bytes(body[-4:], "little" if self._order == "<" else "big") != length:
                self.ended = "damaged"
                return
            try:
                captured = self._read_block(kind, body[:-4])
            except struct.error:  # shorter than its own fields
                self.ended = "damaged"
                return
            self.at += length
            if captured is not None:
                yield captured

    def _read_block(self, kind: int, body: bytes) -> Captured | None:
        if kind == _INTERFACE and len(self._interfaces) < MAX_INTERFACES:
            self._interfaces.append(self._read_interface(body))
        elif kind == _PACKET:
            interface, high, low, kept, original = struct.unpack_from(self._order + "IIIII", body)
            return self._packet(interface, (high, low), body[20:], kept, original)
        elif kind == _OLD_PACKET:
            interface, _, high, low, kept, original = struct.unpack_from(self._order + "HHIIII", body)
            return self._packet(interface, (high, low), body[20:], kept, original)
        elif kind == _SIMPLE_PACKET:
            (original,) = struct.unpack_from(self._order + "I", body)
            return self._packet(0, None, body[4:], min(original, len(body) - 4), original)
        return None

    def _packet(self, number: int, time: tuple[int, int] | None, rest: bytes, kept: int, original: int) -> Captured:
        if number >= len(self._interfaces) or kept > len(rest):
            raise struct.error
        interface = self._interfaces[number]
        wall_ns = None if time is None else interface.wall_ns(*time)
        return Captured(wall_ns, interface.link_type, rest[:kept], kept >= original)

    def _read_interface(self, body: bytes) -> _Interface:
        (link_type,) = struct.unpack_from(self._order + "H", body)
        interface, at = _Interface(link_type), 8
        while at + 4 <= len(body):
            code, size = struct.unpack_from(self._order + "HH", body, at)
            value = body[at + 4 : at + 4 + size]
            if code == 0 or len(value) < size:
                break
            if code == _OPTION_RESOLUTION and size == 1:
                exponent = value[0] & 0x7F
                interface.ticks_per_second = 2**exponent if value[0] & 0x80 else 10**exponent
            elif code == _OPTION_OFFSET and size == 8:
                (interface.offset_s,) = struct.unpack(self._order + "q", value)
            at += 4 + (size + 3) // 4 * 4
        return interface
