"""Voice sessions, in virtual time."""

import pytest

from raccall.server.keys import ADOPT_WITHIN_MS
from raccall.server.resuming import GRACE_MS
from raccall.server.routing import lane
from raccall.voice.gateway.messages import ClientSpeaking, CloseCode, Opcode, Resume
from raccall.voice.gateway.server import OFFERED_MODES

ROOM = 7


def member(house, user_id, name):
    """A member with control connection, joined: (client, VoiceServer)."""
    client = house.control(house.user(user_id, name))
    client.identify()
    return client, client.join()


def in_call(house, user_id, name):
    client, server = member(house, user_id, name)
    voice = house.voice()
    ssrc = voice.connect(client.user, server)
    return client, server, voice, ssrc


def test_the_relay_knows_a_session_before_ip_discovery_and_routes_it_after(house):
    anna, server = member(house, 1, "Anna")
    voice = house.voice()
    ((op, ready),) = voice.identify(anna.user, server)
    assert (op, ready["ip"], ready["port"]) == (Opcode.READY, "192.0.2.9", 7420)
    ((_, session, ssrc, mode, key),) = house.relay.take()
    assert (ssrc, mode, len(key)) == (ready["ssrc"], OFFERED_MODES[0], 32)
    (description, (_, who)) = voice.select(mode=OFFERED_MODES[1])
    assert description[1]["secret_key"] == list(key) and description[1]["mode"] == OFFERED_MODES[1]
    assert who == {"user_ids": []}
    rekeyed = ("add", session, ssrc, OFFERED_MODES[1], key)
    assert house.relay.take() == [rekeyed, ("address", session, ("192.0.2.1", 5000), True)]


@pytest.mark.parametrize(
    ("peer", "proven"),
    [("192.0.2.1", True), ("::ffff:192.0.2.1", True), ("192.0.2.2", False), ("fe80::1%eth0", False), (None, False)],
)
def test_only_the_address_of_the_tcp_connection_proves_that_of_the_voice(house, peer, proven):
    anna, server = member(house, 1, "Anna")
    voice = house.voice()
    voice.link.peer = peer
    voice.connect(anna.user, server)
    assert house.relay.take()[-1][-1] is proven


def test_a_late_joiner_is_told_who_is_there_and_whose_voice_is_whose(house):
    *_, early, ssrc = in_call(house, 1, "Anna")
    early.send(ClientSpeaking(speaking=1, ssrc=0))
    ben, server = member(house, 2, "Ben")
    late = house.voice()
    late.identify(ben.user, server)
    told = late.select()
    assert told[1:] == [
        (Opcode.CLIENTS_CONNECT, {"user_ids": ["1"]}),
        (Opcode.SPEAKING, {"user_id": "1", "ssrc": ssrc, "speaking": 1}),
    ]
    assert early.take() == [(Opcode.CLIENTS_CONNECT, {"user_ids": ["2"]})]
    assert [c for c in house.relay.take() if c[0] == "route"] == [("route", 2, [1]), ("route", 1, [2])]


def test_all_voices_of_a_room_have_its_lane(house):
    ssrcs = [in_call(house, user_id, name)[3] for user_id, name in [(1, "Anna"), (2, "Ben")]]
    assert ssrcs[0] != ssrcs[1]
    assert {ssrc % 256 for ssrc in ssrcs} == {lane(ROOM)}


def test_speaking_is_told_to_the_others_only(house):
    *_, anna, ssrc = in_call(house, 1, "Anna")
    *_, ben, _ = in_call(house, 2, "Ben")
    anna.take()
    assert anna.send(ClientSpeaking(speaking=5, ssrc=999)) == []
    assert ben.take() == [(Opcode.SPEAKING, {"user_id": "1", "ssrc": ssrc, "speaking": 5})]


