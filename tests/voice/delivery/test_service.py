"""The delivery service among real members (davey), in virtual time."""

import random

import davey
import pytest
from dave_call import Call, Person

from raccall.units import after_ms
from raccall.voice.delivery.member import MAX_FAILURES
from raccall.voice.delivery.service import COMMIT_WITHIN_MS, PACKAGE_WITHIN_MS
from raccall.voice.delivery.structures import read_commit_welcome
from raccall.voice.delivery.transitions import READY_WITHIN_MS
from raccall.voice.gateway import binary, messages
from raccall.voice.gateway.binary import ProposalsOperation
from raccall.voice.gateway.messages import Opcode


@pytest.mark.parametrize("count", [2, 3, 5, 25])
def test_people_who_come_together_agree_after_one_commit(count):
    call = Call()
    people = call.join(*range(1, count + 1))
    call.run(1000)
    assert call.agrees() and call.hears_everyone()
    assert [set(epoch.user_ids) for epoch in call.epochs] == [set(range(1, count + 1))]
    assert people[0].opcodes() == [25, 27, 29, 22], "the first has the group"
    assert all(person.opcodes() == [25, 30, 22] for person in people[1:])
    assert len({person.dave.voice_privacy_code for person in people}) == 1
    assert not call.delivery.counts


def test_people_who_come_one_by_one():
    call = Call()
    for user_id in range(1, 8):
        call.join(user_id)
        call.run(700)
        assert call.people[user_id].dave.ready or user_id == 1
    assert call.agrees() and call.hears_everyone()
    assert len(call.epochs) == 6


def test_a_joiner_has_keys_in_half_a_second():
    """Four ways of 20 ms, and the 100 ms for which changes are gathered."""
    call = Call(delay_ms=20)
    call.join(1, 2)
    call.run(1000)
    call.join(3)
    call.run(200)
    assert call.agrees()


def test_who_comes_while_a_commit_is_awaited_is_in_the_next_epoch():
    call = Call(delay_ms=100)
    call.join(1, 2, 3)
    call.run(2000)
    call.join(4)
    call.run(250)  # its proposal is under way
    call.join(5, 6)
    call.run(300)
    assert call.epochs[-1].user_ids == (1, 2, 3, 4)
    call.run(2000)
    assert call.epochs[-1].user_ids == (1, 2, 3, 4, 5, 6) and len(call.epochs) == 3
    assert call.agrees() and call.hears_everyone()


def test_coming_and_going_share_an_epoch_and_a_leaf():
    call = Call()
    call.join(1, 2, 3, 4)
    call.run(1000)
    call.leave(2, 3)
    call.join(5, 6, 7)
    call.run(1000)
    assert [epoch.user_ids for epoch in call.epochs] == [(1, 2, 3, 4), (1, 5, 6, 4, 7)], "removals first, then leftmost"
    assert call.agrees() and call.hears_everyone()


def test_who_left_hears_no_more():
    call = Call()
    *_, gone = call.join(1, 2, 3)
    call.run(1000)
    call.leave(3)
    call.run(1000)
    assert call.agrees(1, 2)
    sealed = call.people[1].dave.encrypt_opus(b"\x78" + bytes(40))
    with pytest.raises(ValueError):
        gone.dave.decrypt(1, davey.MediaType.audio, sealed)


def test_the_same_user_comes_again_with_another_key():
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.leave(2)
    call.join(2)
    call.run(1000)
    assert call.epochs[-1].user_ids == (1, 2, 3) and len(call.epochs) == 2
    assert call.agrees() and call.hears_everyone()


