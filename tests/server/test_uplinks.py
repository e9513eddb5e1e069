"""A recorder is told how much of each voice never reached the server; nobody else is."""

from raccall.server.announcements import UPLINKS_EVERY_MS
from raccall.server.uplinks import Uplinks
from raccall.wire import control

ROOM = 7


def joined(house, user_id, name, *, agrees=True, recorder=False):
    user = house.user(user_id, name, recorder=recorder)
    client = house.control(user)
    client.identify()
    house.voice().connect(user, client.join())
    if agrees and not recorder:
        client.send(control.SetConsent(room_id=str(ROOM), agree=True))
    return client


def told(client):
    return [message.loss_pct for message in client.take() if isinstance(message, control.UplinkLoss)]


def count(house, user_id, received, lost):
    session = next(session for session in house.calls._sessions.values() if session.user_id == user_id)
    house.relay.stats[session.id] = {"received": received, "lost": lost}


def test_only_a_recorder_is_told_and_of_the_last_seconds_only(house):
    anna, tape = joined(house, 1, "Anna"), joined(house, 2, "tape", recorder=True)
    for received, lost in ((1000, 100), (1200, 150), (1200, 150), (1400, 149)):
        count(house, 1, received, lost)
        house.wait(UPLINKS_EVERY_MS)
    assert told(tape) == [{}, {"1": 20.0}, {}, {"1": 0.0}]
    assert told(anna) == []


def test_who_did_not_agree_is_not_spoken_of(house):
    joined(house, 1, "Anna", agrees=False)
    tape = joined(house, 2, "tape", recorder=True)
    for received in (1000, 2000):
        count(house, 1, received, 100)
        house.wait(UPLINKS_EVERY_MS)
    assert told(tape) == [{}, {}]


def test_nothing_is_measured_while_nobody_records(house):
    joined(house, 1, "Anna")
    assert house.hub.get_timer() is None
    tape = joined(house, 2, "tape", recorder=True)
    assert house.hub.get_timer() is not None
    tape.send(control.LeaveRoom(room_id=str(ROOM)))
    house.wait(UPLINKS_EVERY_MS)
    assert house.hub.get_timer() is None


def test_it_has_no_number_and_is_not_repeated_after_a_resume(house):
    joined(house, 1, "Anna")
    tape = joined(house, 2, "tape", recorder=True)
    session = house.hub._audience.of_user(2)
    before = session.replay.next_number
    house.wait(UPLINKS_EVERY_MS)
    assert len(told(tape)) == 1
    assert session.replay.next_number == before


def test_a_new_voice_session_counts_anew():
    uplinks = Uplinks()
    assert uplinks.look({1: (100, 0)}) == {}
    assert uplinks.look({1: (30, 10)}) == {1: 25.0}
