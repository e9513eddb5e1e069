"""Control sessions and rooms, in virtual time."""

import pytest

from raccall.errors import RefusedError
from raccall.server.resuming import GRACE_MS
from raccall.voice.gateway.messages import CloseCode
from raccall.wire import control
from raccall.wire.control import MemberInfo, RoomInfo

ROOM = 7


def client(house, user_id, name, **more):
    client = house.control(house.user(user_id, name, **more))
    client.identify()
    return client


def codes(messages):
    return [message.code for message in messages]


ANNA = MemberInfo(user_id="1", name="Anna")


def test_ready_shows_the_room_as_it_is(house):
    client(house, 1, "Anna").join()
    ben = house.control(house.user(2, "Ben"))
    (ready,) = ben.identify()
    assert (ready.user_id, ready.name) == ("2", "Ben")
    assert ready.rooms == [RoomInfo(room_id=str(ROOM), name="lounge", members=[ANNA])]


def test_joins_mutes_and_leaves_are_seen_by_all_of_the_room_and_nobody_else(house):
    anna, ben = client(house, 1, "Anna"), client(house, 2, "Ben", recorder=True)
    other = client(house, 3, "Cleo", room_id=ROOM + 1)
    anna.join()
    server = ben.join(muted=True)
    assert (server.endpoint, server.room_id) == ("192.0.2.9:7420", str(ROOM))
    ben.send(control.SetMuted(room_id=str(ROOM), muted=False))
    ben.send(control.LeaveRoom(room_id=str(ROOM)))
    seen = [(type(m).__name__, getattr(m, "member", None), m.seq) for m in anna.take()]
    recorder = MemberInfo(user_id="2", name="Ben", recording=True)
    muted = MemberInfo(user_id="2", name="Ben", recording=True, muted=True)
    assert seen == [
        ("MemberJoined", muted, 3),
        ("RecordingChanged", None, 4),
        ("MemberUpdated", recorder, 5),
        ("MemberLeft", None, 6),
        ("RecordingChanged", None, 7),
    ]
    assert other.take() == []


def test_who_hears_nobody_is_shown_and_comes_back_so(house):
    anna, ben = client(house, 1, "Anna"), client(house, 2, "Ben")
    anna.join()
    ben.join()
    anna.take()
    ben.send(control.SetDeafened(room_id=str(ROOM), deafened=True))
    (told,) = anna.take()
    assert told.member == MemberInfo(user_id="2", name="Ben", deafened=True)
    ben.send(control.JoinRoom(room_id=str(ROOM), muted=True, deafened=True))
    (told,) = anna.take()
    assert told.member == MemberInfo(user_id="2", name="Ben", muted=True, deafened=True)
    ben.send(control.SetDeafened(room_id=str(ROOM), deafened=False))
    assert not anna.take()[-1].member.deafened


def test_what_is_refused_says_why(house):
    anna = client(house, 1, "Anna")
    room = str(ROOM)
    assert codes(anna.send(control.SetMuted(room_id=room, muted=True))) == ["not_in_call"]
    assert codes(anna.send(control.SetDeafened(room_id=room, deafened=True))) == ["not_in_call"]
    assert codes(anna.send(control.JoinRoom(room_id=str(ROOM + 1)))) == ["room_unknown"]
    assert codes(anna.send(control.JoinRoom(room_id="x"))) == ["room_unknown"]
    assert anna.send(control.LeaveRoom(room_id=room)) == []
    for user_id in (2, 3):
        client(house, user_id, f"user {user_id}").join()
    anna.take()
    assert codes(anna.send(control.JoinRoom(room_id=room))) == ["room_full"]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 4001])
def test_a_line_has_a_length(house, text):
    anna = client(house, 1, "Anna")
    assert house.hub.line_allowed(anna.link, str(ROOM), text) is None
    assert codes(anna.take()) == ["text_malformed"]
    assert house.hub.line_allowed(anna.link, str(ROOM), "hello") == anna.user


def test_two_people_cannot_have_one_name_but_a_lost_connection_gives_it_up(house):
    first = client(house, 1, "Anna")
    first.join()
    with pytest.raises(RefusedError):
        house.hub.check_guest(house.user(9, "ANNA"))
    second = house.control(house.user(2, "anna"))
    assert codes(second.identify()) == ["name_taken"]
    assert second.closed_with is CloseCode.AUTHENTICATION_FAILED
    first.lose()
    third = client(house, 3, "anna")
    assert third.closed_with is None
    assert house.rooms.get(ROOM).members == {}


