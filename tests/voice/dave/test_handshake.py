"""The member's handshake in virtual time, with davey's own members beside it."""

import pytest

from raccall.voice.dave.events import (
    ClearAhead,
    ClearRefused,
    Ghosts,
    KeysArrived,
    Recovering,
    Settled,
    Switched,
)
from raccall.voice.dave.handshake import CLEAR_WAIT_MS, MAX_WAITING, SETTLE_WAIT_MS, STRANGER_WAIT_MS
from raccall.voice.dave.people import LEFT_GRACE_MS
from raccall.voice.dave.recoveries import FIRST_WAIT_MS
from raccall.voice.e2ee import DaveError
from raccall.voice.gateway import binary, messages
from raccall.voice.gateway.binary import ProposalsOperation
from tests.voice.dave.group import Ours, Service, Theirs, joined
from tests.voice.delivery_stand_in import reference, split, vector

READY = messages.TransitionReady
INVALID = messages.InvalidCommitWelcome


def test_ours_and_theirs_agree_and_switch_when_told() -> None:
    anna, ben, carl = Ours(1), Theirs(2), Ours(3)
    joined(anna, ben, carl)
    assert anna.code == ben.code == carl.code
    assert list(anna.group.identities) == list(carl.group.identities) == [1, 2, 3]
    assert anna.sent_of(READY) == [READY(transition_id=1), READY(transition_id=2)]
    assert carl.sent_of(READY) == [READY(transition_id=2)]
    # What others encrypt can be opened before anybody encrypts with it.
    kinds = [type(event) for event in anna.events if isinstance(event, KeysArrived | Switched)]
    assert kinds == [Switched] + [KeysArrived, Switched] * 2
    assert anna.group.keys.user_ids == [1, 2, 3]
    assert anna.handshake.fingerprint(3) == carl.handshake.fingerprint(1)


def test_the_commit_of_another_wins() -> None:
    anna, ben, carl = Ours(1), Theirs(2), Ours(3)
    service = joined(anna, ben)
    anna.expect(1, 2, 3)
    carl.expect(1, 2, 3).described()
    service.welcome_in(carl)
    service.add(carl, committer=2)
    assert anna.code == ben.code == carl.code


def test_one_leaves_and_the_others_go_on() -> None:
    anna, ben, carl = Ours(1), Theirs(2), Ours(3)
    service = joined(anna, ben, carl)
    service.remove(2)
    assert anna.code == carl.code != ben.code
    assert list(anna.group.identities) == [1, 3]


def test_we_send_with_the_old_keys_until_told() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    before = anna.code
    carl = Ours(3).expect(1, 2, 3).described()
    anna.expect(1, 2, 3)
    ben.expect(1, 2, 3)
    service.welcome_in(carl)
    service.add(carl, execute=False)
    assert anna.code == before
    assert isinstance(anna.events[-1], KeysArrived)
    assert carl.last(Switched) == Switched(1, None, 0)
    service.execute()
    assert anna.code == ben.code == carl.code != before


def test_a_late_execution_of_an_older_epoch_is_void() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    for user_id in (3, 4):
        for member in (anna, ben):
            member.expect(1, 2, 3, 4)
        newcomer = Ours(user_id).expect(1, 2, 3, 4).described()
        service.welcome_in(newcomer)
        service.add(newcomer, execute=False)
    service.execute(3)
    code = anna.code
    service.execute(2)
    assert anna.code == code
    assert anna.handshake.counts["transition_ignored"] == 1


def test_transition_0_is_at_once() -> None:
    anna, ben = Ours(1).expect(1, 2).described(), Ours(2).expect(1, 2).described()
    service = Service()
    service.welcome_in(anna, ben)
    service.found(anna)
    service.transition = -1
    service.add(ben, execute=False)
    assert anna.code == ben.code
    assert anna.sent_of(READY) == []


