"""Captures as real programs write them, at their edges: trailers, flags, dates, senders that begin anew."""

import struct
from pathlib import Path

import pytest
from calls import START, WALL_NS, Sender, over_network
from captures import (
    ETHERNET,
    KEY,
    Timed,
    block,
    enhanced,
    frame,
    frames,
    imported,
    pcap,
    seal,
    sealed,
    section,
    udp,
    write,
)

from raccall.recorder import JournalReader
from raccall.recorder.importing import import_capture
from raccall.voice.tap import TappedPacket

LITE = "xsalsa20_poly1305_lite"
ANNA, BEN = 0xA, 0xB
PAYLOADS = [bytes([0x78, number]) * 30 for number in range(40)]


@pytest.fixture
def packets() -> list[TappedPacket]:
    return over_network([Sender(ANNA, PAYLOADS)], seed=1)


def counts(tmp_path: Path, capture: bytes) -> dict[str, int]:
    return import_capture(write(tmp_path / "x", capture), tmp_path / "out", [KEY]).counts


def test_checksums_behind_frames_and_their_flag(packets: list[TappedPacket], tmp_path: Path) -> None:
    """The link type's upper bits tell that each frame ends with four bytes more."""
    datagrams = [(at, data + b"\xde\xad\xbe\xef") for at, data in frames(sealed(packets, LITE))]
    capture = bytearray(pcap(datagrams))
    struct.pack_into("<I", capture, 20, 0x4400_0000 | ETHERNET)
    assert counts(tmp_path, bytes(capture)) == {"opened": len(packets)}


def test_bytes_behind_the_datagram_are_not_of_it(packets: list[TappedPacket], tmp_path: Path) -> None:
    """UDP says its own length, and may be shorter than the IP packet that carries it."""
    datagrams = []
    for at, data in sealed(packets, LITE):
        ip = bytearray(udp(data) + bytes(6))
        ip[2:4] = len(ip).to_bytes(2, "big")
        datagrams.append((at, frame(ETHERNET, bytes(ip))))
    assert counts(tmp_path, pcap(datagrams)) == {"opened": len(packets)}


@pytest.mark.parametrize("ticks", [1 << 63, (1 << 64) - 1, 1 << 40])
def test_a_first_packet_without_a_possible_date_is_left_out(
    ticks: int, packets: list[TappedPacket], tmp_path: Path
) -> None:
    seconds = block(1, struct.pack("<HHI", ETHERNET, 0, 0) + struct.pack("<HHB3x", 9, 1, 0) + bytes(4))
    nanoseconds = block(1, struct.pack("<HHI", ETHERNET, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + bytes(4))
    first, *rest = frames(sealed(packets, LITE))
    capture = section() + seconds + nanoseconds + enhanced(ticks, first[1], 0)
    capture += b"".join(enhanced(at, data, 1) for at, data in rest)
    assert counts(tmp_path, capture) == {"opened": len(packets) - 1, "impossible_time": 1}


def test_an_interfaces_clock_may_count_from_elsewhere(packets: list[TappedPacket], tmp_path: Path) -> None:
    """Options `if_tsresol` as a power of two, and `if_tsoffset`."""
    options = struct.pack("<HHB3x", 9, 1, 0x80 | 20) + struct.pack("<HHq", 14, 8, 1_700_000_000) + bytes(4)
    datagrams = frames(sealed(packets, LITE))
    capture = section() + block(1, struct.pack("<HHI", ETHERNET, 0, 0) + options)
    for at, data in datagrams:
        capture += enhanced((at - 1_700_000_000 * 10**9) * 2**20 // 10**9, data)
    assert counts(tmp_path, capture) == {"opened": len(packets)}
    journal = JournalReader(tmp_path / "out" / "journal.pcapng")
    arrivals = [packet.arrival for packet in journal.packets()]
    assert journal.base is not None
    assert journal.base.wall_of(arrivals[-1]) == pytest.approx(datagrams[-1][0], abs=2_000)


def test_packets_without_a_time_are_counted(packets: list[TappedPacket], tmp_path: Path) -> None:
    """Simple packet blocks have none, and a recording without times is none."""
    datagrams = frames(sealed(packets, LITE))
    capture = section() + block(1, struct.pack("<HHI", ETHERNET, 0, 0))
    simple = block(3, struct.pack("<I", len(datagrams[0][1])) + datagrams[0][1])
    old = b"".join(
        block(2, struct.pack("<HHIIII", 0, 0, at // 1000 >> 32, at // 1000 & 0xFFFFFFFF, len(data), len(data)) + data)
        for at, data in datagrams
    )
    assert counts(tmp_path, capture + simple + old) == {"opened": len(packets), "no_time": 1}


def test_one_mode_is_found_for_packets_with_and_without_extension(tmp_path: Path) -> None:
    """Without extension two modes are the same bytes; the first packet that has one decides."""

    def datagram(number: int, extended: bool) -> Timed:
        head = struct.pack(">BBHII", 0x90 if extended else 0x80, 0x78, number, number * 960, ANNA)
        body = (bytes.fromhex("BEDE0001107F9002") if extended else b"") + PAYLOADS[number]
        return WALL_NS + START + number * 20_000_000, seal("aead_aes256_gcm", head + body, number)

    datagrams = frames(datagram(number, extended=number % 3 == 1) for number in range(40))
    result = import_capture(write(tmp_path / "x", pcap(datagrams)), tmp_path / "out", [KEY])
    assert result.modes == {"aead_aes256_gcm_rtpsize": 1, "aead_aes256_gcm": 39}
    assert [p.payload for p in JournalReader(tmp_path / "out" / "journal.pcapng").packets()] == PAYLOADS


def test_a_sender_that_begins_anew_is_believed_and_nothing_is_out_of_order(tmp_path: Path) -> None:
    before = Sender(ANNA, PAYLOADS, sequence=30_000, timestamp=9)
    after = Sender(ANNA, PAYLOADS, begins_ms=1000, sequence=5, timestamp=2**31)
    other = Sender(BEN, PAYLOADS * 2, begins_ms=5)
    sent = over_network([before, after, other], seed=1)
    folder = imported(tmp_path, sealed(sent, LITE))
    found = list(JournalReader(folder / "journal.pcapng").packets())
    assert [(packet.ssrc, packet.payload) for packet in found] == [(packet.ssrc, packet.payload) for packet in sent]
    arrivals = [packet.arrival for packet in found]
    assert arrivals == sorted(arrivals)
    assert counts(tmp_path, pcap(frames(sealed(sent, LITE)))) == {"opened": len(sent)}


def test_packets_that_are_only_late_are_not_a_sender_that_begins_anew(tmp_path: Path) -> None:
    sent = over_network([Sender(ANNA, PAYLOADS * 50, sequence=100)], seed=1)
    stray = [sent[1900], *(sent[number] for number in (3, 9, 5, 40, 7))]  # copies from long ago, in no sequence
    datagrams = [*sealed(sent, LITE)]
    late = [(datagrams[-1][0] + number, seal(LITE, packet.rtp, 5000 + number)) for number, packet in enumerate(stray)]
    expected = {"opened": len(sent), "duplicate": 1, "too_old": 5}
    assert counts(tmp_path, pcap(frames([*datagrams, *late]))) == expected
