"""The Python face of packets: values in, bytes out, and errors that say why."""

import struct
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raccall.wire import packet as wire
from raccall.wire.packet import Cipher, Packet, Report, ReportBlock, SenderInfo, WireError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its use of audioop
    from discord import VoiceClient

KEY = bytes(range(32))
PACKET = Packet(sequence=7, timestamp=960, ssrc=wire.Ssrc(42), payload=b"\xf8\xff\xfe")


def reason(call: Any) -> str:
    with pytest.raises(WireError) as caught:
        call()
    assert str(caught.value)
    return caught.value.reason


def test_errors_carry_a_stable_reason() -> None:
    cipher = Cipher("aead_aes256_gcm_rtpsize", KEY)
    datagram = cipher.seal(PACKET.write(), b"\0\0\0\1")
    assert reason(lambda: cipher.open(datagram[:31])) == "too_short"
    assert reason(lambda: cipher.open(bytes(60))) == "malformed"
    assert reason(lambda: cipher.open(datagram[:-1] + b"\2")) == "bad_seal"
    assert reason(lambda: cipher.seal(b"\x80", bytes(4))) == "malformed"
    assert reason(lambda: Packet.parse(b"\x80" * 11)) == "too_short"
    assert reason(lambda: Packet.parse(bytes(12))) == "bad_version"
    assert reason(lambda: Packet.parse(b"\xa0" + PACKET.write()[1:-1] + b"\x09")) == "bad_padding"
    assert reason(lambda: wire.parse_compound(bytes.fromhex("81c90001 00000001"))) == "bad_length"


def test_a_value_that_fits_no_packet_is_refused() -> None:
    for wrong in ({"sequence": 1 << 16}, {"timestamp": -1}, {"csrc": b"123"}, {"payload_type": 128}):
        with pytest.raises((ValueError, OverflowError)):
            Packet(**{"sequence": 0, "timestamp": 0, "ssrc": 1, "payload": b"", **wrong}).write()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown transport mode"):
        Cipher("plain", KEY)
    with pytest.raises(ValueError, match="32"):
        Cipher("xsalsa20_poly1305", KEY[1:])


@pytest.mark.parametrize("mode", VoiceClient.supported_modes)
def test_opens_what_discord_py_seals(mode: str) -> None:
    """An unmodified peer: the function that discord.py sends every packet through."""
    client = SimpleNamespace(secret_key=list(KEY), _incr_nonce=0xFFFFFF00)
    client.checked_add = lambda name, value, limit: setattr(client, name, getattr(client, name) + value)
    packet = PACKET.write()
    sealed = getattr(VoiceClient, f"_encrypt_{mode}")(client, packet[:12], packet[12:])
    assert Cipher(mode, KEY).open(sealed) == packet


def test_discovery_answers_with_the_address_seen() -> None:
    assert wire.parse_discovery_request(wire.discovery_request(42)) == 42
    for host in ("192.0.2.1", "2001:db8::1"):
        response = wire.discovery_response(42, (host, 50000))
        assert struct.unpack(">HHI64sH", response) == (2, 70, 42, host.encode().ljust(64, b"\0"), 50000)
        assert wire.parse_discovery_response(response) == (42, (host, 50000))
        assert wire.parse_discovery_request(response) is None
    with pytest.raises(ValueError, match="localhost"):
        wire.discovery_response(42, ("localhost", 1))


def test_reports_come_back_as_they_were() -> None:
    block = ReportBlock(
        ssrc=wire.Ssrc(9),
        fraction_lost=255,
        lost=-1,
        highest_sequence=1 << 16,
        jitter=2,
        last_sr=3,
        delay_since_last_sr=4,
    )
    info = SenderInfo(ntp=1 << 40, timestamp=5, packets=6, bytes=7)
    sender = Report(ssrc=wire.Ssrc(1), sender=info, blocks=(block,))
    receiver = Report(ssrc=wire.Ssrc(1), sender=None, blocks=(block, block))
    compound = sender.write() + bytes.fromhex("81ca0001 00000001") + receiver.write()
    assert wire.is_rtcp(compound)
    assert wire.ssrc_of(compound) == 1
    assert wire.parse_compound(compound) == [sender, receiver]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=100), st.sampled_from(wire.TRANSPORT_MODES))
def test_hostile_bytes_are_an_error_and_nothing_else(data: bytes, mode: str) -> None:
    for bytes_ in (data, b"\x80" + data, b"\xb1\xc8" + data):
        for call in (Packet.parse, wire.parse_compound, Cipher(mode, KEY).open):
            try:
                call(bytes_)
            except WireError as error:
                assert error.reason
        wire.parse_discovery_request(bytes_)
        wire.parse_discovery_response(bytes_)
        wire.ssrc_of(bytes_)
