import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.voice.gateway import binary
from raccall.voice.gateway.binary import (
    AnnounceCommit,
    CommitWelcome,
    ExternalSender,
    KeyPackage,
    Proposals,
    ProposalsOperation,
    Welcome,
    parse_client_binary,
    parse_server_binary,
    write_client_binary,
    write_server_binary,
)
from raccall.voice.gateway.messages import CloseCode, Unknown, VoiceMalformed


@pytest.mark.parametrize(
    ("message", "wire"),
    [(KeyPackage(b"\0\1kp"), "1a00016b70"), (CommitWelcome(b"cw"), "1c6377")],
)
def test_a_client_message_has_its_opcode_and_no_number(message, wire):
    assert write_client_binary(message).hex() == wire
    assert parse_client_binary(bytes.fromhex(wire)) == message


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (ExternalSender(b"es"), "0102196573"),
        (Proposals(ProposalsOperation.APPEND, b"\2ab"), "01021b00026162"),
        (Proposals(ProposalsOperation.REVOKE, b"\1r"), "01021b010172"),
        (AnnounceCommit(0x0304, b"c"), "01021d030463"),
        (Welcome(0, b"w"), "01021e000077"),
    ],
)
def test_a_server_message_has_number_and_opcode(message, wire):
    assert write_server_binary(message, seq=0x0102).hex() == wire
    assert parse_server_binary(bytes.fromhex(wire)) == (message, 0x0102)


def test_an_unknown_opcode_is_ignored_by_clients_and_refused_by_servers():
    assert parse_server_binary(b"\0\5\x63rest") == (Unknown(op=0x63), 5)
    for opcode in (b"", b"\x63", b"\x19"):
        with pytest.raises(VoiceMalformed) as refused:
            parse_client_binary(opcode)
        assert refused.value.code is CloseCode.UNKNOWN_OPCODE


@pytest.mark.parametrize("data", [b"", b"\0\1", b"\0\1\x1b", b"\0\1\x1b\2", b"\0\1\x1d\0", b"\0\1\x1e"])
def test_a_server_message_cut_short_is_malformed(data):
    with pytest.raises(VoiceMalformed):
        parse_server_binary(data)


@pytest.mark.parametrize(
    ("opcode", "limit"), [(b"\x1a", binary.MAX_KEY_PACKAGE_BYTES), (b"\x1c", binary.MAX_PAYLOAD_BYTES)]
)
def test_an_oversized_payload_is_refused(opcode, limit):
    assert parse_client_binary(opcode + bytes(limit))
    with pytest.raises(VoiceMalformed) as refused:
        parse_client_binary(opcode + bytes(limit + 1))
    assert refused.value.code is CloseCode.DECODE_ERROR
    with pytest.raises(VoiceMalformed):
        parse_server_binary(b"\0\0\x19" + bytes(binary.MAX_PAYLOAD_BYTES + 1))


@given(st.binary(max_size=40))
def test_hostile_bytes_only_raise_malformed(data):
    for parse in (parse_client_binary, parse_server_binary):
        try:
            parse(data)
        except VoiceMalformed as error:
            assert error.code in (CloseCode.DECODE_ERROR, CloseCode.UNKNOWN_OPCODE)