def test_the_last_one_begins_anew_and_the_next_finds_it():
    call = Call()
    call.join(1, 2)
    call.run(1000)
    call.leave(1)
    call.run(1000)
    last = call.people[2]
    assert last.opcodes()[-2:] == [Opcode.DAVE_PREPARE_EPOCH, Opcode.DAVE_PREPARE_TRANSITION]
    assert last.heard[-2:] == [
        messages.PrepareEpoch(protocol_version=1, epoch=1),
        messages.PrepareTransition(protocol_version=1, transition_id=0),
    ]
    assert last.executed[-1] == 0
    call.join(3)
    call.run(1000)
    assert call.agrees() and call.hears_everyone()
    call.leave(2, 3)
    call.join(4, 5)
    call.run(1000)
    assert call.agrees() and call.hears_everyone(), "all left and others came"


def test_competing_commits_the_first_wins_and_the_others_drop_theirs():
    call = Call()
    call.join(1, 2, 3, 4)
    call.run(1000)
    call.join(5)
    call.run(1000)
    assert call.delivery.counts == {"late": 3}
    winners = [outgoing.message for outgoing in call.sent if isinstance(outgoing.message, binary.AnnounceCommit)]
    assert len(winners) == 2 and call.agrees() and call.hears_everyone()


def test_everyone_gets_the_same_bytes_and_the_committer_its_own():
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.join(4)
    call.run(1000)
    (proposals,) = [o for o in call.sent if isinstance(o.message, binary.Proposals)][1:]
    (commit,) = [o for o in call.sent if isinstance(o.message, binary.AnnounceCommit)][1:]
    assert sorted(proposals.user_ids) == sorted(commit.user_ids) == [1, 2, 3]


def test_a_proposal_is_revoked_when_the_joiner_leaves_before_the_commit():
    call = Call(delay_ms=200)
    call.join(1, 2)
    call.run(2000)
    call.join(3, 4)
    call.run(350)  # proposed, not committed
    call.leave(3)
    call.run(3000)
    revoked = [o.message for o in call.sent if isinstance(o.message, binary.Proposals) and o.message.operation == 1]
    assert [message.operation for message in revoked] == [ProposalsOperation.REVOKE]
    assert call.epochs[-1].user_ids == (1, 2, 4)
    assert call.delivery.counts.total() == 3, "commits that still cover it came too late, and one lost the race"
    assert call.agrees() and call.hears_everyone()


def test_a_lone_proposal_that_is_revoked_leaves_the_epoch_as_it_is():
    call = Call(delay_ms=200)
    call.join(1, 2)
    call.run(2000)
    call.join(3)
    call.run(350)
    call.leave(3)
    call.run(8000)
    assert len(call.epochs) == 1 and call.agrees(1, 2)
    call.join(4)
    call.run(2000)
    assert call.agrees() and call.hears_everyone()


def test_who_comes_and_goes_all_the_time_keeps_nobody_waiting():
    call = Call(delay_ms=100)
    call.join(1, 2)
    call.run(2000)
    call.join(3)
    for user_id in range(10, 30):
        call.join(user_id)
        call.run(250)
        call.leave(user_id)
        if call.people[3].dave.ready:
            break
    assert user_id < 16
    call.run(3000)
    assert call.agrees() and call.hears_everyone()


# ---- members who do not answer ----


def test_without_a_key_package_one_is_sent_away_and_the_others_go_on():
    call = Call()
    call.join(1, 2)
    silent = call.enter(Person(call, 3))
    call.run(1000)
    assert call.agrees(1, 2) and call.expelled == []
    call.run(PACKAGE_WITHIN_MS)
    assert call.expelled == [3] and silent.opcodes() == [25]
    assert call.delivery.counts["no_key_package"] == 1


def test_a_creator_who_never_commits_loses_the_group():
    call = Call()
    first, *_ = call.join(1, 2, 3)
    first.mute_of = {Opcode.MLS_COMMIT_WELCOME}
    call.run(COMMIT_WITHIN_MS + 200)
    assert call.epochs == [] and call.delivery.counts["no_commit"] == 1
    call.run(20_000)
    assert call.agrees() and call.hears_everyone(), "somebody else made the group, the silent one is in it"
    assert call.epochs[0].user_ids[0] != 1