def test_no_server_takes_a_call_back_to_former_keys() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    former = anna.code
    anna.take(messages.PrepareTransition(protocol_version=1, transition_id=50))  # with the keys of now
    anna.expect(1, 2, 3)
    ben.expect(1, 2, 3)
    carl = Ours(3).expect(1, 2, 3).described()
    service.welcome_in(carl)
    service.transition = -1
    service.add(carl, execute=False)
    anna.take(messages.ExecuteTransition(transition_id=50))
    assert anna.code == carl.code != former


def test_while_mls_works_messages_wait_in_their_order() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    anna.paused = True
    events = len(anna.events)
    carl = Ours(3).described()
    service.welcome_in(carl)
    proposal = service.sender.add(1, carl.key_package)
    for member in (anna, ben):
        member.expect(1, 2, 3)
        member.take(binary.Proposals(ProposalsOperation.APPEND, vector(proposal)))
    commit, _ = split(ben.sent_of(binary.CommitWelcome)[-1].commit_welcome)
    anna.take(binary.AnnounceCommit(9, commit), messages.ExecuteTransition(transition_id=9))
    assert len(anna.events) == events
    anna.work()
    assert len(anna.events) == events
    anna.work()
    assert [type(event) for event in anna.events[events:]] == [KeysArrived, Switched]
    assert list(anna.group.identities) == [1, 2, 3]


def test_an_external_sender_may_come_before_the_description() -> None:
    service = Service()
    anna, ben = Ours(1), Ours(2)
    service.welcome_in(anna, ben)
    anna.take(messages.ExecuteTransition(transition_id=4), binary.Welcome(1, b"?"))
    assert anna.sent == []
    anna.expect(1, 2).described()
    ben.expect(1, 2).described()
    service.found(anna)
    service.add(ben)
    assert anna.code == ben.code
    assert (anna.handshake.counts["uncalled"], anna.handshake.counts["transition_ignored"]) == (1, 1)


def test_media_may_begin_when_there_is_nothing_more_to_wait_for() -> None:
    def settled(member: Ours) -> bool:
        return any(isinstance(event, Settled) for event in member.events)

    assert settled(Ours(1).described(0))
    alone = Ours(1).described()
    assert not settled(alone)
    assert settled(alone.take(messages.ClientsConnect(user_ids=[])))
    assert settled(Ours(1).take(messages.ClientsConnect(user_ids=["1"])).described())
    late = Ours(1).described().take(messages.ClientsConnect(user_ids=["2"]))
    late.pass_ms(SETTLE_WAIT_MS - 1)
    assert not settled(late)
    late.pass_ms(1)
    assert settled(late)
    anna, ben = Ours(1), Ours(2)
    for member, other in ((anna, "2"), (ben, "1")):
        member.take(messages.ClientsConnect(user_ids=[other]))
    joined(anna, ben)
    assert settled(anna) and settled(ben)


def test_the_last_one_begins_a_new_group_for_the_next_to_come() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    anna.take(
        messages.PrepareEpoch(protocol_version=1, epoch=1),
        messages.PrepareTransition(protocol_version=1, transition_id=0),
    )
    assert anna.last(Switched) == Switched(1, None, 0)
    assert len(anna.sent_of(binary.KeyPackage)) == 2
    service.found(anna)
    carl = Ours(3).expect(1, 3).described()
    anna.expect(1, 3)
    service.welcome_in(carl)
    service.add(carl)
    assert anna.code == carl.code
    assert anna.group.epoch == 1


def test_down_to_clear_and_up_again() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    for member in (anna, ben):
        member.take(messages.PrepareTransition(protocol_version=0, transition_id=7))
        assert isinstance(member.events[-1], ClearAhead)
        assert member.handshake.version == 1
        assert member.sent[-1] == READY(transition_id=7)
        member.take(messages.ExecuteTransition(transition_id=7))
        assert member.last(Switched) == Switched(0, None, 7)
        assert member.handshake.version == 0
        member.take(messages.PrepareEpoch(protocol_version=1, epoch=1))
    service.found(anna)
    service.add(ben)
    assert anna.code == ben.code
    assert anna.handshake.version == 1