def test_a_second_session_of_the_same_user_takes_over(house):
    anna, server, first, ssrc = in_call(house, 1, "Anna")
    *_, ben, _ = in_call(house, 2, "Ben")
    second = house.voice()
    new_ssrc = second.connect(anna.user, server)
    assert new_ssrc != ssrc
    assert first.closed_with is CloseCode.DISCONNECTED
    gone, come = ben.take()
    assert (gone, come) == (
        (Opcode.CLIENT_DISCONNECT, {"user_id": "1"}),
        (Opcode.CLIENTS_CONNECT, {"user_ids": ["1"]}),
    )
    first.lose(1006)
    assert len(house.calls) == 2, "the end of the old connection changes nothing"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"session_id": "other"}, CloseCode.SESSION_INVALID),
        ({"token": "other"}, CloseCode.AUTHENTICATION_FAILED),
        ({"token": "ü"}, CloseCode.AUTHENTICATION_FAILED),
        ({"user_id": "2"}, CloseCode.AUTHENTICATION_FAILED),
        ({"server_id": "8"}, CloseCode.SERVER_NOT_FOUND),
    ],
)
def test_a_wrong_identity_is_refused(house, changes, code):
    anna, server = member(house, 1, "Anna")
    voice = house.voice()
    assert voice.identify(anna.user, server, **changes) == []
    assert voice.closed_with is code
    assert house.relay.take() == [] and len(house.calls) == 0


def test_an_older_pass_is_worth_nothing(house):
    anna, old = member(house, 1, "Anna")
    anna.join()
    voice = house.voice()
    voice.identify(anna.user, old)
    assert voice.closed_with is CloseCode.SESSION_INVALID


def test_a_lost_connection_is_resumed_and_nothing_is_missed(house):
    _, server, anna, _ = in_call(house, 1, "Anna")
    anna.lose()
    *_, ben, ssrc = in_call(house, 2, "Ben")
    ben.send(ClientSpeaking(speaking=1, ssrc=ssrc))
    house.wait(GRACE_MS - 1)
    again = house.voice()
    told = again.send(Resume(server_id=str(ROOM), session_id=server.session_id, token=server.token, seq_ack=0))
    assert told == [
        (Opcode.RESUMED, None),
        (Opcode.CLIENTS_CONNECT, {"user_ids": ["2"]}),
        (Opcode.SPEAKING, {"user_id": "2", "ssrc": ssrc, "speaking": 1}),
    ]
    house.wait(GRACE_MS)
    assert len(house.calls) == 2 and again.closed_with is None


def test_a_resume_replaces_a_connection_that_the_server_still_believes_in(house):
    _, server, old, _ = in_call(house, 1, "Anna")
    new = house.voice()
    new.send(Resume(server_id=str(ROOM), session_id=server.session_id, token=server.token, seq_ack=-1))
    assert old.closed_with is CloseCode.DISCONNECTED and new.closed_with is None
    old.lose(1006)
    assert len(house.calls) == 1 and house.calls.get_timer() is None


@pytest.mark.parametrize("changes", [{"session_id": "x"}, {"token": "x"}, {"seq_ack": 99}])
def test_a_wrong_resume_is_refused(house, changes):
    _, server, anna, _ = in_call(house, 1, "Anna")
    anna.lose()
    fields = {"server_id": str(ROOM), "session_id": server.session_id, "token": server.token, "seq_ack": -1}
    again = house.voice()
    again.send(Resume(**(fields | changes)))
    assert again.closed_with is CloseCode.SESSION_INVALID


def test_a_session_that_is_not_resumed_in_time_is_over(house):
    _, server, anna, _ = in_call(house, 1, "Anna")
    *_, ben, _ = in_call(house, 2, "Ben")
    anna.lose()
    assert house.hub.get_timer() is not None
    house.wait(GRACE_MS)
    assert ben.take() == [(Opcode.CLIENT_DISCONNECT, {"user_id": "1"})]
    assert house.relay.take()[-2:] == [("route", 2, []), ("remove", 1)]
    again = house.voice()
    again.send(Resume(server_id=str(ROOM), session_id=server.session_id, token=server.token, seq_ack=-1))
    assert again.closed_with is CloseCode.SESSION_INVALID


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_goodbye_ends_the_session_at_once(house, code):
    *_, anna, _ = in_call(house, 1, "Anna")
    anna.lose(code)
    assert len(house.calls) == 0


