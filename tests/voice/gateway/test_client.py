"""The member's voice gateway core, in virtual time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.dave import events as dave
from raccall.voice.dave.handshake import Handshake
from raccall.voice.gateway import binary
from raccall.voice.gateway.client import VoiceGatewayClient
from raccall.voice.gateway.client_events import (
    KeyChanged,
    SessionDescription,
    UserDisconnected,
    UsersConnected,
    UserSpeaking,
    VoiceIdentity,
    VoiceReady,
    VoiceResumed,
)
from raccall.voice.gateway.closing import Closed, Next
from raccall.voice.gateway.heartbeat import HELLO_TIMEOUT_MS
from tests.voice.delivery_stand_in import ExternalSender

KEY = bytes(range(32))
HEARTBEAT_MS = 13_750
HELLO = {"op": 8, "d": {"v": 8, "heartbeat_interval": HEARTBEAT_MS}}
READY = {"op": 2, "d": {"ssrc": 77, "ip": "192.0.2.1", "port": 7420, "modes": ["a", "b"], "heartbeat_interval": 1}}
DESCRIPTION = {"op": 4, "d": {"mode": "a", "secret_key": list(KEY), "dave_protocol_version": 0}}


class Peer:
    """A client core and what a server would say to it."""

    def __init__(self) -> None:
        self.now = Nanos(1_000)
        self.client = VoiceGatewayClient(VoiceIdentity("9", "111", "session", "token"))

    def say(self, *messages: dict[str, object]) -> None:
        for message in messages:
            self.client.receive(json.dumps(message), self.now)

    def heard(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.client.to_send(self.now)]

    def events(self) -> list[object]:
        return list(iter(self.client.next_event, None))

    def pass_ms(self, ms: float) -> None:
        self.now = Nanos(self.now + int(ms * NANOS_PER_MS))
        self.client.handle_timer(self.now)

    def described(self) -> "Peer":
        self.client.opened(self.now)
        self.say(HELLO, READY, DESCRIPTION)
        self.heard()
        self.events()
        return self


def test_a_session_is_set_up() -> None:
    peer = Peer()
    peer.client.opened(peer.now)
    assert peer.heard() == []  # the server speaks first
    peer.say(HELLO)
    (identify,) = peer.heard()
    assert identify["op"] == 0
    assert identify["d"] == {
        "server_id": "9",
        "user_id": "111",
        "session_id": "session",
        "token": "token",
        "max_dave_protocol_version": 0,
    }
    peer.say(READY)
    assert peer.events() == [VoiceReady(77, ("192.0.2.1", 7420), ("a", "b"))]
    peer.client.select_protocol("198.51.100.7", 5000, "a")
    (select,) = peer.heard()
    assert select["op"] == 1
    assert select["d"] == {"protocol": "udp", "data": {"address": "198.51.100.7", "port": 5000, "mode": "a"}}
    peer.say(DESCRIPTION)
    assert peer.events() == [SessionDescription("a", KEY)]
    peer.client.set_speaking(1)
    (speaking,) = peer.heard()
    assert speaking == {"op": 5, "d": {"speaking": 1, "ssrc": 77, "delay": 0}}


def test_a_second_description_is_a_new_key() -> None:
    peer = Peer().described()
    peer.say(DESCRIPTION | {"d": DESCRIPTION["d"] | {"secret_key": list(range(32))}})
    assert peer.events() == [KeyChanged(DESCRIPTION["d"]["mode"], bytes(range(32)))]
    assert peer.client.counts["malformed"] == 0


def test_who_is_here_and_whose_voice_it_is() -> None:
    peer = Peer().described()
    peer.say(
        {"op": 11, "d": {"user_ids": ["1", "2"]}, "seq": 1},
        {"op": 5, "d": {"user_id": "1", "ssrc": 5, "speaking": 1}, "seq": 2},
        {"op": 13, "d": {"user_id": "1"}, "seq": 3},
    )
    assert peer.events() == [UsersConnected(("1", "2")), UserSpeaking("1", 5, 1), UserDisconnected("1")]


def test_heartbeats_carry_the_newest_sequence_number_and_measure_the_delay() -> None:
    peer = Peer().described()
    assert peer.client.get_timer() == peer.now + HEARTBEAT_MS * NANOS_PER_MS
    peer.say({"op": 11, "d": {"user_ids": []}, "seq": 6})
    peer.pass_ms(HEARTBEAT_MS - 1)
    assert peer.heard() == []
    peer.pass_ms(1)
    assert peer.heard() == [{"op": 3, "d": {"t": 1, "seq_ack": 6}}]
    peer.pass_ms(40)
    peer.say({"op": 6, "d": {"t": 1}})
    assert peer.client.round_trip_ms == 40
    peer.pass_ms(HEARTBEAT_MS - 40)
    assert peer.heard() == [{"op": 3, "d": {"t": 2, "seq_ack": 6}}]


def test_binary_messages_advance_the_sequence_and_are_counted() -> None:
    peer = Peer().described()
    peer.client.receive(b"\x01\x02\x1b" + bytes(40), peer.now)
    peer.client.receive(b"\x01\x02", peer.now)
    assert peer.client.counts == {"malformed": 1, "unknown": 0, "binary": 1, "repeated": 0}
    peer.pass_ms(HEARTBEAT_MS)
    assert peer.heard()[0]["d"] == {"t": 1, "seq_ack": 0x0102}


def test_a_silent_server_is_given_up_after_two_heartbeats() -> None:
    peer = Peer().described()
    peer.pass_ms(HEARTBEAT_MS)
    assert peer.events() == []
    peer.pass_ms(HEARTBEAT_MS)
    assert peer.events() == [Closed(None, "The voice server stopped answering.", Next.RESUME)]
    assert peer.client.get_timer() is None


def test_a_server_that_never_says_hello_is_given_up() -> None:
    peer = Peer()
    peer.client.opened(peer.now)
    peer.pass_ms(HELLO_TIMEOUT_MS)
    assert [event.next for event in peer.events()] == [Next.RECONNECT]


@pytest.mark.parametrize("code", [None, 1006, 4015])
def test_a_lost_connection_is_resumed_with_the_newest_sequence_number(code: int | None) -> None:
    peer = Peer().described()
    peer.say({"op": 11, "d": {"user_ids": []}, "seq": 41})
    peer.events()
    peer.client.lost(code, peer.now)
    assert [event.next for event in peer.events()] == [Next.RESUME]
    peer.client.opened(peer.now)
    peer.say(HELLO)
    assert peer.heard() == [
        {"op": 7, "d": {"server_id": "9", "session_id": "session", "token": "token", "seq_ack": 41}}
    ]
    peer.say({"op": 9, "d": None}, {"op": 13, "d": {"user_id": "1"}, "seq": 42})
    assert peer.events() == [VoiceResumed(), UserDisconnected("1")]


@pytest.mark.parametrize(
    ("code", "expected"),
    [(4006, Next.RECONNECT), (4009, Next.RECONNECT), (1001, Next.RECONNECT), (4999, Next.RECONNECT)]
    + [(code, Next.STOP) for code in (1000, 4004, 4011, 4014, 4017, 4021, 4022)],
)
def test_each_close_code_says_what_to_do(code: int, expected: Next) -> None:
    peer = Peer().described()
    peer.client.lost(code, peer.now)
    (event,) = peer.events()
    assert (event.code, event.next) == (code, expected)
    assert event.sentence.endswith(".")


def test_a_connection_lost_before_the_session_was_described_starts_anew() -> None:
    peer = Peer()
    peer.client.opened(peer.now)
    peer.say(HELLO, READY)
    peer.client.lost(None, peer.now)
    assert [event.next for event in peer.events()[1:]] == [Next.RECONNECT]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "{",
        '{"op": 8, "d": {"heartbeat_interval": 0}}',
        '{"op": 8, "d": {"heartbeat_interval": 1e300}}',
        '{"op": 4, "d": {"mode": "a", "secret_key": [1, 2]}}',
        '{"op": 4, "d": {"mode": "a", "secret_key": [999]}}',
        '{"op": 2, "d": {"ssrc": -1, "ip": "x", "port": 1, "modes": []}}',
        '{"op": 2, "d": {"ssrc": 1, "ip": "x", "port": 70000, "modes": []}}',
        b"",
        "\ud800",
    ],
)
def test_hostile_messages_are_counted_and_change_nothing(data: str | bytes) -> None:
    peer = Peer().described()
    timer = peer.client.get_timer()
    peer.client.receive(data, peer.now)
    assert peer.client.counts["malformed"] == 1
    assert (peer.events(), peer.heard(), peer.client.get_timer()) == ([], [], timer)


def test_a_session_is_described_once_and_after_ready() -> None:
    peer = Peer()
    peer.client.opened(peer.now)
    peer.say(HELLO, DESCRIPTION, READY, READY, DESCRIPTION, DESCRIPTION)
    assert [type(event) for event in peer.events()] == [VoiceReady, SessionDescription, KeyChanged]
    assert peer.client.counts["malformed"] == 2


def test_unknown_opcodes_are_ignored_but_their_numbers_count() -> None:
    peer = Peer().described()
    peer.say({"op": 14, "d": {}, "seq": 8})
    assert peer.client.counts["unknown"] == 1
    peer.pass_ms(HEARTBEAT_MS)
    assert peer.heard()[0]["d"] == {"t": 1, "seq_ack": 8}


def test_nothing_is_sent_or_heard_after_the_end() -> None:
    peer = Peer().described()
    peer.client.lost(4014, peer.now)
    peer.events()
    peer.client.set_speaking(1)
    peer.say(READY)
    peer.client.lost(1006, peer.now)
    assert (peer.heard(), peer.events()) == ([], [])


# ---- end-to-end encryption ----

ENCRYPTED = DESCRIPTION | {"d": DESCRIPTION["d"] | {"dave_protocol_version": 1}}


class EncryptingPeer(Peer):
    """A client that takes part in end-to-end encryption; steps of MLS are done at once."""

    def __init__(self) -> None:
        super().__init__()
        self.client = VoiceGatewayClient(VoiceIdentity("9", "111", "session", "token"), Handshake(111, 777))

    def say_binary(self, seq: int, message: binary.ServerBinary) -> None:
        self.client.receive(binary.write_server_binary(message, seq), self.now)

    def sent(self) -> list[str | bytes]:
        return list(self.client.to_send(self.now))

    def events(self) -> list[object]:
        seen: list[object] = []
        while (event := self.client.next_event()) is not None:
            if isinstance(event, dave.Work):
                self.client.finish(event.run(), self.now)
            else:
                seen.append(event)
        return seen


def test_a_member_offers_encryption_and_answers_with_a_key_package() -> None:
    peer = EncryptingPeer()
    peer.client.opened(peer.now)
    peer.say(HELLO)
    assert json.loads(peer.sent()[0])["d"]["max_dave_protocol_version"] == 1
    peer.say(READY)
    peer.say_binary(0, binary.ExternalSender(ExternalSender(777).package()))
    peer.events()
    assert peer.sent() == []
    peer.say(ENCRYPTED)
    described, switched = peer.events()
    assert described == SessionDescription("a", KEY, dave_version=1)
    assert switched == dave.Switched(1, None, 0)
    (package,) = peer.sent()
    assert isinstance(package, bytes) and package[0] == 26
    peer.say({"op": 24, "d": {"protocol_version": 1, "epoch": 1}, "seq": 1}, {"op": 22, "d": {"transition_id": 7}})
    assert peer.events() == []
    assert [message[0] for message in peer.sent()] == [26]


def test_a_broken_welcome_is_told_before_the_new_key_package() -> None:
    peer = EncryptingPeer()
    peer.client.opened(peer.now)
    peer.say(HELLO, READY, ENCRYPTED)
    peer.say_binary(0, binary.ExternalSender(ExternalSender(777).package()))
    peer.events()
    peer.sent()
    peer.say_binary(1, binary.Welcome(5, b"?"))
    assert peer.events() == [dave.Recovering("malformed")]
    invalid, package = peer.sent()
    assert json.loads(invalid) == {"op": 31, "d": {"transition_id": 5}}
    assert package[0] == 26


def test_what_was_found_while_the_connection_was_lost_is_said_after_the_resume() -> None:
    peer = EncryptingPeer()
    peer.client.opened(peer.now)
    peer.say(HELLO, READY, ENCRYPTED)
    peer.client.lost(None, peer.now)
    peer.events()
    assert peer.sent() == []
    peer.client.opened(peer.now)
    peer.say(HELLO)
    (resume,) = peer.sent()
    assert json.loads(resume)["op"] == 7
    peer.say({"op": 9, "d": None})
    assert [message[0] for message in peer.sent()] == [26]


def test_what_a_resume_repeats_needlessly_is_dropped() -> None:
    peer = EncryptingPeer()
    peer.client.opened(peer.now)
    peer.say(HELLO, READY, ENCRYPTED)
    peer.say_binary(65_534, binary.ExternalSender(ExternalSender(777).package()))
    peer.events()
    peer.say({"op": 11, "d": {"user_ids": ["1"]}, "seq": 65_535})
    peer.say({"op": 11, "d": {"user_ids": ["2"]}, "seq": 0})
    assert len(peer.events()) == 2
    peer.say({"op": 11, "d": {"user_ids": ["1"]}, "seq": 65_535})
    peer.say_binary(65_534, binary.Welcome(5, b"?"))
    assert peer.events() == []
    assert peer.client.counts["repeated"] == 2


@pytest.mark.parametrize("version", [-1, 2])
def test_a_version_that_was_not_offered_is_no_description(version: int) -> None:
    peer = EncryptingPeer()
    peer.client.opened(peer.now)
    peer.say(HELLO, READY, ENCRYPTED | {"d": ENCRYPTED["d"] | {"dave_protocol_version": version}})
    assert [type(event) for event in peer.events()] == [VoiceReady]
    plain = Peer()
    plain.client.opened(plain.now)
    plain.say(HELLO, READY, ENCRYPTED)
    assert [type(event) for event in plain.events()] == [VoiceReady]


def test_a_camera_tells_whose_voice_it_is() -> None:
    peer = Peer().described()
    peer.say({"op": 12, "d": {"user_id": "1", "audio_ssrc": 5, "video_ssrc": 6}, "seq": 1})
    peer.say({"op": 12, "d": {"user_id": "1", "audio_ssrc": 0}, "seq": 2})
    assert peer.events() == [UserSpeaking("1", 5, 0)]


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_binary_rubbish_is_never_raised(rubbish: list[bytes]) -> None:
    peer = EncryptingPeer()
    peer.client.opened(peer.now)
    peer.say(HELLO, READY, ENCRYPTED)
    peer.say_binary(0, binary.ExternalSender(ExternalSender(777).package()))
    for number, payload in enumerate(rubbish):
        peer.client.receive(payload, peer.now)
        peer.client.receive(bytes([0, number + 1, 25 + len(payload) % 6]) + payload, peer.now)
        peer.events()
        peer.sent()