def test_the_same_user_again_takes_over(house):
    first = client(house, 1, "Anna")
    server = first.join()
    voice = house.voice()
    voice.connect(first.user, server)
    second = client(house, 1, "Anna")
    assert first.closed_with is CloseCode.DISCONNECTED and voice.closed_with is CloseCode.DISCONNECTED
    first.lose(1006)
    assert len(house.hub) == 1 and second.closed_with is None


def test_a_lost_connection_is_resumed_and_nothing_is_missed(house):
    anna = house.control(house.user(1, "Anna"))
    (ready,) = anna.identify()
    server = anna.join()
    anna.lose()
    ben = client(house, 2, "Ben")
    ben.join()
    house.wait(GRACE_MS - 1)
    again = house.control(anna.user)
    resume = control.Resume(token=anna.token, session_id=ready.session_id, seq=server.seq - 1)
    resumed, voice_again, joined = again.send(resume)
    assert resumed == control.Resumed() and voice_again == server
    assert joined.member.name == "Ben"
    house.wait(GRACE_MS)
    assert len(house.hub) == 2
    assert set(house.rooms.get(ROOM).members) == {1, 2}


def test_a_resume_replaces_a_connection_that_the_server_still_believes_in(house):
    anna = house.control(house.user(1, "Anna"))
    (ready,) = anna.identify()
    again = house.control(anna.user)
    again.send(control.Resume(token=anna.token, session_id=ready.session_id, seq=0))
    assert anna.closed_with is CloseCode.DISCONNECTED
    anna.lose(1006)
    assert len(house.hub) == 1 and house.hub.get_timer() is None


def test_a_refused_resume_may_identify_on_the_same_connection(house):
    anna = client(house, 1, "Anna")
    for _ in range(400):  # more than the replay buffer keeps
        house.hub._audience.tell_room(ROOM, control.MemberLeft(room_id=str(ROOM), user_id="9"))
    anna.lose()
    again = house.control(anna.user)
    for session_id, seq in (("x", 0), (next(iter(house.hub._audience)).id, 3)):
        resume = control.Resume(token=anna.token, session_id=session_id, seq=seq)
        assert codes(again.send(resume)) == ["session_invalid"]
    (ready,) = again.identify()
    assert ready.user_id == "1" and again.closed_with is None


def test_one_who_is_not_resumed_in_time_leaves_the_call(house):
    anna, ben = client(house, 1, "Anna"), client(house, 2, "Ben")
    voice = house.voice()
    voice.connect(anna.user, anna.join())
    ben.take()
    anna.lose()
    house.wait(GRACE_MS)
    (left,) = ben.take()
    assert (type(left), left.user_id) == (control.MemberLeft, "1")
    assert voice.closed_with is CloseCode.DISCONNECTED and len(house.calls) == 0


def test_a_goodbye_leaves_at_once(house):
    anna, ben = client(house, 1, "Anna"), client(house, 2, "Ben")
    anna.join()
    ben.take()
    anna.lose(1001)
    assert [m.user_id for m in ben.take()] == ["1"]


def test_a_slow_reader_is_cut_off_and_may_resume(house):
    anna = client(house, 1, "Anna")
    for _ in range(1001):
        house.hub._audience.tell_room(ROOM, control.MemberLeft(room_id=str(ROOM), user_id="9"))
    assert anna.closed_with is CloseCode.SERVER_CRASHED
    anna.lose(1006)
    assert len(house.hub) == 1


def test_silence_and_floods_end_a_connection(house):
    silent, loud = client(house, 1, "Anna"), client(house, 2, "Ben")
    silent.link.core.handle_timer(silent.link.core.get_timer())
    assert silent.closed_with is CloseCode.SESSION_TIMEOUT
    for nonce in range(100):
        loud.send(control.Heartbeat(nonce=nonce))
    assert loud.closed_with is CloseCode.RATE_LIMITED


def test_a_token_of_another_server_is_refused(house):
    stranger = house.control(house.user(1, "Anna"))
    other = house.control(house.user(1, "Anna"))
    other.token = stranger.token[:-3] + "abc"
    assert codes(other.identify()) == ["token_invalid"]
    assert other.closed_with is CloseCode.AUTHENTICATION_FAILED
