"""The Tap: what an engine hands out, as Ticks; and the payload of a packet, whatever surrounds it."""

import struct

from raccall.voice.tap import TappedPacket, engine_tap, rtp_payload

PAYLOAD = b"\x78opus"


def rtp(first_byte: int = 0x80, second_byte: int = 120, body: bytes = PAYLOAD) -> bytes:
    return struct.pack(">BBHII", first_byte, second_byte, 7, 960, 0xABCD) + body


class Batches:
    """Stands in for the engine's tap: hands out what it was given, then says that it is closed."""

    def __init__(self, *batches: tuple[list[tuple[int, int, int, int, bytes]], int]) -> None:
        self.batches = list(batches)
        self.dropped = 0

    def read(self, timeout_ms: int) -> list[tuple[int, int, int, int, bytes]] | None:
        if not self.batches:
            return None
        batch, self.dropped = self.batches.pop(0)
        return batch


async def test_each_batch_becomes_one_tick_and_drops_become_gaps() -> None:
    packets = Batches(([(5, 0xABCD, 7, 960, rtp())], 0), ([], 3), ([], 3))
    ticks = [tick async for tick in engine_tap(packets)]
    assert [tick.gap_packets for tick in ticks] == [0, 3, 0]
    assert ticks[0].packets == (TappedPacket(5, 0xABCD, 7, 960, rtp()),)  # type: ignore[arg-type]
    assert ticks[0].packets[0].payload == PAYLOAD


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
