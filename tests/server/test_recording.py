"""A room's recording policy and what its members answer, in virtual time; the relay only remembers."""

import json

import pytest

from raccall.server.control import ControlGatewayServer
from raccall.voice.gateway.messages import CloseCode
from raccall.wire import control
from raccall.wire.control import Consent, RecordingPolicy, RecordingState

ROOM = 7
ASK, OFF, AUTOMATIC = RecordingPolicy.ASK, RecordingPolicy.OFF, RecordingPolicy.AUTOMATIC


def client(house, user_id, name, **more):
    client = house.control(house.user(user_id, name, **more))
    client.identify()
    return client


def in_call(house, user_id, name, *, consent=Consent.UNDECIDED, **more):
    """A control connection whose user has a voice in the call."""
    member = client(house, user_id, name, **more)
    server = member.send(control.JoinRoom(room_id=str(ROOM), consent=consent))[-1]
    assert isinstance(server, control.VoiceServer)
    house.voice().connect(member.user, server)
    member.server = server
    member.take()
    return member


def consent(member, agree):
    return member.send(control.SetConsent(room_id=str(ROOM), agree=agree))


def kinds(messages):
    return [type(message).__name__ for message in messages]


def codes(messages):
    return [message.code for message in messages if isinstance(message, control.Refused)]


def routes(house):
    """session id → whom it is sent to, of the newest table."""
    return {session_id: entry.destinations for session_id, entry in house.calls.forwarding.table.items()}


def appointed(house, user_id=9, name="tape"):
    user = house.user(user_id, name, recorder=True)
    own = type(user)(id=user.id, name=user.name, recorder=True, room_id=ROOM, appointed=True)
    member = house.control(own)
    member.identify()
    return member


@pytest.mark.parametrize(
    ("policy", "answer", "kept"),
    [
        (ASK, Consent.UNDECIDED, False),
        (ASK, Consent.NO, False),
        (ASK, Consent.YES, True),
        (AUTOMATIC, Consent.UNDECIDED, True),
        (AUTOMATIC, Consent.NO, False),
        (AUTOMATIC, Consent.YES, True),
    ],
)
def test_what_reaches_a_recorder_is_decided_by_policy_and_answer(house, policy, answer, kept):
    house.hub.set_policy(ROOM, policy, None)
    anna = in_call(house, 1, "Anna", consent=answer)
    assert anna.server.recording.policy is policy, "told before there is a voice session"
    tape = appointed(house)
    house.voice().connect(tape.user, tape.join())
    assert routes(house) == {1: (2,) if kept else (), 2: (1,)}
    assert house.rooms.get(ROOM).members[1].consent is answer


def test_an_answer_is_one_change_of_the_table_and_is_told_to_all(house):
    anna = in_call(house, 1, "Anna")
    tape = in_call(house, 2, "tape", recorder=True)
    anna.take()
    house.relay.take()
    (told,) = consent(anna, True)
    assert (told.member.consent, told.member.kept) == (Consent.YES, True)
    assert house.relay.take() == [("route", 1, [2])]
    assert [message.member for message in tape.take()] == [told.member]
    consent(anna, False)
    assert house.relay.take() == [("route", 1, [])]
    assert consent(anna, False) == [] and house.relay.take() == []


def test_answers_from_outside_of_the_call_are_refused_by_code(house):
    anna = client(house, 1, "Anna")
    assert codes(consent(anna, True)) == ["not_in_call"]
    for room_id in ("x", "8", str(1 << 70), ""):
        assert codes(anna.send(control.SetConsent(room_id=room_id, agree=True))) == ["room_unknown"]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "set_consent", "room_id": "7"},
        {"type": "set_consent", "room_id": "7", "agree": "yes"},
        {"type": "set_consent", "room_id": "7", "agree": 1},
        {"type": "set_consent", "room_id": 7, "agree": True},
        {"type": "set_consent", "room_id": "7", "agree": None},
        {"type": "join_room", "room_id": "7", "consent": "always"},
        {"type": "join_room", "room_id": "7", "consent": ["yes"]},
        {"type": "consent_of", "room_id": "7", "user_id": "1", "agree": True},
    ],
)
def test_a_hostile_answer_closes_its_connection_and_changes_nothing(house, message):
    anna = in_call(house, 1, "Anna")
    anna.link.core.receive(json.dumps(message), house.now)
    assert anna.closed_with is CloseCode.DECODE_ERROR and anna.link.core.next_event() is None


