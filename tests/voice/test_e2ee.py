"""The member's side of the handshake, with members that no one here wrote: davey's own Python wheel."""

import davey
import pytest

from raccall.voice.e2ee import DAVE_PROTOCOL_VERSION, DaveError, DaveMember
from tests.voice.delivery_stand_in import ExternalSender, reference, split, vector

CHANNEL = 777
APPEND, REVOKE = b"\0", b"\1"


def ours(sender: ExternalSender, user_id: int, identity_key: bytes | None = None) -> DaveMember:
    member = DaveMember(user_id, CHANNEL, identity_key)
    member.set_external_sender(sender.package())
    return member


def theirs(sender: ExternalSender, user_id: int) -> davey.DaveSession:
    session = davey.DaveSession(DAVE_PROTOCOL_VERSION, user_id, CHANNEL)
    session.set_external_sender(sender.package())
    return session


def pair(sender: ExternalSender) -> tuple[DaveMember, DaveMember]:
    alice, bob = ours(sender, 111), ours(sender, 222)
    answer = alice.process_proposals(APPEND + vector(sender.add(0, bob.key_package())), [111, 222])
    assert answer is not None
    commit, welcome = split(answer)
    assert alice.process_commit(commit)
    bob.process_welcome(welcome, [111, 222])
    return alice, bob


def refusal(action: object, *arguments: object) -> str:
    assert callable(action)
    with pytest.raises(DaveError) as caught:
        action(*arguments)
    assert str(caught.value)
    return caught.value.code


def test_a_group_of_ours_and_theirs_agrees_on_everything() -> None:
    sender = ExternalSender(CHANNEL)
    alice, bob, carol = ours(sender, 111), theirs(sender, 222), ours(sender, 333)

    proposal = APPEND + vector(sender.add(0, bob.get_serialized_key_package()))
    answer = alice.process_proposals(proposal, [111, 222])
    assert answer is not None
    commit, welcome = split(answer)
    assert alice.process_commit(commit)
    bob.process_welcome(welcome)
    assert alice.epoch == bob.epoch == 1

    proposals = vector(sender.add(1, carol.key_package()))
    mine = alice.process_proposals(APPEND + proposals, [111, 222, 333])
    his = bob.process_proposals(davey.ProposalsOperationType.append, proposals, [111, 222, 333])
    assert mine is not None and his is not None and his.welcome is not None
    assert alice.process_commit(his.commit), "the other one was faster"
    bob.process_commit(his.commit)
    carol.process_welcome(his.welcome, [111, 222, 333])

    codes = {alice.verification_code().replace(" ", ""), carol.verification_code().replace(" ", "")}
    assert codes == {bob.voice_privacy_code}
    assert alice.fingerprint(222).replace(" ", "") == bob.get_verification_code(111)
    assert alice.fingerprint(333) == carol.fingerprint(111)
    assert [user_id for user_id, _ in carol.roster()] == [111, 222, 333]
    assert carol.roster() == alice.roster()
    assert alice.keys().user_ids == [111, 222, 333]
    assert (alice.keys().epoch, alice.keys().own_user_id) == (2, 111)

    proposals = vector(sender.remove(2, bob.own_leaf_index or 0))
    answer = carol.process_proposals(APPEND + proposals)
    assert answer is not None
    alice.process_proposals(APPEND + proposals)
    commit, welcome = split(answer)
    assert welcome == b"", "nobody is added"
    assert alice.process_commit(commit) and carol.process_commit(commit)
    assert alice.verification_code() == carol.verification_code() not in codes
    assert alice.keys().user_ids == [111, 333]


def test_several_join_by_one_commit_and_one_welcome() -> None:
    sender = ExternalSender(CHANNEL)
    alice = ours(sender, 1)
    joiners = [ours(sender, user_id) for user_id in range(2, 7)]
    proposals = b"".join(sender.add(0, joiner.key_package()) for joiner in joiners)
    answer = alice.process_proposals(APPEND + vector(proposals))
    assert answer is not None
    commit, welcome = split(answer)
    alice.process_commit(commit)
    for joiner in joiners:
        joiner.process_welcome(welcome)
    assert len({member.verification_code() for member in [alice, *joiners]}) == 1


def test_an_identity_is_recognised_in_the_next_call() -> None:
    sender = ExternalSender(CHANNEL)
    first, other = ours(sender, 1), ours(sender, 1)
    kept = first.identity_key()
    assert len(kept) == 32
    again = DaveMember(1, 999, kept)
    assert again.identity_key() == kept != other.identity_key()
    alice, bob = pair(sender)
    assert refusal(DaveMember, 1, CHANNEL, b"short") == refusal(DaveMember, 1, CHANNEL, bytes(32)) == "bad_key"
    before = alice.fingerprint(222)
    alice.reset()
    assert alice.epoch is None and alice.roster() == []
    answer = bob.process_proposals(APPEND + vector(sender.remove(1, 0)))
    assert answer is not None
    bob.process_commit(split(answer)[0])
    answer = bob.process_proposals(APPEND + vector(sender.add(2, alice.key_package())))
    assert answer is not None
    bob.process_commit(split(answer)[0])
    alice.process_welcome(split(answer)[1])
    assert alice.epoch == bob.epoch == 3
    assert alice.fingerprint(222) == before, "the same two people, in another group"


