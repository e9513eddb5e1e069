"""The control connection's core, in virtual time."""

import json

import pytest

from raccall.client import events
from raccall.client.session import ControlSession
from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.gateway.heartbeat import HELLO_TIMEOUT_MS
from raccall.wire import control
from raccall.wire.control import (
    Consent,
    EncryptionPolicy,
    EncryptionState,
    MemberInfo,
    RecordingPolicy,
    RecordingState,
    RoomInfo,
)

HEARTBEAT_MS = 10_000
ANNA = MemberInfo(user_id="1", name="anna")
BEN = MemberInfo(user_id="2", name="ben")
TAPE = MemberInfo(user_id="3", name="tape", recording=True)
HELLO = control.Hello(heartbeat_interval_ms=HEARTBEAT_MS)
READY = control.Ready(
    session_id="s1", user_id="1", name="anna", rooms=[RoomInfo(room_id="9", name="lounge", members=[BEN])], seq=1
)


class Peer:
    """A client core and what a server would say to it."""

    def __init__(self) -> None:
        self.now = Nanos(5_000)
        self.session = ControlSession("guest-token")

    def say(self, *messages: control.ServerMessage) -> None:
        for message in messages:
            self.session.receive(control.write_message(message), self.now)

    def heard(self) -> list[control.ClientMessage]:
        return [control.parse_client_message(line) for line in self.session.to_send(self.now)]

    def events(self) -> list[events.Event]:
        return list(iter(self.session.next_event, None))

    def pass_ms(self, ms: float) -> None:
        self.now = Nanos(self.now + int(ms * NANOS_PER_MS))
        self.session.handle_timer(self.now)

    def identified(self) -> "Peer":
        self.session.opened(self.now)
        self.say(HELLO, READY)
        self.heard()
        self.events()
        return self


def test_identify_join_and_the_way_to_the_voice_server() -> None:
    peer = Peer()
    peer.session.opened(peer.now)
    assert peer.heard() == []
    peer.say(HELLO)
    assert peer.heard() == [control.Identify(token="guest-token")]
    peer.say(READY)
    assert peer.events() == [events.Identified("1", "anna")]
    assert peer.session.user_id == "1"
    peer.session.join_room("9", muted=True)
    assert peer.heard() == [control.JoinRoom(room_id="9", muted=True)]
    peer.say(control.VoiceServer(room_id="9", endpoint="host:1", token="t", session_id="v", seq=2))
    assert peer.events() == [events.VoiceServerGiven("9", "host:1", "t", "v", RecordingState(), EncryptionState())]


def test_the_mirror_shows_who_is_here_who_records_and_who_is_muted() -> None:
    peer = Peer().identified()
    quiet = MemberInfo(user_id="2", name="ben", muted=True)
    peer.say(
        control.MemberJoined(room_id="9", member=TAPE, seq=2),
        control.MemberUpdated(room_id="9", member=quiet, seq=3),
        control.MemberUpdated(room_id="9", member=quiet, seq=4),
    )
    assert peer.events() == [events.MemberJoined("9", TAPE), events.MemberChanged("9", BEN, quiet)]
    assert peer.session.rooms.members("9") == {"2": quiet, "3": TAPE}
    assert peer.session.rooms.recorders("9") == (TAPE,)
    assert (peer.session.rooms.name("9"), peer.session.rooms.name("10")) == ("lounge", "10")
    peer.say(control.MemberLeft(room_id="9", user_id="3", seq=5), control.MemberLeft(room_id="9", user_id="3", seq=6))
    assert peer.events() == [events.MemberLeft("9", TAPE)]
    assert peer.session.rooms.recorders("9") == ()


def test_lines_carry_a_nonce_that_comes_back() -> None:
    peer = Peer().identified()
    first, second = peer.session.say("9", "hi"), peer.session.say("9", "there")
    assert first != second
    assert [line.nonce for line in peer.heard() if isinstance(line, control.Say)] == [first, second]
    peer.say(
        control.TextMessage(message_id="5", room_id="9", user_id="1", name="anna", text="hi", wall="w", nonce=first)
    )
    assert peer.events() == [events.TextReceived("9", "1", "anna", "hi", "w", first)]