def test_nobody_answers_before_identifying(house):
    core = ControlGatewayServer(house.now)
    core.receive(control.write_message(control.SetConsent(room_id=str(ROOM), agree=True)), house.now)
    assert core.close_code is CloseCode.NOT_AUTHENTICATED


def test_where_recording_is_off_a_recorder_is_refused_and_one_who_is_there_has_to_go(house):
    tape = in_call(house, 2, "tape", recorder=True)
    anna = in_call(house, 1, "Anna", consent=Consent.YES)
    assert routes(house) == {1: (2,), 2: (1,)}
    house.hub.set_policy(ROOM, OFF, None)
    assert routes(house) == {2: ()}
    assert codes(tape.take()) == ["recording_off"]
    assert kinds(anna.take()) == ["MemberLeft", "RecordingChanged", "MemberUpdated", "RecordingChanged"]
    assert codes(tape.send(control.JoinRoom(room_id=str(ROOM)))) == ["recording_off"]
    house.hub.set_policy(ROOM, ASK, None)
    assert codes(tape.send(control.JoinRoom(room_id=str(ROOM)))) == []


def test_only_the_servers_own_recorder_comes_to_an_automatic_room(house):
    house.hub.set_policy(ROOM, AUTOMATIC, 30)
    stranger = client(house, 2, "stranger", recorder=True)
    assert codes(stranger.send(control.JoinRoom(room_id=str(ROOM)))) == ["recording_reserved"]
    assert appointed(house).join().recording.retention_days == 30


def test_who_was_there_before_the_policy_changed_is_asked_and_not_kept(house):
    anna = in_call(house, 1, "Anna")
    house.hub.set_policy(ROOM, AUTOMATIC, None)
    tape = appointed(house)
    house.voice().connect(tape.user, tape.join())
    assert routes(house) == {1: (), 2: (1,)}
    consent(anna, True)
    assert routes(house) == {1: (2,), 2: (1,)}
    house.hub.set_policy(ROOM, ASK, None)
    in_call(house, 3, "Ben")
    assert routes(house) == {1: (2, 3), 2: (1, 3), 3: (1,)}


def test_the_state_says_who_records_and_since_when(house):
    anna = in_call(house, 1, "Anna")
    assert anna.server.recording == RecordingState()
    in_call(house, 2, "tape", recorder=True)
    _, changed = anna.take()
    assert changed.recording.recorders == {"2": "tape"} and changed.recording.since is not None
    second = in_call(house, 3, "tape two", recorder=True)
    assert anna.take()[-1].recording.since == changed.recording.since
    second.send(control.LeaveRoom(room_id=str(ROOM)))
    assert anna.take()[-1].recording == changed.recording


def test_a_recorder_takes_nobodys_place(house):
    in_call(house, 2, "tape", recorder=True)
    in_call(house, 1, "Anna")
    in_call(house, 3, "Ben")
    full = client(house, 4, "Cleo")
    assert codes(full.send(control.JoinRoom(room_id=str(ROOM)))) == ["room_full"]
    in_call(house, 5, "tape two", recorder=True)
    third = client(house, 6, "tape three", recorder=True)
    assert codes(third.send(control.JoinRoom(room_id=str(ROOM)))) == ["room_full"]


def test_lines_reach_a_recorder_like_voices_do(house):
    anna = in_call(house, 1, "Anna")
    tape, ben = in_call(house, 2, "tape", recorder=True), in_call(house, 3, "Ben")
    for user_id in ("1", "2"):
        line = control.TextMessage(message_id="1", room_id=str(ROOM), user_id=user_id, name="x", text="hi", wall="")
        house.hub.tell_line(ROOM, line)
    assert [m.user_id for m in tape.take() if isinstance(m, control.TextMessage)] == ["2"]
    assert [m.user_id for m in ben.take() if isinstance(m, control.TextMessage)] == ["1", "2"]
    consent(anna, True)
    house.hub.tell_line(ROOM, control.TextMessage(**{**vars_of(line), "user_id": "1"}))
    assert [m.user_id for m in tape.take() if isinstance(m, control.TextMessage)] == ["1"]


def vars_of(message):
    return {name: getattr(message, name) for name in message.__struct_fields__}
