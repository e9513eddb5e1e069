"""Packets that other libraries made are read, and what we make is what they make (see make_golden.py)."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from nacl.secret import SecretBox

from raccall.wire.packet import TRANSPORT_MODES, Cipher, Extension, Packet, WireError, is_rtcp, parse_compound

FOLDER = Path(__file__).parent / "golden"
INDEX: dict[str, Any] = json.loads((FOLDER / "packets.json").read_text(encoding="utf-8"))
KEY = bytes.fromhex(INDEX["key"])
CASES = sorted(INDEX["cases"])


def golden(name: str) -> bytes:
    return (FOLDER / f"{name}.bin").read_bytes()


def nonce(case: str) -> bytes:
    return bytes.fromhex(INDEX["cases"][case]["nonce"])


def test_golden_files_are_what_the_script_makes() -> None:
    made = runpy.run_path(str(FOLDER.parent / "make_golden.py"))["make"]()
    assert made == {file.name: file.read_bytes() for file in FOLDER.iterdir()}
    assert len(made) == 1 + len(CASES) * (1 + len(TRANSPORT_MODES))


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
@pytest.mark.parametrize("case", CASES)
def test_opens_what_others_sealed(case: str, mode: str) -> None:
    assert Cipher(mode, KEY).open(golden(f"{case}.{mode}")) == golden(case)


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
@pytest.mark.parametrize("case", CASES)
def test_seals_as_others_do(case: str, mode: str) -> None:
    cipher, packet, expected = Cipher(mode, KEY), golden(case), golden(f"{case}.{mode}")
    if mode == "xsalsa20_poly1305" and is_rtcp(packet):
        # Every report would have the same nonce: its 8 byte header.
        with pytest.raises(WireError) as caught:
            cipher.seal(packet, bytes(4))
        assert caught.value.reason == "nonce_would_repeat"
        return
    sealed = cipher.seal(packet, nonce(case)[:4])
    if mode != "xsalsa20_poly1305_suffix":
        assert sealed == expected
        return
    # The nonce is random to everyone but us; what carries it must be readable by the other library.
    clear_bytes = 8 if is_rtcp(packet) else 12
    assert len(sealed) == len(expected)
    opened = SecretBox(KEY).decrypt(sealed[clear_bytes:-24], sealed[-24:])
    assert sealed[:clear_bytes] + opened == packet


@pytest.mark.parametrize("case", [case for case in CASES if INDEX["cases"][case]["fields"]])
def test_parses_and_writes(case: str) -> None:
    fields = INDEX["cases"][case]["fields"]
    padding = bytes.fromhex(fields["padding"])
    expected = Packet(
        marker=fields["marker"],
        payload_type=fields["payload_type"],
        sequence=fields["sequence"],
        timestamp=fields["timestamp"],
        ssrc=fields["ssrc"],
        csrc=bytes.fromhex(fields["csrc"]),
        extension=None if fields["profile"] is None else Extension(fields["profile"], bytes.fromhex(fields["body"])),
        payload=bytes.fromhex(fields["payload"]),
        padding_bytes=len(padding),
    )
    packet = golden(case)
    assert Packet.parse(packet) == expected
    # Padding has no contents that a reader may rely on: we write zeros.
    bare = packet.removesuffix(padding)
    assert expected.write() == (bare + bytes(len(padding) - 1) + padding[-1:] if padding else packet)


def test_reads_a_sender_report() -> None:
    [report] = parse_compound(golden("sender_report"))
    assert report.sender is not None
    assert (report.ssrc, report.sender.ntp, report.sender.timestamp) == (0x0708090A, 1 << 63 | 5, 48000)
    assert (report.sender.packets, report.sender.bytes) == (50, 6000)
    [block] = report.blocks
    assert (block.ssrc, block.fraction_lost, block.lost, block.highest_sequence) == (0x11111111, 25, -2, 70000)
    assert (block.jitter, block.last_sr, block.delay_since_last_sr) == (33, 0x12345678, 65536)
    assert report.write() == golden("sender_report")


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
def test_one_changed_bit_is_noticed(mode: str) -> None:
    cipher, datagram = Cipher(mode, KEY), golden(f"all.{mode}")
    # xsalsa20 does not protect what is in clear, except where it is the nonce: 12 bytes, here 28 of the rtpsize layout.
    protected = 28 if mode == "xsalsa20_poly1305_lite_rtpsize" else 12 if mode.endswith(("_suffix", "_lite")) else 1
    for at in range(protected, len(datagram)):
        changed = bytearray(datagram)
        changed[at] ^= 1
        with pytest.raises(WireError):
            cipher.open(bytes(changed))