def test_mute_and_leave_are_told() -> None:
    peer = Peer().identified()
    peer.session.set_muted("9", True)
    peer.session.set_deafened("9", True)
    peer.session.leave_room("9")
    muted, deafened = control.SetMuted(room_id="9", muted=True), control.SetDeafened(room_id="9", deafened=True)
    assert peer.heard() == [muted, deafened, control.LeaveRoom(room_id="9")]


def test_a_lost_connection_is_resumed_and_repeats_are_dropped() -> None:
    peer = Peer().identified()
    peer.say(control.MemberJoined(room_id="9", member=TAPE, seq=2))
    peer.events()
    peer.session.lost(None, peer.now)
    assert peer.events() == [events.ConnectionLost("connection_broken", "The connection to the server broke.")]
    peer.session.opened(peer.now)
    peer.say(HELLO)
    assert peer.heard() == [control.Resume(token="guest-token", session_id="s1", seq=2)]
    peer.say(
        control.Resumed(),
        control.MemberJoined(room_id="9", member=TAPE, seq=2),
        control.MemberLeft(room_id="9", user_id="2", seq=3),
    )
    assert peer.events() == [events.Resumed(), events.MemberLeft("9", BEN)]


@pytest.mark.parametrize(
    ("code", "expected", "final"), [(1001, "server_stopped", False), (4014, "session_replaced", True)]
)
def test_close_codes_with_a_meaning(code: int, expected: str, final: bool) -> None:
    peer = Peer().identified()
    peer.session.lost(code, peer.now)
    (event,) = peer.events()
    assert isinstance(event, events.ConnectionLost)
    assert (event.code, event.final) == (expected, final)


def test_a_refused_resume_begins_anew() -> None:
    peer = Peer().identified()
    peer.session.lost(None, peer.now)
    peer.session.opened(peer.now)
    peer.say(HELLO, control.Refused(code="session_unknown", sentence="This session is over."))
    assert peer.heard()[-1] == control.Identify(token="guest-token")
    peer.events()
    rooms = [RoomInfo(room_id="9", name="lounge", members=[TAPE])]
    peer.say(control.Ready(session_id="s2", user_id="1", name="anna", rooms=rooms))
    assert peer.events() == [
        events.Identified("1", "anna"),
        events.MemberLeft("9", BEN),
        events.MemberJoined("9", TAPE),
    ]
    assert list(peer.session.rooms.members("9")) == ["3"]


def test_a_refused_identify_is_the_end() -> None:
    peer = Peer()
    peer.session.opened(peer.now)
    peer.say(HELLO, control.Refused(code="token_invalid", sentence="The token is wrong."))
    assert peer.events() == [events.ConnectionLost("token_invalid", "The token is wrong.", final=True)]


def test_later_refusals_are_events() -> None:
    peer = Peer().identified()
    peer.say(control.Refused(code="room_full", sentence="The room is full."))
    assert peer.events() == [events.Refused("room_full", "The room is full.")]


def test_heartbeats_and_a_silent_server() -> None:
    peer = Peer().identified()
    peer.pass_ms(HEARTBEAT_MS)
    assert peer.heard() == [control.Heartbeat(nonce=1)]
    peer.pass_ms(25)
    peer.say(control.HeartbeatAck(nonce=1))
    assert peer.session.round_trip_ms == 25
    peer.pass_ms(HEARTBEAT_MS - 25)
    assert peer.heard() == [control.Heartbeat(nonce=2)]
    peer.say(control.HeartbeatAck(nonce=1))  # an old one is no answer
    peer.pass_ms(HEARTBEAT_MS)
    assert peer.events() == [events.ConnectionLost("server_silent", "The server stopped answering.")]
    assert peer.session.get_timer() is None


def test_a_server_that_never_says_hello_is_given_up() -> None:
    peer = Peer()
    peer.session.opened(peer.now)
    peer.pass_ms(HELLO_TIMEOUT_MS)
    assert peer.events() == [events.ConnectionLost("server_silent", "The server stopped answering.")]