def test_who_came_while_the_call_was_in_clear_is_described_again_when_it_is_not() -> None:
    anna, ben = Ours(1), Ours(2)
    service = Service()
    for member in (anna, ben):
        member.expect(1, 2).described(0)
        member.handshake.describe_again(0, member.now)
        assert member.sent == []
        member.handshake.describe_again(1, member.now)
        member.handshake.describe_again(1, member.now)
        member.drain()
        assert len(member.sent_of(binary.KeyPackage)) == 1
    service.welcome_in(anna, ben)
    service.found(anna)
    service.add(ben)
    assert anna.code == ben.code
    assert anna.handshake.version == 1
    anna.handshake.describe_again(1, anna.now)  # only the transport key is another one
    anna.drain()
    assert len(anna.sent_of(binary.KeyPackage)) == 1


def test_where_clear_is_not_allowed_no_server_gets_it() -> None:
    anna = Ours(1, clear_allowed=False).described(0)
    assert [type(event) for event in anna.events] == [Switched, Settled]
    anna.pass_ms(CLEAR_WAIT_MS)
    assert [type(event) for event in anna.events] == [Switched, Settled, ClearRefused]
    assert anna.handshake.version == 1
    ben, carl = Ours(2, clear_allowed=False), Ours(3)
    joined(ben, carl)
    ben.take(messages.PrepareTransition(protocol_version=0, transition_id=7))
    ben.pass_ms(CLEAR_WAIT_MS)
    assert isinstance(ben.events[-1], ClearRefused)
    assert READY(transition_id=7) not in ben.sent
    ben.take(messages.ExecuteTransition(transition_id=7))
    assert ben.code == carl.code
    ben.take(messages.PrepareTransition(protocol_version=0, transition_id=0))
    assert ben.handshake.version == 1
    ben.handshake.allow_clear(True)  # the room's owner decided it, and that is told by another connection
    ben.drain()
    assert ben.last(Switched) == Switched(0, None, 0)
    assert ben.handshake.version == 0


def test_that_clear_is_allowed_may_arrive_a_moment_after_the_server_wants_it() -> None:
    anna, ben = Ours(1, clear_allowed=False), Ours(2)
    joined(anna, ben)
    anna.take(messages.PrepareTransition(protocol_version=0, transition_id=7))
    anna.pass_ms(CLEAR_WAIT_MS - 1)
    assert anna.handshake.version == 1
    anna.handshake.allow_clear(True)
    anna.drain()
    assert anna.last(Switched) == Switched(0, None, 7)
    anna.pass_ms(CLEAR_WAIT_MS)
    assert not [event for event in anna.events if isinstance(event, ClearRefused)]


def test_a_call_that_may_not_be_in_clear_any_longer_is_silent_until_it_has_keys() -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    for member in (anna, ben):
        member.take(messages.PrepareTransition(protocol_version=0, transition_id=7))
    ben.handshake.allow_clear(False)  # before it happens
    for member in (anna, ben):
        member.take(messages.ExecuteTransition(transition_id=7))
    ben.pass_ms(CLEAR_WAIT_MS)
    assert isinstance(ben.events[-1], ClearRefused)
    assert ben.handshake.version == 1
    assert anna.handshake.version == 0
    anna.handshake.allow_clear(False)  # and after
    anna.drain()
    assert anna.last(Switched) == Switched(1, None, 0)
    for member in (anna, ben):
        member.take(messages.PrepareEpoch(protocol_version=1, epoch=1))
    service.found(anna)
    service.add(ben)
    assert anna.code == ben.code


# ---- what a dishonest or broken server does ----


@pytest.mark.parametrize("forged", [binary.AnnounceCommit(5, b"no commit"), binary.Welcome(5, b"no welcome")])
def test_what_cannot_be_used_is_told_and_the_group_entered_anew(forged: binary.ServerBinary) -> None:
    anna, ben, carl = Ours(1), Ours(2), Ours(3)
    service = joined(anna, ben, carl)
    packages = len(ben.sent_of(binary.KeyPackage))
    ben.take(forged)
    assert isinstance(ben.last(Recovering), Recovering)
    assert ben.sent[-2:] == [INVALID(transition_id=5), ben.sent[-1]]
    assert len(ben.sent_of(binary.KeyPackage)) == packages + 1
    service.remove(2)
    service.add(ben)
    assert anna.code == ben.code == carl.code
    assert ben.handshake.counts["recovered"] == 1


