from hypothesis import given
from hypothesis import strategies as st

from raccall.server.routing import (
    AddSession,
    RemoveSession,
    SetRoom,
    SetRoute,
    SetSilenced,
    Voice,
    apply,
    diff,
    lane,
    plan,
)

KEY = bytes(32)


def voice(
    session_id, room_id=1, *, connected=True, mode="a", records=False, may_be_kept=False, bot=False, silenced=False
):
    return Voice(
        session_id=session_id,
        room_id=room_id,
        ssrc=session_id,
        mode=mode,
        key=KEY,
        connected=connected,
        records=records,
        may_be_kept=may_be_kept,
        bot=bot,
        silenced=silenced,
    )


def test_everyone_in_a_room_hears_everyone_else_in_it():
    table = plan([voice(1), voice(2), voice(3), voice(9, room_id=2)])
    routes = {session_id: entry.destinations for session_id, entry in table.items()}
    assert routes == {1: (2, 3), 2: (1, 3), 3: (1, 2), 9: ()}


def test_a_voice_that_may_not_be_kept_never_reaches_one_who_records():
    table = plan([voice(1, may_be_kept=True), voice(2), voice(3, records=True), voice(4, records=True)])
    routes = {session_id: entry.destinations for session_id, entry in table.items()}
    assert routes == {1: (2, 3, 4), 2: (1,), 3: (1, 2), 4: (1, 2)}


def test_a_changed_mind_is_one_command():
    before, after = ([voice(1, may_be_kept=kept), voice(2), voice(3, records=True)] for kept in (True, False))
    assert diff(plan(before), plan(after)) == [SetRoute(1, (2,))]


def test_one_who_begins_to_record_hears_everyone_from_then_on():
    before, after = ([voice(1, may_be_kept=True), voice(2, records=records)] for records in (False, True))
    assert diff(plan(before), plan(after)) == [SetRoom(2, 1, True)]


def test_a_bot_hears_everyone_and_keeps_nothing():
    table = plan([voice(1), voice(2, bot=True)])
    assert (table[2].hears_all, table[1].hears_all) == (True, False) and table[1].destinations == (2,)


def test_to_silence_one_is_one_command_as_is_to_let_it_be_heard():
    before, after = ([voice(1, silenced=silenced), voice(2)] for silenced in (False, True))
    assert diff(plan(before), plan(after)) == [SetSilenced(1, True)]
    assert diff(plan(after), plan(before)) == [SetSilenced(1, False)]
    assert SetSilenced(1, True) in diff({}, plan(after)), "who comes back is silenced still"


def test_before_it_has_its_key_a_session_is_known_and_nothing_more():
    table = plan([voice(1), voice(2, connected=False)])
    assert table[2].destinations == () and table[1].destinations == ()


def test_commands_for_one_who_joins_changes_mode_and_leaves():
    alone, both = plan([voice(1)]), plan([voice(1), voice(2)])
    assert diff({}, alone) == [AddSession(1, 1, "a", KEY), SetRoom(1, 1, False)]
    assert diff(alone, both) == [AddSession(2, 2, "a", KEY), SetRoom(2, 1, False), SetRoute(1, (2,)), SetRoute(2, (1,))]
    assert diff(both, plan([voice(1), voice(2, mode="b")])) == [AddSession(2, 2, "b", KEY)]
    assert diff(both, alone) == [SetRoute(1, ()), RemoveSession(2)]
    assert diff(both, both) == []


class Relay:
    """Obeys, and fails if a command makes no sense."""

    def __init__(self):
        self.sessions, self.routes, self.rooms, self.silenced = {}, {}, {}, {}

    def add_session(self, session_id, ssrc, mode, key):
        self.sessions[session_id] = (ssrc, mode, key)
        self.routes.setdefault(session_id, ())
        self.silenced.setdefault(session_id, False)

    def set_room(self, session_id, room_id, hears_all):
        assert session_id in self.sessions
        self.rooms[session_id] = (room_id, hears_all)

    def set_route(self, session_id, destinations):
        assert all(destination in self.sessions for destination in destinations)
        assert session_id in self.sessions
        self.routes[session_id] = tuple(destinations)

    def set_silenced(self, session_id, silenced):
        assert session_id in self.sessions
        self.silenced[session_id] = silenced

    def remove_session(self, session_id):
        for known in (self.sessions, self.routes, self.rooms, self.silenced):
            del known[session_id]


voices = st.lists(
    st.builds(
        voice,
        st.integers(1, 6),
        st.integers(1, 2),
        connected=st.booleans(),
        mode=st.sampled_from("ab"),
        records=st.booleans(),
        may_be_kept=st.booleans(),
        bot=st.booleans(),
        silenced=st.booleans(),
    ),
    unique_by=lambda v: v.session_id,
)


@given(st.lists(voices, max_size=6))
def test_differences_lead_a_relay_from_any_table_to_any_other(states):
    relay, table = Relay(), {}
    for state in states:
        new = plan(state)
        apply(diff(table, new), relay)
        table = new
        assert relay.routes == {session_id: entry.destinations for session_id, entry in table.items()}
        assert relay.sessions == {session_id: (e.ssrc, e.mode, e.key) for session_id, e in table.items()}
        assert relay.rooms == {session_id: (e.room_id, e.hears_all) for session_id, e in table.items()}
        assert relay.silenced == {session_id: entry.silenced for session_id, entry in table.items()}


def test_rooms_are_spread_over_the_lanes():
    """Snowflakes made in one second, a millisecond apart: their low bits are all the same."""
    assert len({lane((1_700_000_000_000 + ms) << 22) for ms in range(1000)}) > 200