def test_a_client_that_broke_the_protocol_is_not_kept(house):
    *_, anna, _ = in_call(house, 1, "Anna")
    anna.link.core.receive("nonsense", house.now)
    anna.lose(1006)
    assert len(house.calls) == 0


def test_one_who_never_got_a_key_is_not_kept(house):
    anna, server = member(house, 1, "Anna")
    voice = house.voice()
    voice.identify(anna.user, server)
    voice.lose()
    assert len(house.calls) == 0 and house.relay.take()[-1] == ("remove", 1)


def test_leaving_the_room_ends_the_voice_session_and_its_pass(house):
    anna, server, voice, _ = in_call(house, 1, "Anna")
    house.calls.revoke(1, ROOM)
    assert voice.closed_with is CloseCode.DISCONNECTED
    again = house.voice()
    again.identify(anna.user, server)
    assert again.closed_with is CloseCode.SESSION_INVALID


def test_a_session_whose_nonces_end_is_given_a_new_key(house):
    _, _, voice, ssrc = in_call(house, 1, "Anna")
    session = house.relay.take()[-1][1]
    house.calls.renew_keys(house.now)
    assert house.relay.take() == [] and voice.take() == []
    house.relay.stats[session] = {"needs_rekey": 1}
    house.calls.renew_keys(house.now)
    ((add, known, same_ssrc, mode, key),) = house.relay.take()
    assert (add, known, same_ssrc, mode) == ("add", session, ssrc, OFFERED_MODES[0])
    ((opcode, description),) = voice.take()
    assert opcode is Opcode.SESSION_DESCRIPTION and description["secret_key"] == list(key)
    house.relay.stats[session] = {"needs_rekey": 0, "rekeying": 0}
    house.wait(60_000)
    house.calls.renew_keys(house.now)
    assert house.relay.take() == [] and voice.closed_with is None


def test_who_ignores_a_new_key_has_to_begin_anew(house):
    _, _, voice, _ = in_call(house, 1, "Anna")
    session = house.relay.take()[-1][1]
    house.relay.stats[session] = {"needs_rekey": 1, "rekeying": 1}
    house.calls.renew_keys(house.now)
    house.relay.stats[session] = {"needs_rekey": 0, "rekeying": 1}
    house.wait(ADOPT_WITHIN_MS - 1)
    house.calls.renew_keys(house.now)
    assert voice.closed_with is None
    house.wait(1)
    house.calls.renew_keys(house.now)
    assert voice.closed_with is CloseCode.SESSION_INVALID


def test_a_client_that_spoils_every_key_gets_one_in_ten_seconds(house):
    _, _, _, _ = in_call(house, 1, "Anna")
    session = house.relay.take()[-1][1]
    given = 0
    for step in range(60):
        house.relay.stats[session] = {"needs_rekey": 1 + step}  # the counter behind it counts up
        house.calls.renew_keys(house.now)
        house.wait(500)
        given += len(house.relay.take())
    assert given == 3


def test_a_key_that_changed_while_the_connection_was_lost_is_told_at_resume(house):
    _, server, voice, _ = in_call(house, 1, "Anna")
    session = house.relay.take()[-1][1]
    voice.lose()
    house.relay.stats[session] = {"needs_rekey": 1}
    house.calls.renew_keys(house.now)
    key = house.relay.take()[0][4]
    again = house.voice()
    token = {"server_id": server.room_id, "session_id": server.session_id, "token": server.token}
    came = again.send(Resume(**token, seq_ack=0))
    assert [opcode for opcode, _ in came] == [Opcode.RESUMED, Opcode.SESSION_DESCRIPTION]
    assert came[1][1]["secret_key"] == list(key)