def test_recoveries_become_rare() -> None:
    ben = Ours(2).described()
    Service().welcome_in(ben)
    for _ in range(2):
        ben.take(binary.Welcome(5, b"?"))
    assert len(ben.sent_of(INVALID)) == 2
    ben.take(binary.Welcome(6, b"?"))
    ben.take(binary.Welcome(6, b"?"), binary.AnnounceCommit(7, b"?"))
    assert len(ben.sent_of(INVALID)) == 2
    ben.pass_ms(FIRST_WAIT_MS - 1)
    assert len(ben.sent_of(INVALID)) == 2
    ben.pass_ms(1)
    assert ben.sent_of(INVALID)[2:] == [INVALID(transition_id=6)]
    ben.take(binary.Welcome(8, b"?"))
    ben.pass_ms(2 * FIRST_WAIT_MS - 1)
    assert len(ben.sent_of(INVALID)) == 3
    ben.pass_ms(1)
    assert len(ben.sent_of(INVALID)) == 4
    ben.pass_ms(60_001)
    ben.take(binary.Welcome(9, b"?"))
    assert len(ben.sent_of(INVALID)) == 5


def test_a_stranger_who_is_shown_a_moment_later_is_let_in() -> None:
    anna, ben, carl = Ours(1), Ours(2), Ours(3).expect(1, 2, 3).described()
    service = joined(anna, ben)
    service.welcome_in(carl)
    proposal = service.sender.add(1, carl.key_package)
    commits = len(anna.sent_of(binary.CommitWelcome))
    anna.take(binary.Proposals(ProposalsOperation.APPEND, vector(proposal)))
    anna.pass_ms(STRANGER_WAIT_MS - 1)
    assert len(anna.sent_of(binary.CommitWelcome)) == commits
    anna.expect(1, 2, 3)
    assert len(anna.sent_of(binary.CommitWelcome)) == commits + 1
    assert not [event for event in anna.events if isinstance(event, Ghosts)]


def test_a_ghost_is_never_let_in_and_everyone_is_told() -> None:
    """The server adds a member that nobody is shown; a client that checks nothing commits to it."""
    anna, ben, ghost = Ours(1), Theirs(2), Theirs(666)
    service = joined(anna, ben)
    keys = [event for event in anna.events if isinstance(event, KeysArrived)]
    service.welcome_in(ghost)
    answers = service.propose(service.sender.add(1, ghost.key_package))
    assert list(answers) == [2]
    service.announce(*split(answers[2]), ghost)
    anna.pass_ms(STRANGER_WAIT_MS)
    assert anna.last(Ghosts) == Ghosts(frozenset({666}))
    assert [event for event in anna.events if isinstance(event, KeysArrived)] == keys
    assert anna.sent_of(INVALID) == [INVALID(transition_id=2)]
    # The server adds us anew, to the group that has the ghost: no.
    service.remove(1)
    service.add(anna, committer=2)
    anna.pass_ms(STRANGER_WAIT_MS)
    assert [event for event in anna.events if isinstance(event, KeysArrived)] == keys
    assert anna.last(Ghosts) == Ghosts(frozenset({666}))
    # Shown at last: only a strange name, no ghost.
    anna.expect(1, 2, 666)
    assert anna.last(Ghosts) == Ghosts(frozenset())


def test_a_ghost_is_one_though_the_server_says_that_it_has_just_left() -> None:
    anna, ben, ghost = Ours(1), Ours(2), Theirs(9)
    service = joined(anna, ben)
    for member in (anna, ben):
        member.take(messages.ClientsConnect(user_ids=["9"]), messages.ClientDisconnect(user_id="9"))
    service.welcome_in(ghost)
    answers = service.propose(service.sender.add(service.epoch, ghost.key_package))
    assert answers == {}
    anna.pass_ms(STRANGER_WAIT_MS)
    assert anna.last(Ghosts) == Ghosts(frozenset({9}))


