import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.voice.gateway import messages
from raccall.voice.gateway.messages import (
    CloseCode,
    Heartbeat,
    Identify,
    Opcode,
    ProtocolAddress,
    Resumed,
    SelectProtocol,
    SessionDescription,
    Unknown,
    UserSpeaking,
    VoiceMalformed,
    parse_client_message,
    parse_server_message,
    write_message,
)


def test_a_client_message_survives_the_wire():
    chosen = ProtocolAddress(address="192.0.2.7", port=5000, mode="aead_aes256_gcm_rtpsize")
    message = SelectProtocol(protocol="udp", data=chosen)
    assert parse_client_message(write_message(message)) == message


def test_a_server_message_keeps_its_number():
    message = UserSpeaking(user_id="12", ssrc=7, speaking=1)
    assert parse_server_message(write_message(message, seq=9)) == (message, 9)
    assert parse_server_message(write_message(message)) == (message, None)


def test_the_published_form_of_identify_is_read():
    text = '{"op":0,"d":{"server_id":"1","user_id":"2","session_id":"s","token":"t","video":true,"streams":[]}}'
    expected = Identify(server_id="1", user_id="2", session_id="s", token="t", max_dave_protocol_version=0)
    assert parse_client_message(text) == expected


def test_resumed_carries_null():
    assert json.loads(write_message(Resumed())) == {"op": 9, "d": None}
    assert parse_server_message('{"op":9,"d":null}').message == Resumed()
    assert parse_server_message('{"op":9}').message == Resumed()


def test_an_unknown_opcode_is_ignored_by_clients_and_refused_by_servers():
    assert parse_server_message('{"op":14,"d":{},"seq":3}') == (Unknown(op=14), 3)
    with pytest.raises(VoiceMalformed) as refused:
        parse_client_message('{"op":99,"d":{}}')
    assert refused.value.code is CloseCode.UNKNOWN_OPCODE


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (messages.TransitionReady(transition_id=7), '{"op":23,"d":{"transition_id":7}}'),
        (messages.InvalidCommitWelcome(transition_id=7), '{"op":31,"d":{"transition_id":7}}'),
    ],
)
def test_what_clients_say_about_encryption(message, text):
    assert write_message(message) == text
    assert parse_client_message(text) == message


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (messages.ClientFlags(user_id="1", flags=2), '{"op":18,"d":{"user_id":"1","flags":2},"seq":3}'),
        (messages.ClientPlatform(user_id="1", platform=None), '{"op":20,"d":{"user_id":"1","platform":null},"seq":3}'),
        (
            messages.PrepareTransition(protocol_version=0, transition_id=9),
            '{"op":21,"d":{"protocol_version":0,"transition_id":9},"seq":3}',
        ),
        (messages.ExecuteTransition(transition_id=9), '{"op":22,"d":{"transition_id":9},"seq":3}'),
        (
            messages.PrepareEpoch(protocol_version=1, epoch=1),
            '{"op":24,"d":{"protocol_version":1,"epoch":1},"seq":3}',
        ),
    ],
)
def test_what_servers_say_about_encryption(message, text):
    assert write_message(message, seq=3) == text
    assert parse_server_message(text) == (message, 3)


def test_the_key_has_32_bytes():
    assert SessionDescription(mode="m", secret_key=list(range(32))).key == bytes(range(32))
    for numbers in ([1] * 31, [256] * 32, [-1] * 32):
        with pytest.raises(ValueError):
            _ = SessionDescription(mode="m", secret_key=numbers).key


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "null",
        '{"op":"0"}',
        '{"op":0}',
        '{"op":3,"d":{"t":1.5}}',
        '{"op":0,"d":{"server_id":1}}',
        b"\xff\xfe",
        "\ud800",
        "[" * 5000,
        '{"op":3,"d":' + "[" * 10000 + "}",
        " " * (messages.MAX_MESSAGE_BYTES + 1),
    ],
)
def test_malformed_data_is_a_decode_error(data):
    with pytest.raises(VoiceMalformed) as refused:
        parse_client_message(data)
    assert refused.value.code is CloseCode.DECODE_ERROR


@given(
    st.one_of(
        st.text(), st.binary(), st.builds(lambda op, d: json.dumps({"op": op, "d": d}), st.integers(), st.integers())
    )
)
def test_hostile_data_only_raises_malformed(data):
    for parse in (parse_client_message, parse_server_message):
        try:
            parse(data)
        except VoiceMalformed as error:
            assert error.code in (CloseCode.DECODE_ERROR, CloseCode.UNKNOWN_OPCODE)


def test_close_codes_have_a_sentence_and_stay_numbers():
    assert CloseCode(4009) is CloseCode.SESSION_TIMEOUT
    assert all(code.sentence.endswith(".") for code in CloseCode)
    assert write_message(Heartbeat(t=4)) == '{"op":3,"d":{"t":4,"seq_ack":-1}}'
    assert Opcode.CLIENT_DISCONNECT == 13
