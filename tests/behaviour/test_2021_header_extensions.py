"""What receivers of 2021 to 2026 got wrong between the RTP header and the Opus packet, in all seven transport modes.

They scanned for zeros, cut a fixed eight bytes, walked elements and counted them as words, skipped a "stray byte", cut
what was still encrypted, forgot CSRC list and padding. Here every packet comes out bit by bit.
"""

import itertools
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import START, WALL_NS
from captures import imported, seal

from raccall.recorder import JournalReader
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import TRANSPORT_MODES, Extension, Packet

SSRC = 0xA
OLD_LAYOUT = [mode for mode in TRANSPORT_MODES if not mode.endswith("_rtpsize")]
LITE, XCHACHA = "xsalsa20_poly1305_lite", "aead_xchacha20_poly1305_rtpsize"
OPUS = bytes([0x78]) + bytes(range(1, 60))

BODIES = {
    "none": None,
    "no words": b"",
    "a level": bytes.fromhex("107F0000"),
    "level and flags": bytes.fromhex("107F9002"),
    "two words, three elements": bytes.fromhex("107F 32010203 90 05"),
    "filled up": bytes.fromhex("32010203 10 7F 00 00 90 02 00 00"),
}


def rtp(number: int, payload: bytes, *, body: bytes | None = None, csrc: int = 0, padding: int = 0) -> bytes:
    first = 0x80 | 0x20 * (padding > 0) | 0x10 * (body is not None) | csrc
    packet = struct.pack(">BBHII", first, 0x78, number & 0xFFFF, number * 960, SSRC) + bytes(range(4 * csrc))
    if body is not None:
        packet += struct.pack(">HH", 0xBEDE, len(body) // 4) + body
    return packet + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def opened(tmp_path: Path, mode: str, packets: list[bytes]) -> list[TappedPacket]:
    """Those packets, through a capture and the whole import."""
    datagrams = [(WALL_NS + START + n * 20_000_000, seal(mode, packet, n)) for n, packet in enumerate(packets)]
    return list(JournalReader(imported(tmp_path, datagrams, modes=(mode,)) / "journal.pcapng").packets())


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
def test_extensions_csrc_lists_and_padding_in_every_combination(mode: str, tmp_path: Path) -> None:
    cases = list(itertools.product(BODIES.values(), (0, 1, 15), (0, 1, 4, 200)))
    payloads = [OPUS + bytes([number]) for number in range(len(cases))]
    packets = [
        rtp(number, payload, body=body, csrc=csrc, padding=padding)
        for number, (payload, (body, csrc, padding)) in enumerate(zip(payloads, cases, strict=True))
    ]
    found = opened(tmp_path, mode, packets)
    assert [packet.payload for packet in found] == payloads
    assert [packet.rtp for packet in found] == packets


@pytest.mark.parametrize("mode", [LITE, XCHACHA])
@pytest.mark.parametrize("flags", range(5))
def test_the_stray_byte_was_the_speakers_flags(mode: str, flags: int, tmp_path: Path) -> None:
    """Only 00 and 02 were skipped; a priority speaker (01, 03) was noise."""
    (packet,) = opened(tmp_path, mode, [rtp(1, OPUS, body=bytes([0x10, 0x7F, 0x90, flags]))])
    assert packet.payload == OPUS


@pytest.mark.parametrize("mode", [LITE, XCHACHA])
@pytest.mark.parametrize("toc", [0x00, 0x02])
def test_a_first_byte_of_opus_is_never_taken_for_a_filler(mode: str, toc: int, tmp_path: Path) -> None:
    """Narrow-band speech of 10 ms begins with 00: who skips zeros behind the extension eats it."""
    payload = bytes([toc]) + OPUS
    (packet,) = opened(tmp_path, mode, [rtp(1, payload, body=bytes.fromhex("107F0000"))])
    assert packet.payload == payload


@pytest.mark.parametrize("mode", [LITE, XCHACHA])
def test_words_are_counted_not_elements(mode: str, tmp_path: Path) -> None:
    """Two words with three elements: all three are in the body that is kept."""
    body = BODIES["two words, three elements"]
    assert body is not None
    (packet,) = opened(tmp_path, mode, [rtp(1, OPUS, body=body)])
    assert Packet.parse(packet.rtp).extension == Extension(0xBEDE, body)


@pytest.mark.parametrize("mode", OLD_LAYOUT)
def test_in_the_old_layout_be_de_is_an_extension_whatever_the_bit_says(mode: str, tmp_path: Path) -> None:
    unmarked = bytearray(rtp(1, OPUS, body=bytes.fromhex("107F9002")))
    unmarked[0] &= ~0x10
    marked_in_vain = bytearray(rtp(2, OPUS))
    marked_in_vain[0] |= 0x10
    found = opened(tmp_path, mode, [bytes(unmarked), bytes(marked_in_vain)])
    assert [packet.payload for packet in found] == [OPUS, OPUS]


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
def test_opus_that_begins_like_an_extension_is_opus(mode: str, tmp_path: Path) -> None:
    payload = bytes.fromhex("BEDE5501") + bytes(300)
    (packet,) = opened(tmp_path, mode, [rtp(1, payload)])
    assert packet.payload == payload


@pytest.mark.parametrize("mode", [LITE, XCHACHA])
def test_lengths_that_lie_cost_their_packet_alone(mode: str, tmp_path: Path) -> None:
    too_many_words = bytearray(rtp(1, OPUS, body=bytes(4)))
    too_many_words[15] = 200
    too_much_padding = rtp(2, b"", padding=1)[:-1] + b"\xff"
    found = opened(tmp_path, mode, [rtp(0, OPUS), bytes(too_many_words), too_much_padding, rtp(3, OPUS)])
    assert [(packet.sequence & 0xFFFF, packet.payload) for packet in found] == [(0, OPUS), (3, OPUS)]
