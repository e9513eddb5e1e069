"""The Tap: what an engine hands out, as Ticks; and the payload of a packet, whatever surrounds it."""

import struct

import pytest

from raccall._native import PacketBatch
from raccall.units import Nanos, Ssrc
from raccall.voice.tap import Packets, TappedPacket, engine_tap, rtp_payload

PAYLOAD = b"\x78opus"


def rtp(first_byte: int = 0x80, second_byte: int = 120, body: bytes = PAYLOAD) -> bytes:
    return struct.pack(">BBHII", first_byte, second_byte, 7, 960, 0xABCD) + body


class Batches:
    """Stands in for the engine's tap: hands out what it was given, then says that it is closed."""

    def __init__(self, *batches: tuple[list[tuple[int, int, int, int, bytes]], int]) -> None:
        self.batches = list(batches)
        self.dropped = 0

    def read(self, timeout_ms: int, gather_ms: int = 0) -> PacketBatch | None:
        if not self.batches:
            return None
        batch, self.dropped = self.batches.pop(0)
        return PacketBatch(batch)


async def test_each_batch_becomes_one_tick_and_drops_become_gaps() -> None:
    packets = Batches(([(5, 0xABCD, 7, 960, rtp())], 0), ([], 3), ([], 3))
    ticks = [tick async for tick in engine_tap(packets)]
    assert [tick.gap_packets for tick in ticks] == [0, 3, 0]
    assert list(ticks[0].packets) == [TappedPacket(5, 0xABCD, 7, 960, rtp())]  # type: ignore[arg-type]
    assert ticks[0].packets[0].payload == PAYLOAD


def test_a_batch_is_a_sequence_of_packets() -> None:
    packets = [TappedPacket(Nanos(index), Ssrc(2**32 - 1), 1 << 40, 1 << 50, rtp()[:index]) for index in range(30)]
    batch = Packets.of(packets)
    assert list(batch) == packets and len(batch) == 30
    assert (batch[3], batch[-1], list(batch[5:20:3])) == (packets[3], packets[-1], packets[5:20:3])
    assert Packets.of(batch) is batch
    for index in (30, -31):
        with pytest.raises(IndexError):
            batch[index]


def test_a_batch_tells_its_packets_in_columns() -> None:
    batch = PacketBatch([(5, 7, 65_536, 960, rtp()), (6, 8, 1, 0, rtp(second_byte=101)), (9, 7, 2, 1, b"")])
    assert batch.arrival.tolist() == [5, 6, 9] and batch.ssrc.tolist() == [7, 8, 7]
    assert batch.sequence.tolist() == [65_536, 1, 2] and batch.timestamp.tolist() == [960, 0, 1]
    assert batch.toc.tolist() == [0x78, -1, -1]
    assert [batch.payload(index) for index in range(3)] == [PAYLOAD, b"", b""]
    assert (batch.rtp(0), batch.rtp_bytes) == (rtp(), 2 * len(rtp()))
    assert batch.newest_arrivals() == {7: 9, 8: 6}


def test_payload_is_cut_out_of_csrc_extension_and_padding() -> None:
    extension = b"\xbe\xde" + struct.pack(">H", 2) + bytes(8)
    everything = rtp(0x80 | 0x20 | 0x10 | 2, body=bytes(8) + extension + PAYLOAD + b"\0\0\x03")
    assert rtp_payload(everything) == PAYLOAD
    assert rtp_payload(rtp(second_byte=0x80 | 120)) == PAYLOAD


def test_hostile_packets_have_no_payload() -> None:
    good = rtp(0x80 | 0x20 | 0x10 | 1, body=bytes(4) + b"\xbe\xde\x00\x01" + bytes(4) + PAYLOAD + b"\x01")
    for length in range(len(good)):
        rtp_payload(good[:length])
    assert rtp_payload(rtp(second_byte=101)) == b""
    assert rtp_payload(rtp(first_byte=0x40)) == b""
    assert rtp_payload(rtp(0xA0, body=b"abc\xff")) == b""
    assert rtp_payload(rtp(0xA0, body=b"abc\x00")) == b""
    assert rtp_payload(rtp(0x90, body=b"\xbe\xde\xff\xff")) == b""