def test_one_member_without_commits_delays_nobody():
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.people[1].mute_of = {Opcode.MLS_COMMIT_WELCOME}
    call.join(4)
    call.run(300)
    assert call.agrees()


def test_who_hears_no_proposals_may_not_stop_the_group():
    """A client that takes nothing in: its commit never comes; the others' do."""
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.people[2].deaf_to = {27, 28, 29, 30, 22}
    call.join(4)
    call.run(1000)
    assert call.agrees(1, 3, 4) is False, "the deaf one is listed still"
    assert call.hears_everyone(1, 3, 4)


def test_if_nobody_ever_commits_all_are_sent_away():
    call = Call()
    for person in call.join(1, 2):
        person.mute_of = {Opcode.MLS_COMMIT_WELCOME}
    call.run(90_000)
    assert sorted(call.expelled) == [1, 2]
    assert call.delivery.counts["no_commit"] == MAX_FAILURES


def test_who_is_never_ready_holds_the_others_for_two_seconds():
    call = Call()
    call.join(1, 2, 3)
    call.people[3].mute_of = {Opcode.DAVE_TRANSITION_READY}
    call.run(READY_WITHIN_MS)
    assert call.people[1].executed == []
    call.run(500)
    assert [person.executed for person in call.people.values()] == [[1], [1], [1]]


def test_a_newer_transition_makes_an_older_one_void():
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.people[3].mute_of = {Opcode.DAVE_TRANSITION_READY}
    call.join(4)
    call.run(500)
    call.people[3].mute_of = set()
    call.join(5)
    call.run(5000)
    assert call.people[1].executed == [1, 3], "2 was waiting for one answer when 3 was complete"


# ---- members who cannot go on ----


class Broken(Person):
    """Cannot use what it gets, so many times."""

    times = 1

    def use(self, transition, process):
        if self.times:
            self.times -= 1

            def process():
                raise ValueError("broken")

        super().use(transition, process)


def test_a_member_that_cannot_use_a_commit_is_removed_and_added_again():
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    broken = call.join(4, kind=Broken)
    broken.times = 0
    call.run(1000)
    broken.times = 1
    call.leave(3)
    call.run(2000)
    assert broken.invalid == 1 and call.delivery.counts["invalid_reported"] == 1
    assert call.agrees() and call.hears_everyone()


def test_a_welcome_that_cannot_be_used_is_tried_again():
    call = Call()
    call.join(1, 2)
    call.run(1000)
    call.join(3, kind=Broken)
    call.run(2000)
    assert call.agrees() and call.hears_everyone()


def test_one_who_is_always_broken_keeps_nobody_busy():
    call = Call()
    call.join(1, 2)
    call.run(1000)
    broken = call.join(3, kind=Broken)
    broken.times = 10**6
    call.run(120_000)
    assert len(call.epochs) < 22, "less and less often"
    assert call.hears_everyone(1, 2)
    before = len(call.epochs)
    call.run(60_000)
    assert len(call.epochs) - before <= 6


def test_a_client_that_begins_anew_by_itself_is_added_again():
    """discord.py does, when it is told another transport key."""
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.people[2].begin_anew()
    call.run(1000)
    assert call.agrees() and call.hears_everyone()


class Forger(Person):
    """Makes commits that nobody can use. What is wrong with them only members can see: the membership tag, and what is
    encrypted in the welcome."""

    def commit(self, data):
        commit, welcome = read_commit_welcome(data)
        super().commit(_last_bit_flipped(commit.data) + _last_bit_flipped(welcome.data if welcome else b""))


def _last_bit_flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1]) if data else data


def test_a_welcome_that_nobody_can_use_costs_its_author_the_say():
    call = Call()
    forger = call.join(1, kind=Forger)
    call.join(2, 3)
    call.run(300)
    assert call.epochs != [] and not call.people[2].dave.ready, "it won: it was the only one"
    call.run(10_000)
    assert call.delivery.counts["nobody_could_use"] == 1
    assert call.agrees() and call.hears_everyone()
    assert forger.dave.ready, "it may listen and speak"
    call.join(4)
    call.run(1000)
    assert call.delivery.counts["distrusted"] == 1, "its next commit"
    assert call.agrees() and call.hears_everyone()