def test_what_is_revoked_is_not_committed() -> None:
    sender = ExternalSender(CHANNEL)
    alice, _ = pair(sender)
    assert refusal(alice.process_proposals, REVOKE + vector(vector(bytes(32)))) == "not_proposed"
    proposal = sender.add(1, ours(sender, 333).key_package())
    assert alice.process_proposals(APPEND + vector(proposal)) is not None
    assert alice.process_proposals(REVOKE + vector(vector(reference(proposal)))) is None
    assert alice.epoch == 1


def test_a_ghost_is_refused() -> None:
    sender = ExternalSender(CHANNEL)
    alice, bob = pair(sender)
    ghost = ours(sender, 666)
    proposal = APPEND + vector(sender.add(1, ghost.key_package()))
    assert refusal(alice.process_proposals, proposal, [111, 222]) == "unexpected_user"
    answer = bob.process_proposals(proposal)
    assert answer is not None
    commit, welcome = split(answer)
    assert refusal(ghost.process_welcome, welcome, [666, 111]) == "unexpected_user"
    assert refusal(alice.process_commit, commit) == "not_proposed", "what was refused is not followed either"
    assert alice.epoch == 1


def test_forged_stale_and_foreign_messages_are_refused_by_reason() -> None:
    sender, stranger = ExternalSender(CHANNEL), ExternalSender(CHANNEL)
    alice, bob = pair(sender)
    carol = ours(sender, 333)
    package = carol.key_package()
    assert refusal(alice.process_proposals, APPEND + vector(stranger.add(1, package))) == "forged"
    assert refusal(alice.process_proposals, APPEND + vector(sender.add(0, package))) == "wrong_epoch"
    assert refusal(alice.process_proposals, APPEND + vector(ExternalSender(5).add(1, package))) == "forged"
    assert refusal(alice.process_proposals, b"\7") == "malformed"
    assert refusal(alice.process_proposals, b"") == "malformed"
    assert refusal(alice.process_proposals, APPEND + vector(sender.add(1, package[:-3]))) == "malformed"
    assert refusal(alice.process_commit, b"nonsense") == "not_proposed"
    assert refusal(alice.process_welcome, b"nonsense") == "in_group"
    assert refusal(carol.process_welcome, b"nonsense") == "malformed"
    assert refusal(alice.set_external_sender, stranger.package()) == "in_group"
    assert refusal(carol.set_external_sender, b"nonsense") == "malformed"
    assert refusal(DaveMember(1, CHANNEL).process_proposals, APPEND + vector(b"")) == "no_group"
    assert refusal(carol.keys) == refusal(carol.verification_code) == refusal(carol.fingerprint, 111) == "no_group"
    assert refusal(alice.fingerprint, 999) == "unknown_user"

    proposal = APPEND + vector(sender.add(1, package))
    answer = bob.process_proposals(proposal)
    assert answer is not None
    commit, welcome = split(answer)
    alice.process_proposals(proposal)
    for place in (40, len(commit) // 2, len(commit) - 1):
        broken = bytearray(commit)
        broken[place] ^= 1
        assert refusal(alice.process_commit, bytes(broken)) in ("forged", "malformed")
    broken = bytearray(welcome)
    broken[-1] ^= 1
    assert refusal(carol.process_welcome, bytes(broken)) == "forged"
    assert alice.process_commit(commit), "and after all that the true one is taken"
    assert not ours(sender, 9).process_commit(commit), "it is not for who was not let in"


def test_nobody_is_in_a_group_twice() -> None:
    sender = ExternalSender(CHANNEL)
    alice, bob = pair(sender)
    again = ours(sender, 222)
    assert refusal(alice.process_proposals, APPEND + vector(sender.add(1, again.key_package()))) == "bad_roster"
    alice.reset()
    answer = bob.process_proposals(APPEND + vector(sender.remove(1, 0)))
    assert answer is not None, "who was told nonsense begins anew, the others stay"


def test_keys_are_opaque() -> None:
    alice, _ = pair(ExternalSender(CHANNEL))
    keys = alice.keys()
    assert repr(keys) == "<EpochKeys { epoch: 1, own_user_id: 111, members: 2 }>"
    assert {name for name in dir(keys) if not name.startswith("_")} == {"epoch", "own_user_id", "user_ids"}
