"""Many who join in one moment: each is told of all in a few messages, and routes are planned once."""

from raccall.server.calls import PLANNED_AT_ONCE
from raccall.server.rooms import Member
from raccall.voice.gateway.messages import ClientsConnect, Opcode, parse_server_message, write_message
from raccall.wire import control

MANY = 60


def test_many_who_join_at_once_are_told_together(house):
    house.rooms._capacity = MANY
    settle, house.settle = house.settle, lambda: None
    users = [house.user(number, f"member {number}") for number in range(1, MANY + 1)]
    clients = [house.control(user) for user in users]
    voices = [house.voice() for _ in users]
    passes = []
    for client in clients:
        client.identify()
    for client in clients:
        passes.append(client.send(control.JoinRoom(room_id="7"))[-1])
    house.relay.take()
    for voice, user, server in zip(voices, users, passes, strict=True):
        voice.connect(user, server)
        if voice is voices[PLANNED_AT_ONCE]:
            house.relay.take()
    routes = [command for command in house.relay.take() if command[0] == "route"]
    own = [("route", number, list(range(1, number))) for number in range(PLANNED_AT_ONCE + 2, MANY + 1)]
    assert routes == own, "who comes is heard at once; what the others say reaches the last ones together, later"
    first, first_voice = clients[0], voices[0]
    assert not first.take() and not first_voice.take()
    settle()
    (together,) = first.take()
    assert isinstance(together, control.MembersChanged) and together.left == []
    assert [member.user_id for member in together.members] == [str(number) for number in range(2, MANY + 1)]
    others = [str(number) for number in range(2, MANY + 1)]
    assert first_voice.take() == [(Opcode.CLIENTS_CONNECT, {"user_ids": others})]
    routes = [command for command in house.relay.take() if command[0] == "route"]
    assert len(routes) == MANY - 1 and all(len(listeners) == MANY - 1 for _, _, listeners in routes)


def test_a_newcomer_to_a_crowd_is_heard_at_once(house):
    house.rooms._capacity = MANY
    members = [house.user(number, f"member {number}") for number in range(1, MANY + 1)]
    for user in members[:-1]:
        client = house.control(user)
        client.identify()
        house.voice().connect(user, client.join())
    last = house.control(members[-1])
    last.identify()
    server = last.join()
    house.settle = lambda: None
    house.relay.take()
    house.voice().connect(members[-1], server)
    (own,) = [command for command in house.relay.take() if command[0] == "route"][:1]
    assert own == ("route", MANY, list(range(1, MANY)))


def test_a_room_of_a_thousand_with_long_names_can_be_told_in_one_message(house):
    house.rooms._capacity = 1000
    for number in range(1, 1001):
        member = Member(user_id=2**62 + number, name=f"{number:04}" + "語" * 28, consent=control.Consent.YES)
        house.rooms.join(7, member)
    last = house.control(house.user(5, "last"))
    (ready,) = last.identify()
    assert len(control.write_message(ready)) > control.MAX_MESSAGE_BYTES
    assert len(ready.rooms[0].members) == 1000
    ids = [str(member.user_id) for member in house.rooms.get(7).members.values()]
    text = write_message(ClientsConnect(user_ids=ids), seq=0)
    assert parse_server_message(text).message.user_ids == ids


def test_who_came_and_went_meanwhile_is_not_told_of_as_there(house):
    house.rooms._capacity = MANY
    anna, ben, carl = (house.control(house.user(number, name)) for number, name in enumerate(("a", "b", "c"), 1))
    for client in (anna, ben, carl):
        client.identify()
    anna.join()
    anna.take()
    settle, house.settle = house.settle, lambda: None
    ben.send(control.JoinRoom(room_id="7"))
    carl.send(control.JoinRoom(room_id="7"))
    carl.send(control.LeaveRoom(room_id="7"))
    settle()
    told = anna.take()
    assert isinstance(told[0], control.MemberJoined)
    assert [(message.members, message.left) for message in told[1:]] == [([], ["3"])]


def test_a_recorder_is_never_told_of_before_it_is_there(house):
    anna, tape = house.control(house.user(1, "a")), house.control(house.user(2, "tape", recorder=True))
    anna.identify()
    tape.identify()
    house.settle = lambda: None
    anna.send(control.JoinRoom(room_id="7"))
    anna.take()
    tape.send(control.JoinRoom(room_id="7"))
    joined, recording = anna.take()
    assert (joined.member.user_id, list(recording.recording.recorders)) == ("2", ["2"])