def test_a_commit_that_nobody_can_use_costs_its_author_the_say():
    call = Call()
    call.join(1, 2)
    call.join(3, kind=Forger)
    call.run(1000)
    honest = [call.people[1], call.people[2]]
    for person in honest:
        person.mute_of = {Opcode.MLS_COMMIT_WELCOME}
    call.join(4)
    call.run(200)
    for person in honest:
        person.mute_of = set()
    call.run(10_000)
    assert call.delivery.counts["invalid_reported"] >= 2
    assert call.delivery.counts["nobody_could_use"] == 1
    assert call.agrees() and call.hears_everyone()


def test_messages_of_a_strange_user_are_counted():
    call = Call()
    call.do(lambda now: call.delivery.receive(5, messages.TransitionReady(transition_id=1), now))
    call.do(lambda now: call.delivery.leave(5, now))
    assert call.delivery.counts == {"uncalled": 1}
    call.join(1, 2)
    call.run(1000)
    call.do(lambda now: call.delivery.receive(1, messages.InvalidCommitWelcome(transition_id=99), now))
    assert call.delivery.counts["uncalled"] == 2 and call.agrees()


def test_a_key_package_that_was_lost_is_asked_for_again():
    call = Call()
    lost = call.enter(Person(call, 1))
    call.run(1000)
    call.do(lambda now: call.delivery.resumed(1, now))
    call.join(2)
    call.run(1000)
    assert lost.opcodes()[:2] == [25, 24]
    assert call.agrees()


# ---- version 0 and back ----


def test_down_to_version_0_and_up_again():
    call = Call()
    call.join(1, 2, 3)
    call.run(1000)
    call.do(call.delivery.downgrade)
    call.run(1000)
    assert not call.delivery.encrypted
    assert [person.version for person in call.people.values()] == [0, 0, 0]
    call.leave(3)
    call.run(1000)
    assert len(call.epochs) == 1 and call.delivery.get_timer() is None
    call.do(call.delivery.upgrade)
    call.run(1000)
    assert call.agrees() and call.hears_everyone()
    assert [person.version for person in call.people.values()] == [1, 1]


def test_whoever_does_not_answer_a_change_of_version_is_not_waited_for():
    call = Call()
    call.join(1, 2)
    call.run(1000)
    call.people[2].mute_of = {Opcode.DAVE_TRANSITION_READY}
    call.do(call.delivery.downgrade)
    call.run(READY_WITHIN_MS + 100)
    assert call.people[1].version == 0


# ---- any order of all that ----


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_everyone_agrees_in_the_end(seed):
    """People come, go, begin anew and fall silent at random; when it is calm again, all are in one epoch."""
    rng = random.Random(seed)
    call = Call(delay_ms=rng.choice([5, 40, 150]))
    names = iter(range(1, 1000))
    for _ in range(40):
        action = rng.random()
        if len(call.people) < 2 or (action < 0.5 and len(call.people) < 7):
            call.join(*[next(names) for _ in range(rng.choice([1, 1, 2, 3]))])
        elif action < 0.8:
            call.leave(*rng.sample(sorted(call.people), k=min(len(call.people), rng.choice([1, 1, 3]))))
        elif action < 0.9:
            call.people[rng.choice(sorted(call.people))].begin_anew()
        else:
            call.do(call.delivery.downgrade if call.delivery.encrypted else call.delivery.upgrade)
        call.run(rng.choice([0, 10, 60, 150, 400, 1500]))
    if not call.delivery.encrypted:
        call.do(call.delivery.upgrade)
    while len(call.people) < 2:
        call.join(next(names))
    call.run(60_000)
    assert call.agrees() and call.hears_everyone()
    assert call.expelled == []
    timer = call.delivery.get_timer()
    assert timer is None or timer >= after_ms(call.now, 0)
