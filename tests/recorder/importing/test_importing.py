"""A capture becomes a recording: what was sent is in it, and what could not be used is counted."""

import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from calls import Sender, encode, over_network, speech
from captures import (
    BOT,
    COOKED,
    COOKED_2,
    ETHERNET,
    KEY,
    LOOP,
    NULL,
    RAW,
    SERVER,
    Timed,
    frame,
    frames,
    pcap,
    pcapng,
    seal,
    sealed,
    section,
    udp,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from raccall.errors import InputError
from raccall.recorder import JournalReader, MemberJoined, Source, Stop, read_events, render
from raccall.recorder.importing import Owner, import_capture, parse_server
from raccall.recorder.opus_packet import is_silence
from raccall.units import NANOS_PER_SECOND, Ssrc
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import TRANSPORT_MODES

LITE = "xsalsa20_poly1305_lite"
ANNA, BEN = 0xA, 0xB


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[TappedPacket]:
    """Two talkers, a second of each."""
    payloads = encode(speech(1.0, seed=1), tmp_path_factory.mktemp("speech"))
    return over_network([Sender(ANNA, payloads), Sender(BEN, payloads, begins_ms=300)], seed=1)


def recorded(folder: Path) -> list[tuple[int, bytes]]:
    """SSRC and payload of all that is in the journal."""
    return [(packet.ssrc, packet.payload) for packet in JournalReader(folder / "journal.pcapng").packets()]


def sent(packets: list[TappedPacket]) -> list[tuple[int, bytes]]:
    return [(packet.ssrc, packet.payload) for packet in packets]


def error_code(capture: Path, folder: Path, key: bytes = KEY, **options: object) -> str:
    """An import that fails; it leaves nothing behind."""
    with pytest.raises(InputError) as caught:
        import_capture(capture, folder, [key], **options)  # type: ignore[arg-type]
    assert not folder.exists()
    assert str(caught.value).count(".") >= 1 and key.hex() not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
def test_every_mode_is_found_and_opened(mode: str, packets: list[TappedPacket], tmp_path: Path) -> None:
    capture = write(tmp_path / "bot.pcapng", pcapng(frames(sealed(packets, mode))))
    imported = import_capture(capture, tmp_path / "out", [KEY])
    assert imported.counts == {"opened": len(packets)}
    assert recorded(tmp_path / "out") == sent(packets)
    # Without extension the two layouts are the same bytes.
    assert [found.removesuffix("_rtpsize") for found in imported.modes] == [mode.removesuffix("_rtpsize")]
    told = import_capture(capture, tmp_path / "told", [KEY], modes=(mode,))
    assert told.modes == {mode: len(packets)}


@pytest.mark.parametrize("link_type", [ETHERNET, RAW, NULL, LOOP, COOKED, COOKED_2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_network_and_file(
    link_type: int, order: str, packets: list[TappedPacket], tmp_path: Path
) -> None:
    datagrams = frames(sealed(packets, LITE), link_type)
    for number, data in enumerate(
        [
            pcap(datagrams, link_type, order),
            pcap(datagrams, link_type, order, unit_ns=1),
            pcapng(datagrams, link_type, order),
        ]
    ):
        out = tmp_path / f"out{number}"
        imported = import_capture(write(tmp_path / "bot.cap", data), out, [KEY])
        assert imported.counts == {"opened": len(packets)} and imported.capture_ended == "whole"
        arrivals = [p.arrival for p in JournalReader(out / "journal.pcapng").packets()]
        unit_ns = 1000 if number == 0 else 1
        exact = [at // unit_ns * unit_ns for at, _ in datagrams]
        assert [arrival - arrivals[0] for arrival in arrivals] == [at - exact[0] for at in exact]


def test_what_is_no_voice_is_counted_by_reason(packets: list[TappedPacket], tmp_path: Path) -> None:
    """More than half of the capture is of other programs."""
    voice = sealed(packets, LITE)
    start = voice[0][0]
    report = struct.pack(">BBHI", 0x81, 201, 7, ANNA) + bytes(24)
    video = struct.pack(">BBHII", 0x80, 101, 5, 6, 0xC) + bytes(50)
    fragment = bytearray(udp(voice[0][1]))
    fragment[6] = 0x20
    other_mode = seal(LITE, packets[0].rtp, 1, key=bytes(32))
    foreign: list[tuple[str, bytes]] = [
        ("reports", frame(ETHERNET, udp(seal(LITE, report, 5)))),
        ("other_payload", frame(ETHERNET, udp(seal(LITE, video, 5)))),
        ("not_voice", frame(ETHERNET, udp(struct.pack(">HHI64xH", 1, 70, ANNA, 0)))),  # IP discovery
        ("not_voice", frame(ETHERNET, udp(struct.pack("<Q", 5)))),  # a keepalive
        ("not_opened", frame(ETHERNET, udp(other_mode))),
        ("not_opened", frame(ETHERNET, udp(voice[0][1][:-1] + b"\xff"))),
        ("duplicate", frame(ETHERNET, udp(voice[0][1]))),
        ("fragment", frame(ETHERNET, bytes(fragment))),
        ("not_udp", frame(ETHERNET, bytes(udp(b"x")[:9]) + b"\x06" + udp(b"x")[10:])),
        ("not_ip", (bytes(12) + b"\x08\x06").ljust(60, b"\0")),  # ARP
        ("malformed", frame(RAW, b"\x45\x00")[:2].ljust(2)),
    ]
    others: list[Timed] = [(start + 1, data) for _, data in foreign[:-1] for _ in range(12)]
    mixed = [(at, frame(ETHERNET, udp(data), vlan=number % 2 == 0)) for number, (at, data) in enumerate(voice)]
    capture = write(tmp_path / "bot.pcap", pcap([mixed[0], *others, *mixed[1:]]))
    imported = import_capture(capture, tmp_path / "out", [KEY])
    expected = Counter({"opened": len(packets)})
    for reason, _ in foreign[:-1]:
        expected[reason] += 12
    assert imported.counts == expected
    assert recorded(tmp_path / "out") == sent(packets)


def test_ipv6_with_extension_headers(packets: list[TappedPacket], tmp_path: Path) -> None:
    datagrams = []
    for at, data in sealed(packets, LITE):
        ip = bytearray(udp(data, ("2001:db8::7", 50_004), ("2001:db8::10", 40_000)))
        ip[6] = 60  # destination options, 8 bytes, before the UDP header
        ip[4:6] = (len(ip) - 40 + 8).to_bytes(2, "big")
        ip[40:40] = bytes([17, 0]) + bytes(6)
        datagrams.append((at, frame(ETHERNET, bytes(ip))))
    imported = import_capture(write(tmp_path / "bot.pcap", pcap(datagrams)), tmp_path / "out", [KEY])
    assert imported.counts == {"opened": len(packets)}


def test_only_packets_of_the_server_that_was_named(packets: list[TappedPacket], tmp_path: Path) -> None:
    half = len(packets) // 2
    elsewhere = ("203.0.113.1", 50_004)
    datagrams = [
        (at, frame(ETHERNET, udp(data, SERVER if number < half else elsewhere)))
        for number, (at, data) in enumerate(sealed(packets, LITE))
    ]
    capture = write(tmp_path / "bot.pcap", pcap(datagrams))
    for number, text in enumerate(["198.51.100.7", "198.51.100.7:50004"]):
        imported = import_capture(capture, tmp_path / f"out{number}", [KEY], server=parse_server(text))
        assert imported.counts == {"opened": half, "elsewhere": len(packets) - half}
    both = import_capture(capture, tmp_path / "both", [KEY], server=parse_server("50004"))
    assert both.counts == {"opened": len(packets)}
    assert error_code(capture, tmp_path / "none", server=parse_server("50005")) == "no_voice"


def test_both_directions_are_kept(packets: list[TappedPacket], tmp_path: Path) -> None:
    """What the capturing bot said went the other way, sealed with the same key."""
    datagrams = [
        (at, frame(ETHERNET, udp(data, *((BOT, SERVER) if packet.ssrc == BEN else (SERVER, BOT)))))
        for (at, data), packet in zip(sealed(packets, LITE), packets, strict=True)
    ]
    import_capture(write(tmp_path / "bot.pcap", pcap(datagrams)), tmp_path / "out", [KEY])
    assert recorded(tmp_path / "out") == sent(packets)


def test_owners_become_tracks(packets: list[TappedPacket], tmp_path: Path) -> None:
    capture = write(tmp_path / "bot.pcap", pcap(frames(sealed(packets, LITE))))
    owners = {Ssrc(ANNA): Owner("7", "anna"), Ssrc(99): Owner("9", "never heard")}
    import_capture(capture, tmp_path / "out", [KEY], owners=owners)
    events = read_events(tmp_path / "out" / "events.jsonl").events
    assert [type(event) for event in events[1:]] == [MemberJoined, Source, Stop]
    summary = render(tmp_path / "out")
    assert sorted((person.user_id, person.name) for person in summary.people) == [
        ("", f"unknown-{BEN:08x}"),
        ("7", "anna"),
    ]
    assert (summary.room, summary.stopped, summary.complete) == ("bot", "imported", True)
    assert summary.started.startswith("2026-")


def test_a_session_of_several_keys(packets: list[TappedPacket], tmp_path: Path) -> None:
    half = len(packets) // 2
    datagrams = sealed(packets[:half], LITE) + sealed(packets[half:], "xsalsa20_poly1305_suffix", key=bytes(32))
    capture = write(tmp_path / "bot.pcap", pcap(frames(datagrams)))
    imported = import_capture(capture, tmp_path / "out", [bytes(32), KEY])
    assert set(imported.modes) == {LITE, "xsalsa20_poly1305_suffix"} or len(imported.modes) == 2
    assert recorded(tmp_path / "out") == sent(packets)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_capture"),
        (b"\xd4\xc3", "not_a_capture"),
        (b"GIF89a and more", "not_a_capture"),
        (b"\x1f\x8b\x08\x00", "not_a_capture"),
        (pcap([]), "no_voice"),
        (pcap([])[:20], "no_voice"),
        (section(), "no_voice"),
        (pcapng([(0, b"x" * 60)], link_type=147), "no_voice"),
        (pcap([(0, frame(ETHERNET, udp(b"hello")))]), "no_voice"),
    ],
)
def test_what_is_no_capture_of_voice_is_one_sentence(data: bytes, code: str, tmp_path: Path) -> None:
    assert error_code(write(tmp_path / "x", data), tmp_path / "out") == code


def test_a_missing_file_and_a_folder_that_is_used(packets: list[TappedPacket], tmp_path: Path) -> None:
    assert error_code(tmp_path / "nothing", tmp_path / "out") == "capture_unreadable"
    assert error_code(tmp_path, tmp_path / "out") == "capture_unreadable"
    capture = write(tmp_path / "bot.pcap", pcap(frames(sealed(packets, LITE))))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        import_capture(capture, tmp_path / "used", [KEY])
    assert caught.value.code == "folder_not_empty"
    assert [file.name for file in (tmp_path / "used").iterdir()] == ["mine.txt"]


def test_a_wrong_key_and_a_wrong_mode_are_told_apart(packets: list[TappedPacket], tmp_path: Path) -> None:
    capture = write(tmp_path / "bot.pcap", pcap(frames(sealed(packets, "xsalsa20_poly1305"))))
    assert error_code(capture, tmp_path / "out", key=bytes(32)) == "nothing_opened"
    assert error_code(capture, tmp_path / "out", modes=(LITE,)) == "wrong_mode"
    with pytest.raises(InputError, match=r"sealed with xsalsa20_poly1305, not with xsalsa20_poly1305_lite"):
        import_capture(capture, tmp_path / "out", [KEY], modes=(LITE,))


def test_end_to_end_encrypted_voice_is_said_to_be_so(packets: list[TappedPacket], tmp_path: Path) -> None:
    def dave(packet: TappedPacket) -> bytes:
        return packet.rtp + bytes(8) + b"\x05" + bytes([12]) + b"\xfa\xfa"

    datagrams = [
        (at, seal(LITE, dave(packet), n))
        for n, ((at, _), packet) in enumerate(zip(sealed(packets, LITE), packets, strict=True))
    ]
    assert error_code(write(tmp_path / "bot.pcap", pcap(frames(datagrams))), tmp_path / "out") == "end_to_end_encrypted"
    # A call that became encrypted later: what could be heard is kept.
    mixed = sealed(packets[:50], LITE) + datagrams[50:]
    imported = import_capture(write(tmp_path / "bot.pcap", pcap(frames(mixed))), tmp_path / "out", [KEY])
    assert imported.counts == {"opened": 50, "end_to_end_encrypted": len(packets) - 50}


def test_a_capture_of_the_beginnings_of_packets(packets: list[TappedPacket], tmp_path: Path) -> None:
    data = pcap(frames(sealed(packets, LITE)), snaplen=68)
    assert error_code(write(tmp_path / "bot.pcap", data), tmp_path / "out") == "no_voice"
    silence = [
        (at, seal(LITE, p.rtp[:12] + b"\xf8\xff\xfe", n))
        for n, ((at, _), p) in enumerate(zip(sealed(packets, LITE), packets, strict=True))
    ]
    mixed = frames(silence[:50]) + frames(sealed(packets, LITE)[50:])
    imported = import_capture(write(tmp_path / "bot.pcap", pcap(mixed, snaplen=80)), tmp_path / "out", [KEY])
    assert imported.counts == {"opened": 50, "cut_short": len(packets) - 50}


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_a_file_that_was_cut_gives_what_came_before(make: object, packets: list[TappedPacket], tmp_path: Path) -> None:
    data = make(frames(sealed(packets, LITE)))  # type: ignore[operator]
    for number, size in enumerate([len(data) - 1, len(data) // 2]):
        imported = import_capture(write(tmp_path / "bot", data[:size]), tmp_path / f"out{number}", [KEY])
        assert imported.capture_ended == "cut"
        kept = recorded(tmp_path / f"out{number}")
        assert kept == sent(packets)[: len(kept)] and len(kept) == imported.counts["opened"]
        assert len(packets) * size / len(data) - 3 < len(kept) < len(packets)


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_a_length_that_makes_no_sense_ends_the_reading(
    make: object, packets: list[TappedPacket], tmp_path: Path
) -> None:
    half = frames(sealed(packets, LITE))[:50]
    data = make(half) + b"\xff" * 64  # type: ignore[operator]
    imported = import_capture(write(tmp_path / "bot", data), tmp_path / "out", [KEY])
    assert (imported.capture_ended, imported.counts) == ("damaged", {"opened": 50})


def test_a_clock_that_was_set_back_goes_on(packets: list[TappedPacket], tmp_path: Path) -> None:
    datagrams = sealed(packets, LITE)
    hour = 3600 * NANOS_PER_SECOND
    stepped = datagrams[:50] + [(at - hour, data) for at, data in datagrams[50:]]
    imported = import_capture(write(tmp_path / "bot.pcap", pcap(frames(stepped))), tmp_path / "out", [KEY])
    assert imported.counts == {"opened": len(packets), "clock_set_back": 1}
    assert imported.seconds == pytest.approx(datagrams[-1][0] / 1e9 - datagrams[0][0] / 1e9, abs=0.1)
    assert render(tmp_path / "out").duration_s < 3


def test_a_time_of_another_year_is_left_out(packets: list[TappedPacket], tmp_path: Path) -> None:
    datagrams = frames(sealed(packets, LITE))
    datagrams[60] = (datagrams[60][0] + 40 * 86_400 * NANOS_PER_SECOND, datagrams[60][1])
    imported = import_capture(write(tmp_path / "bot.pcap", pcap(datagrams)), tmp_path / "out", [KEY])
    assert imported.counts == {"opened": len(packets) - 1, "impossible_time": 1}
    assert render(tmp_path / "out").duration_s < 3


def test_silence_packets_are_silence(packets: list[TappedPacket], tmp_path: Path) -> None:
    first = [packet for packet in packets if packet.ssrc == ANNA]
    quiet = [
        TappedPacket(p.arrival, p.ssrc, p.sequence, p.timestamp, p.rtp[:12] + b"\xf8\xff\xfe" if n >= 25 else p.rtp)
        for n, p in enumerate(first)
    ]
    import_capture(write(tmp_path / "bot.pcap", pcap(frames(sealed(quiet, LITE)))), tmp_path / "out", [KEY])
    assert sum(is_silence(payload) for _, payload in recorded(tmp_path / "out")) == 25
    (person,) = render(tmp_path / "out").people
    assert person.sounding_s == pytest.approx(0.5) and person.lost == 0


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark reads our captures as an independent witness")
@pytest.mark.parametrize("make", [pcap, pcapng])
def test_tshark_reads_what_these_tests_write(make: object, packets: list[TappedPacket], tmp_path: Path) -> None:
    datagrams = frames(sealed(packets, LITE))
    capture = write(tmp_path / "bot", make(datagrams))  # type: ignore[operator]
    command = ["tshark", "-r", str(capture), "-T", "fields", "-e", "udp.srcport", "-e", "udp.payload"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    payloads = [data.hex() for _, data in sealed(packets, LITE)]
    assert out[::2] == [str(SERVER[1])] * len(packets) and out[1::2] == payloads
    import_capture(capture, tmp_path / "out", [KEY])
    journal = str(tmp_path / "out" / "journal.pcapng")
    command = ["tshark", "-r", journal, "-T", "fields", "-e", "rtp.ssrc", "-e", "rtp.seq"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert out[::2] == [f"0x{packet.ssrc:08x}" for packet in packets]
    assert out[1::2] == [str(packet.sequence & 0xFFFF) for packet in packets]


@pytest.fixture(scope="module")
def small(packets: list[TappedPacket]) -> tuple[bytes, bytes]:
    datagrams = frames(sealed(packets[:6], LITE))
    return pcap(datagrams), pcapng(datagrams)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_change_of_a_capture_is_more_than_an_error_or_a_count(
    data: st.DataObject, small: tuple[bytes, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    capture = bytearray(data.draw(st.sampled_from(small)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(capture) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                capture[at] = data.draw(st.integers(0, 255))
            case "cut":
                del capture[at : at + data.draw(st.integers(1, 40))]
            case _:
                capture[at:at] = data.draw(st.binary(max_size=20))
        if not capture:
            break
    folder = tmp_path_factory.mktemp("mutated")
    try:
        imported = import_capture(write(folder / "x", bytes(capture)), folder / "out", [KEY])
    except InputError:
        assert not (folder / "out").exists()
    else:
        assert 1 <= imported.counts["opened"] <= 6
        assert imported.seconds <= 31 * 86_400
