"""The recorder's view of a call: every packet once, in Ticks of about 20 ms. It knows no network.

Anything that hands out Ticks is a Tap: an engine's packets, a replayed journal, a Discord voice connection, a test.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

from raccall._native import PacketBatch
from raccall.clock import monotonic_now
from raccall.units import FRAME_MS, OPUS_PAYLOAD_TYPE, Nanos, Ssrc

READ_TIMEOUT_MS = 200
"""A quiet call still ticks five times a second, so that a listener to the Tap notices time passing."""

_FIXED_HEADER_BYTES = 12
_EXTENSION_PREAMBLE_BYTES = 4


@dataclass(frozen=True, slots=True)
class TappedPacket:
    """One received packet, opened and seen for the first time."""

    arrival: Nanos
    """When the kernel received it."""
    ssrc: Ssrc
    sequence: int
    """Extended: goes on past 65 535. Its first value means nothing."""
    timestamp: int
    """Extended: goes on past 2³². 48 kHz ticks."""
    rtp: bytes
    """The whole plain RTP packet: header, CSRC, extension, payload, padding."""

    @property
    def payload(self) -> bytes:
        """The encoded bytes alone. Empty for anything that is not a well-formed voice packet; never raises."""
        return rtp_payload(self.rtp)


class Packets(Sequence[TappedPacket]):
    """A native batch, each packet made when it is asked for: whoever hands the batch on pays nothing for them."""

    __slots__ = ("batch",)

    def __init__(self, batch: PacketBatch) -> None:
        self.batch = batch

    @classmethod
    def of(cls, packets: Sequence[TappedPacket]) -> "Packets":
        """The same packets as one batch; themselves when they are one."""
        if isinstance(packets, Packets):
            return packets
        return cls(PacketBatch([(p.arrival, p.ssrc, p.sequence, p.timestamp, p.rtp) for p in packets]))

    def __len__(self) -> int:
        return len(self.batch)

    @overload
    def __getitem__(self, index: int) -> TappedPacket: ...
    @overload
    def __getitem__(self, index: slice) -> "Packets": ...
    def __getitem__(self, index: int | slice) -> "TappedPacket | Packets":
        if isinstance(index, slice):
            return Packets(self.batch.select(range(*index.indices(len(self)))))
        arrival, ssrc, sequence, timestamp, rtp = self.batch[index]
        return TappedPacket(Nanos(arrival), Ssrc(ssrc), sequence, timestamp, rtp)

    def __iter__(self) -> Iterator[TappedPacket]:
        return map(self.__getitem__, range(len(self)))


@dataclass(frozen=True, slots=True)
class Tick:
    """What arrived since the Tick before, oldest first."""

    now: Nanos
    packets: Sequence[TappedPacket]
    """From an engine or a journal they are `Packets`: one native batch."""
    gap_packets: int = 0
    """Packets that were received but lost on this machine before this Tick, because its reader was too slow."""


class Tap(Protocol):
    """An endless or finite stream of Ticks; it ends when the call does."""

    def __aiter__(self) -> AsyncIterator[Tick]: ...


class NativePacketTap(Protocol):
    """What an engine's tap offers (`_native.PacketTap`)."""

    @property
    def dropped(self) -> int: ...

    def read(self, timeout_ms: int, gather_ms: int = 0) -> PacketBatch | None: ...


class EngineTap:
    """An engine's packets as Ticks. Reads in a worker thread, so the event loop never waits."""

    def __init__(self, packet_tap: NativePacketTap, tick_ms: int = FRAME_MS) -> None:
        """tick_ms: longer Ticks cost less; half a second at most, or the engine's tap may overflow."""
        self._packet_tap = packet_tap
        self._gather_ms = tick_ms - FRAME_MS

    async def __aiter__(self) -> AsyncIterator[Tick]:
        dropped_before = 0
        read, gather_ms = self._packet_tap.read, self._gather_ms
        while (batch := await asyncio.to_thread(read, READ_TIMEOUT_MS, gather_ms)) is not None:
            dropped = self._packet_tap.dropped
            yield Tick(monotonic_now(), Packets(batch), dropped - dropped_before)
            dropped_before = dropped


def engine_tap(packet_tap: NativePacketTap, tick_ms: int = FRAME_MS) -> Tap:
    """Read `packet_tap` as a Tap of Ticks about so long; it ends when the engine closes."""
    return EngineTap(packet_tap, tick_ms)


def rtp_payload(rtp: bytes) -> bytes:
    """Cut CSRC, header extension and padding off a plain voice packet (RFC 3550 section 5.1).

    Empty for anything malformed or of another payload type (video and its repairs share the socket): never raises.
    """
    if len(rtp) < _FIXED_HEADER_BYTES or rtp[0] >> 6 != 2 or rtp[1] & 0x7F != OPUS_PAYLOAD_TYPE:
        return b""
    start = _FIXED_HEADER_BYTES + 4 * (rtp[0] & 0x0F)
    if rtp[0] & 0x10:
        if len(rtp) < start + _EXTENSION_PREAMBLE_BYTES:
            return b""
        (words,) = struct.unpack_from(">H", rtp, start + 2)
        start += _EXTENSION_PREAMBLE_BYTES + 4 * words
    end = len(rtp)
    if rtp[0] & 0x20:
        padding = rtp[-1]
        if padding == 0:
            return b""
        end -= padding
    return rtp[start:end] if start <= end else b""