@pytest.mark.parametrize("data", ["", "{", "[]", b"\xff", json.dumps({"type": "hello", "heartbeat_interval_ms": -1})])
def test_hostile_messages_are_counted_and_change_nothing(data: str | bytes) -> None:
    peer = Peer().identified()
    timer = peer.session.get_timer()
    peer.session.receive(data, peer.now)
    assert peer.session.counts["malformed"] == 1
    assert (peer.events(), peer.heard(), peer.session.get_timer()) == ([], [], timer)


def test_nothing_is_sent_or_heard_without_a_connection() -> None:
    peer = Peer()
    peer.session.join_room("9")
    peer.say(HELLO)
    peer.session.lost(None, peer.now)
    assert (peer.heard(), peer.events()) == ([], [])


def test_a_recorder_that_comes_and_goes_and_an_answer_are_told() -> None:
    peer = Peer().identified()
    recorded = RecordingState(recorders={"3": "tape"}, since="2026-11-21T12:00:00Z")
    agreed = MemberInfo(user_id="2", name="ben", consent=Consent.YES, kept=True)
    peer.say(
        control.RecordingChanged(room_id="9", recording=recorded, seq=2),
        control.MemberUpdated(room_id="9", member=agreed, seq=3),
        control.RecordingChanged(room_id="9", recording=RecordingState(policy=RecordingPolicy.OFF), seq=4),
    )
    assert peer.events() == [
        events.RecordingStarted("9", "3", "tape"),
        events.ConsentChanged("9", BEN, agreed),
        events.RecordingStopped("9", "3", "tape"),
        events.RecordingPolicyChanged("9", RecordingState(policy=RecordingPolicy.OFF)),
    ]
    peer.session.set_consent("9", True)
    assert peer.heard() == [control.SetConsent(room_id="9", agree=True)]


def test_what_changed_while_nobody_could_tell_us_is_told_after_identifying_anew() -> None:
    peer = Peer().identified()
    peer.session.lost(1006, peer.now)
    peer.session.opened(peer.now)
    peer.say(HELLO, control.Refused(code="session_invalid", sentence="It is over."))
    agreed = MemberInfo(user_id="2", name="ben", consent=Consent.YES, kept=True)
    room = RoomInfo(room_id="9", name="lounge", members=[agreed], recording=RecordingState(recorders={"3": "tape"}))
    peer.say(control.Ready(session_id="s2", user_id="1", name="anna", rooms=[room], seq=1))
    told = peer.events()
    assert events.ConsentChanged("9", BEN, agreed) in told and events.RecordingStarted("9", "3", "tape") in told
    assert peer.session.rooms.recording("9").recorders == {"3": "tape"}


def test_many_changes_in_one_message_are_the_same_events() -> None:
    peer = Peer().identified()
    quiet, carl = MemberInfo(user_id="2", name="ben", muted=True), MemberInfo(user_id="4", name="carl")
    peer.say(control.MemberJoined(room_id="9", member=TAPE, seq=2))
    peer.events()
    peer.say(control.MembersChanged(room_id="9", members=[quiet, carl, carl], left=["3", "77"], seq=3))
    assert peer.events() == [
        events.MemberLeft("9", TAPE),
        events.MemberChanged("9", BEN, quiet),
        events.MemberJoined("9", carl),
    ]


def test_because_of_whom_a_call_is_in_clear() -> None:
    peer = Peer().identified()
    state = EncryptionState(policy=EncryptionPolicy.PREFERRED, without=["2", "77"])
    peer.say(control.EncryptionChanged(room_id="9", encryption=state, seq=5))
    assert peer.events() == [events.EncryptionPolicyChanged("9", EncryptionPolicy.PREFERRED, ("ben", "77"))]
    assert peer.session.rooms.encryption("9") == state
    peer.say(control.EncryptionChanged(room_id="9", encryption=state, seq=6))
    assert peer.events() == []
