import pytest

from raccall.errors import RefusedError
from raccall.server.rooms import Member, Rooms

ANNA = Member(user_id=1, name="Anna")


@pytest.fixture
def rooms():
    rooms = Rooms(capacity=2)
    rooms.add(7, "lounge")
    return rooms


def refused(action):
    with pytest.raises(RefusedError) as error:
        action()
    return error.value.code


def test_join_change_leave(rooms):
    assert rooms.join(7, ANNA) is True
    assert rooms.join(7, Member(user_id=1, name="Anna", muted=True)) is False
    assert rooms.get(7).members[1].muted
    assert rooms.set_muted(7, 1, False) == ANNA
    assert rooms.leave(7, 1) is True
    assert rooms.leave(7, 1) is False
    assert rooms.leave(99, 1) is False
    assert refused(lambda: rooms.set_muted(7, 1, True)) == "not_in_call"


def test_a_name_is_taken_whatever_its_case_and_spaces(rooms):
    rooms.join(7, ANNA)
    assert refused(lambda: rooms.join(7, Member(user_id=2, name=" aNNa "))) == "name_taken"


def test_a_full_room_refuses_newcomers_but_not_its_members(rooms):
    rooms.join(7, ANNA)
    rooms.join(7, Member(user_id=2, name="Ben"))
    assert refused(lambda: rooms.join(7, Member(user_id=3, name="Cleo"))) == "room_full"
    assert refused(lambda: rooms.check_space(7)) == "room_full"
    assert rooms.join(7, ANNA) is False


def test_an_unknown_room(rooms):
    assert refused(lambda: rooms.join(8, ANNA)) == "room_unknown"