def test_who_has_left_and_listens_on_becomes_a_ghost() -> None:
    anna, ben, carl = Ours(1), Ours(2), Ours(3)
    service = joined(anna, ben, carl)
    anna.expect(1, 2)
    anna.pass_ms(LEFT_GRACE_MS - 1)
    assert not [event for event in anna.events if isinstance(event, Ghosts)]
    anna.pass_ms(1)
    assert anna.last(Ghosts) == Ghosts(frozenset({3}))
    ben.expect(1, 2)
    service.remove(3)
    assert anna.last(Ghosts) == Ghosts(frozenset())


def test_on_discord_the_voice_gateway_says_who_is_here() -> None:
    anna, ben = Ours(1), Ours(2)
    for member, other in ((anna, "2"), (ben, "1")):
        member.take(messages.ClientsConnect(user_ids=[other])).described()
    service = Service()
    service.welcome_in(anna, ben)
    service.found(anna)
    service.add(ben)
    assert anna.code == ben.code
    anna.take(messages.ClientDisconnect(user_id="2"))
    anna.pass_ms(LEFT_GRACE_MS)
    assert anna.last(Ghosts) == Ghosts(frozenset({2}))


def test_a_flood_is_dropped_and_the_group_entered_anew() -> None:
    anna, ben = Ours(1), Ours(2)
    joined(anna, ben)
    anna.paused = True
    anna.take(*[binary.AnnounceCommit(1, b"?")] * (MAX_WAITING + 2))
    assert anna.handshake.counts["overflow"] == 1
    anna.paused = False
    anna.work()
    assert isinstance(anna.last(Recovering), Recovering)


@pytest.mark.parametrize(
    "message",
    [
        messages.PrepareEpoch(protocol_version=9, epoch=1),
        messages.PrepareEpoch(protocol_version=1, epoch=7),
        messages.PrepareTransition(protocol_version=9, transition_id=1),
        messages.ExecuteTransition(transition_id=77),
        binary.ExternalSender(b"?"),
        binary.Proposals(ProposalsOperation.APPEND, b"?"),
        binary.Proposals(ProposalsOperation.REVOKE, vector(vector(bytes(32)))),
        binary.Proposals(ProposalsOperation.APPEND, vector(b"\0\1\0\1" + bytes(100))),
    ],
)
def test_nonsense_is_counted_and_changes_nothing(message: object) -> None:
    anna, ben = Ours(1), Ours(2)
    service = joined(anna, ben)
    sent, events = list(anna.sent), list(anna.events)
    anna.take(message)
    assert (anna.sent, anna.events) == (sent, events)
    assert sum(anna.handshake.counts.values()) == 1
    carl = Ours(3).expect(1, 2, 3).described()
    anna.expect(1, 2, 3)
    ben.expect(1, 2, 3)
    service.welcome_in(carl)
    service.add(carl)
    assert anna.code == carl.code


def test_ids_that_are_none_are_refused_and_not_kept() -> None:
    anna = Ours(1).described()
    for wrong in ("x", "", "-1", "1" * 30, str(1 << 64), "²"):
        with pytest.raises(ValueError, match="no user id"):
            anna.handshake.receive(messages.ClientsConnect(user_ids=["2", wrong]), anna.now)
    assert anna.handshake.get_timer() is not None
    with pytest.raises(DaveError):
        Ours(1, identity_key=b"short")


def test_what_is_revoked_is_not_committed() -> None:
    anna, ben, carl = Ours(1), Ours(2), Ours(3).described()
    service = joined(anna, ben)
    service.welcome_in(carl)
    anna.expect(1, 2, 3)
    proposal = service.sender.add(1, carl.key_package)
    anna.take(binary.Proposals(ProposalsOperation.APPEND, vector(proposal)))
    commits = len(anna.sent_of(binary.CommitWelcome))
    anna.take(binary.Proposals(ProposalsOperation.REVOKE, vector(vector(reference(proposal)))))
    assert len(anna.sent_of(binary.CommitWelcome)) == commits
    service.remove(2)
    assert list(anna.group.identities) == [1]
