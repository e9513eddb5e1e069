"""One bad packet ended a recording of 2021: an exception in the thread that read them all.

Here bad packets of every kind stand between good ones, in an import and in the live chain; nothing good is lost.
"""

import random
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import START, WALL_NS, Sender, encode, over_network, speech
from captures import KEY, Timed, imported, seal, sealed, track

from raccall.recorder import render
from raccall.recorder.importing import Owner
from raccall.units import Nanos
from raccall.voice.chains import ReceiveChain
from raccall.voice.tap import TappedPacket

ANNA, BEN, MAD = 0xA, 0xB, 0xDEAD
OWNERS = {ANNA: Owner("1", "anna"), BEN: Owner("2", "ben")}
MODES = ["xsalsa20_poly1305_lite", "aead_xchacha20_poly1305_rtpsize"]
"""One of each layout and cipher."""


@pytest.fixture(scope="module")
def payloads(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return encode(speech(2.0, seed=10), tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def good(payloads: list[bytes]) -> list[TappedPacket]:
    return over_network([Sender(ANNA, payloads), Sender(BEN, payloads, begins_ms=90)], seed=1)


def rtp(number: int, payload: bytes, *, ssrc: int = MAD, kind: int = 120) -> bytes:
    return struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, number * 960 & 0xFFFFFFFF, ssrc) + payload


def bad(mode: str, number: int) -> list[bytes]:
    """Datagrams that must harm nobody; the sealed ones are sent by a member who has gone mad."""
    dice = random.Random(number)
    noise = dice.randbytes(dice.randrange(1, 300))
    whole = seal(mode, rtp(number, noise), 70_000 + number)
    inside = [
        rtp(number, noise),  # no Opus
        rtp(number, b""),
        rtp(number, b"\xff" * 3),  # a code 3 packet of 63 frames
        rtp(number, bytes(1400)),
        rtp(number * 7919, b"\x78" + noise),  # numbers all over
        b"\xb0" + rtp(number, b"\xff")[1:],  # padding longer than the packet
        b"\x9f" + rtp(number, noise)[1:],  # CSRC list longer than the packet
        b"\x90" + rtp(number, b"\xbe\xde\xff\xff" + noise)[1:],  # extension longer than the packet
        *(struct.pack(">BBHI", 0x81, kind, 7, ANNA) + noise for kind in range(200, 207)),  # RTCP
        *(rtp(number, noise, kind=kind, ssrc=ANNA) for kind in (0, 72, 101, 103, 119, 121)),  # video, RTX, others
    ]
    outside = [
        b"",
        b"\x80",
        b"\x80\x78" + bytes(20),
        noise,
        whole[:-1],
        whole[: len(whole) // 2],
        whole + b"\0",
        bytes([whole[0]]) + whole[1:20] + bytes([whole[20] ^ 1]) + whole[21:],
        rtp(number, noise),  # not sealed at all
        seal(mode, rtp(number, noise, ssrc=ANNA), number, key=bytes(32)),  # forged in anna's name
    ]
    return [*(seal(mode, packet, 1000 * number + n) for n, packet in enumerate(inside)), *outside]


def among(mode: str, good: list[TappedPacket]) -> list[Timed]:
    return [
        timed
        for number, (at, datagram) in enumerate(sealed(good, mode))
        for timed in [(at, datagram), *((at + 1, one) for one in (bad(mode, number) if number % 10 == 0 else []))]
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_bad_packet_ends_nothing(mode: str, good: list[TappedPacket], payloads: list[bytes], tmp_path: Path) -> None:
    folder = imported(tmp_path, among(mode, good), owners=OWNERS)
    summary = render(folder)
    assert track(folder, "anna") == payloads == track(folder, "ben")
    for person in summary.people:
        if person.name in ("anna", "ben"):
            assert (person.lost, person.malformed, person.refused) == (0, 0, 0)
    alone = imported(tmp_path / "alone", sealed(good, mode), owners=OWNERS)
    render(alone)
    for name in ("anna", "ben"):
        assert track(folder, name) == track(alone, name)


@pytest.mark.parametrize("mode", MODES)
def test_live_a_bad_packet_is_counted_and_the_others_sound(mode: str, good: list[TappedPacket]) -> None:
    """The chain that decodes: with and without bad packets anna and ben sound the same, bit by bit."""

    def heard(datagrams: list[Timed]) -> dict[int, list[bytes]]:
        chain = ReceiveChain(mode, KEY, deep_plc=False)
        sound: dict[int, list[bytes]] = {ANNA: [], BEN: []}
        start = datagrams[0][0]
        for pull in range(240):
            now = start + pull * 10_000_000
            while datagrams and datagrams[0][0] < now:
                arrival, datagram = datagrams.pop(0)
                chain.push(datagram, Nanos(arrival))
            for ssrc, frame in chain.pull_each(Nanos(now)).items():
                if ssrc in sound:
                    sound[ssrc].append(np.asarray(frame).tobytes())
        counts.append(chain.report().refused)
        return sound

    counts: list[dict[str, int]] = []
    assert heard(among(mode, good)) == heard(sealed(good, mode))
    assert counts[1] == {}
    assert {"too_short", "malformed", "bad_seal", "payload_type"} <= counts[0].keys()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", range(200, 207))
def test_rtcp_is_no_voice(mode: str, kind: int, good: list[TappedPacket], tmp_path: Path) -> None:
    """A sender report decoded as Opus is a crack; its SSRC stands elsewhere, so it was somebody's."""
    report = struct.pack(">BBHI", 0x81, kind, 7, ANNA) + bytes(24)
    at = WALL_NS + START
    folder = imported(tmp_path, [(at, seal(mode, report, 9)), *sealed(good, mode), (at, seal(mode, report, 10))])
    assert {person.name for person in render(folder).people} == {"unknown-0000000a", "unknown-0000000b"}


@pytest.mark.parametrize("mode", MODES)
def test_a_camera_is_no_corrupted_stream(
    mode: str, good: list[TappedPacket], payloads: list[bytes], tmp_path: Path
) -> None:
    """Video shares the socket: an Opus decoder that was given it said "corrupted stream", and the thread was gone."""
    dice = random.Random(5)
    video = [
        (at, seal(mode, rtp(number, dice.randbytes(1100), kind=101 + number % 3, ssrc=0xCA), 50_000 + number))
        for number, (at, _) in enumerate(sealed(good, mode))
    ]
    folder = imported(tmp_path, sorted([*video, *sealed(good, mode)]), owners=OWNERS)
    assert sorted(person.name for person in render(folder).people) == ["anna", "ben"]
    assert track(folder, "anna") == payloads
