from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.errors import RefusedError
from raccall.server.tokens import Tokens, User

WALL = datetime(2026, 11, 21, tzinfo=UTC)
ANNA = User(id=1, name="Änna", recorder=True, room_id=2)
tokens = Tokens(b"secret")


def refused(action):
    with pytest.raises(RefusedError) as error:
        action()
    return error.value.code


def test_what_was_signed_is_believed():
    assert tokens.read_guest(tokens.guest(ANNA)) == ANNA
    assert tokens.read_invite(tokens.invite(7, WALL + timedelta(days=1)), WALL) == 7
    tokens.check_owner(Tokens(b"secret").owner)


def test_an_invite_expires_on_the_second():
    invite = tokens.invite(7, WALL)
    assert tokens.read_invite(invite, WALL - timedelta(seconds=1)) == 7
    assert refused(lambda: tokens.read_invite(invite, WALL)) == "invite_expired"


def test_one_kind_is_not_another_and_one_server_not_another():
    assert refused(lambda: tokens.read_guest(tokens.invite(7, WALL))) == "token_invalid"
    assert refused(lambda: tokens.read_invite(tokens.guest(ANNA), WALL)) == "invite_invalid"
    assert refused(lambda: Tokens(b"other").read_guest(tokens.guest(ANNA))) == "token_invalid"
    assert refused(lambda: tokens.check_owner(Tokens(b"other").owner)) == "not_owner"


def test_a_token_from_before_there_were_bots_is_still_good():
    old = tokens._guests.dumps([ANNA.id, ANNA.name, ANNA.recorder, ANNA.room_id, ANNA.appointed])
    assert tokens.read_guest(old) == ANNA
    assert tokens.read_guest(tokens.guest(replace(ANNA, bot=True))).bot


@given(st.text())
def test_anything_else_is_refused(text):
    assert refused(lambda: tokens.read_guest(text)) == "token_invalid"
    assert refused(lambda: tokens.read_invite(text, WALL)) == "invite_invalid"
    assert refused(lambda: tokens.check_owner(text)) == "not_owner"
