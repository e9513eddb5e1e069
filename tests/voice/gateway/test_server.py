"""One connection of the voice gateway, server side, in virtual time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos
from raccall.voice.gateway.allowance import RATE_BURST
from raccall.voice.gateway.heartbeat import IDENTIFY_WITHIN_MS
from raccall.voice.gateway.messages import (
    ClientsConnect,
    ClientSpeaking,
    CloseCode,
    Heartbeat,
    Identify,
    Opcode,
    ProtocolAddress,
    Resume,
    SelectProtocol,
    UserSpeaking,
    write_message,
)
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.voice.gateway.server import HEARTBEAT_INTERVAL_MS, OFFERED_MODES, VoiceGatewayServer, body_of
from raccall.voice.gateway.server_events import Identified, ProtocolSelected, ResumeRequested, SpeakingChanged

START = Nanos(5 * NANOS_PER_SECOND)
IDENTIFY = Identify(server_id="1", user_id="2", session_id="s", token="t")
RESUME = Resume(server_id="1", session_id="s", token="t", seq_ack=-1)


def select(address="192.0.2.1", port=4000, mode=OFFERED_MODES[1], protocol="udp"):
    return SelectProtocol(protocol=protocol, data=ProtocolAddress(address=address, port=port, mode=mode))


def new(version="8"):
    return VoiceGatewayServer(START, version=version)


def sent(core):
    return [json.loads(text) for text in core.to_send(START)]


def opcodes(core):
    return [message["op"] for message in sent(core)]


def tell(core, *messages, now=START):
    for message in messages:
        core.receive(write_message(message), now)
    return core


def identified(replay=None):
    core = tell(new(), IDENTIFY)
    assert core.next_event() == Identified("1", "2", "s", "t")
    core.accept_identify(ssrc=77, host="192.0.2.9", port=7420, replay=replay or ReplayBuffer())
    return core


def connected(replay=None):
    core = tell(identified(replay), select())
    assert core.next_event() == ProtocolSelected("192.0.2.1", 4000, OFFERED_MODES[1])
    core.describe(mode=OFFERED_MODES[1], key=bytes(32), media_session_id="m")
    core.to_send(START)
    return core


def test_the_whole_handshake():
    core = tell(new(), IDENTIFY)
    assert sent(core) == [{"op": 8, "d": {"heartbeat_interval": HEARTBEAT_INTERVAL_MS, "v": 8}}]
    assert core.next_event() == Identified("1", "2", "s", "t")
    core.accept_identify(ssrc=77, host="192.0.2.9", port=7420, replay=ReplayBuffer())
    ready = {"ssrc": 77, "ip": "192.0.2.9", "port": 7420, "modes": list(OFFERED_MODES), "raccall_tunnel": 1}
    assert sent(core) == [{"op": 2, "d": ready}]
    tell(core, select())
    assert core.next_event() == ProtocolSelected("192.0.2.1", 4000, OFFERED_MODES[1])
    core.describe(mode=OFFERED_MODES[1], key=bytes(range(32)), media_session_id="m")
    (description,) = sent(core)
    assert description["d"]["secret_key"] == list(range(32))
    assert description["d"]["dave_protocol_version"] == 0
    tell(core, ClientSpeaking(speaking=1, ssrc=77))
    assert core.next_event() == SpeakingChanged(1)
    assert core.next_event() is None
    assert core.connected and core.close_code is None


def test_an_ssrc_that_speaking_leaves_out_is_known_anyway():
    """As py-cord writes it."""
    core = connected()
    core.receive('{"op": 5, "d": {"speaking": 1, "delay": 0}}', START)
    assert core.next_event() == SpeakingChanged(1) and core.close_code is None


@pytest.mark.parametrize("version", [None, "", "4", "9", "8.0"])
def test_other_versions_are_refused(version):
    core = new(version)
    assert core.close_code is CloseCode.UNKNOWN_PROTOCOL
    assert sent(core) == [] and core.get_timer() is None


@pytest.mark.parametrize(
    ("make", "message", "code"),
    [
        (new, select(), CloseCode.NOT_AUTHENTICATED),
        (new, ClientSpeaking(speaking=1, ssrc=1), CloseCode.NOT_AUTHENTICATED),
        (identified, IDENTIFY, CloseCode.ALREADY_AUTHENTICATED),
        (identified, RESUME, CloseCode.ALREADY_AUTHENTICATED),
        (identified, select(mode="xsalsa20_poly1305"), CloseCode.UNKNOWN_MODE),
        (identified, select(protocol="webrtc"), CloseCode.UNKNOWN_PROTOCOL),
        (identified, select(address="example.org"), CloseCode.BAD_REQUEST),
        (identified, select(port=0), CloseCode.BAD_REQUEST),
        (identified, select(port=1 << 16), CloseCode.BAD_REQUEST),
        (connected, select(), CloseCode.BAD_REQUEST),
    ],
)
def test_a_message_out_of_place_closes_with_its_code(make, message, code):
    core = tell(make(), message)
    assert core.close_code is code
    assert core.next_event() is None
    tell(core, Heartbeat(t=1))
    assert core.close_code is code, "the first code counts"


def test_a_heartbeat_is_answered_and_keeps_the_connection():
    core = connected()
    now = START
    for nonce in range(10):
        now = Nanos(now + HEARTBEAT_INTERVAL_MS * NANOS_PER_MS)
        tell(core, Heartbeat(t=nonce), now=now)
        core.handle_timer(now)
        assert sent(core) == [{"op": 6, "d": {"t": nonce}}]
    assert core.close_code is None


def test_without_heartbeats_the_connection_ends():
    core = connected()
    core.handle_timer(Nanos(core.get_timer() - 1))
    assert core.close_code is None
    core.handle_timer(core.get_timer())
    assert core.close_code is CloseCode.SESSION_TIMEOUT


def test_who_never_identifies_is_sent_away():
    core = new()
    assert core.get_timer() == START + IDENTIFY_WITHIN_MS * NANOS_PER_MS
    core.handle_timer(core.get_timer())
    assert core.close_code is CloseCode.SESSION_TIMEOUT


def test_a_flood_is_cut_off():
    core = connected()
    tell(core, *[Heartbeat(t=n) for n in range(RATE_BURST)])
    assert core.close_code is CloseCode.RATE_LIMITED


def test_a_resume_repeats_what_was_missed_in_order():
    replay = ReplayBuffer()
    core = connected(replay)
    core.announce(body_of(ClientsConnect(user_ids=["5"])))
    first = sent(core)[0]
    replay.append(body_of(UserSpeaking(user_id="5", ssrc=9, speaking=1)))
    replay.append(body_of(ClientsConnect(user_ids=["6"])))
    again = tell(new(), Resume(server_id="1", session_id="s", token="t", seq_ack=first["seq"]))
    assert again.next_event() == ResumeRequested("1", "s", "t", first["seq"])
    again.to_send(START)
    assert again.accept_resume(seq_ack=first["seq"], replay=replay)
    messages = sent(again)
    assert [(m["op"], m.get("seq")) for m in messages] == [(9, None), (5, 1), (11, 2)]
    again.announce(body_of(ClientsConnect(user_ids=["7"])))
    assert sent(again)[0]["seq"] == 3


@pytest.mark.parametrize("seq_ack", [-1, 3, 9, 1000, 1 << 40, -5])
def test_a_resume_that_lacks_dropped_messages_is_refused(seq_ack):
    replay = ReplayBuffer(capacity=2)
    for user in range(8):  # 0..7, of which 6 and 7 are kept
        replay.append(body_of(ClientsConnect(user_ids=[str(user)])))
    core = tell(new(), RESUME)
    assert not core.accept_resume(seq_ack=seq_ack, replay=replay)
    assert core.close_code is CloseCode.SESSION_INVALID
    assert opcodes(core) == [Opcode.HELLO]


def test_numbers_wrap_after_16_bits_and_a_resume_goes_across():
    replay = ReplayBuffer(first=(1 << 16) - 2, wire_bits=16)
    numbers = []
    core = connected(replay)
    for user in range(4):
        core.announce(body_of(ClientsConnect(user_ids=[str(user)])))
        numbers += [m["seq"] for m in sent(core)]
    assert numbers == [65534, 65535, 0, 1]
    again = tell(new(), RESUME)
    assert again.accept_resume(seq_ack=65535, replay=replay)
    assert [m.get("seq") for m in sent(again)] == [None, None, 0, 1]


def test_acknowledged_messages_are_not_kept():
    replay = ReplayBuffer()
    core = connected(replay)
    for user in range(5):
        core.announce(body_of(ClientsConnect(user_ids=[str(user)])))
    tell(core, Heartbeat(t=1, seq_ack=3))
    assert replay.since(2) is None
    assert len(replay.since(3)) == 1
    tell(core, Heartbeat(t=2, seq_ack=60000))
    assert len(replay.since(3)) == 1, "an acknowledgement of the future changes nothing"


@given(
    st.lists(
        st.one_of(st.text(), st.binary(), st.sampled_from([write_message(m) for m in (IDENTIFY, RESUME, select())]))
    )
)
def test_hostile_messages_never_raise(messages):
    core = new()
    for message in messages:
        core.receive(message, START)
        core.to_send(START)
        core.handle_timer(START)
    assert core.close_code in (None, *CloseCode)
