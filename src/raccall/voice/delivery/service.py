"""The delivery service of one call: who is in the MLS group, and in which order that changes. No socket, no clock.

    join ─▶ (25) ─▶ 26 key package ─▶ 27 proposals, about 100 ms after the first of them ─▶ 28 commits of all members
         ─▶ the first good one wins ─▶ 29 to members, 30 to those added ─▶ 23 of each ─▶ 22

The first who brings a key package has the group alone; everybody after that is proposed, and so is each who left. While
a commit is awaited nothing more is proposed: what happens meanwhile is the next epoch's. Nobody is waited for without
an end:

- no key package within PACKAGE_WITHIN_MS: `Expelled`, for the owner to end that session;
- no good commit within COMMIT_WITHIN_MS: everybody begins anew (24), somebody else has the group, and after that one
  is added at a time, so that it shows who spoils it;
- no 23 within two seconds: the others go on (22);
- one who cannot use a commit or welcome (31) is removed and added again, more and more slowly if that does not end. If
  nobody could use it, then the committer is at fault: others have the group from then on.

After each `join`, `leave`, `receive`, `handle_timer` or command, drain `to_send` and `next_event`, and ask `get_timer`.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from raccall.units import Nanos, after_ms
from raccall.voice.delivery.group import Group, NewEpoch, Place, clashes
from raccall.voice.delivery.member import FIRST_WAIT_MS, LONGEST_WAIT_MS, MAX_FAILURES, Member, State
from raccall.voice.delivery.sender import ProposalSender
from raccall.voice.delivery.structures import KeyPackage, Refused
from raccall.voice.delivery.transitions import Transition, Transitions
from raccall.voice.gateway import binary
from raccall.voice.gateway.binary import DaveFromClient, DaveToClient, ProposalsOperation
from raccall.voice.gateway.codes import DAVE_PROTOCOL_VERSION
from raccall.voice.gateway.messages import (
    ExecuteTransition,
    InvalidCommitWelcome,
    PrepareEpoch,
    PrepareTransition,
    TransitionReady,
)

BATCH_MS = 100
"""From the first change to its proposal: who comes or goes meanwhile shares the epoch."""
PACKAGE_WITHIN_MS = 10_000
COMMIT_WITHIN_MS = 3_000
"""Two round trips of a bad network, and a slow machine's work."""
MAX_REVOKED = 3
"""Then proposals stand until somebody commits, and who is added in vain is removed: those who come and go quickly keep
nobody waiting."""
ADDS_AT_ONCE = 100
"""More wait for the next epoch: proposals and welcome stay within `binary.MAX_PAYLOAD_BYTES`."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for several users."""

    user_ids: tuple[int, ...]
    message: DaveToClient


@dataclass(frozen=True, slots=True)
class Expelled:
    """This user does not take part as the protocol asks: end the session (4006), so that the client begins anew."""

    user_id: int


@dataclass(frozen=True, slots=True)
class EpochBegan:
    """The group went on: it has these members now."""

    epoch: int
    user_ids: tuple[int, ...]


Event = Expelled | EpochBegan


class Delivery:
    """One call. `counts` says what was not relayed, by reason: "late" is usual (each member commits, one wins).

    group_id: the room. All users here speak DAVE; those who do not are no business of this object.
    """

    def __init__(self, group_id: int, sender: ProposalSender) -> None:
        self._group_id = group_id
        self._sender = sender
        self._encrypted = True
        self._members: dict[int, Member] = {}
        self._group: Group | None = None
        self._transitions = Transitions()
        self._batch_due: Nanos | None = None
        self._commit_due: Nanos | None = None
        self._failures = 0
        """Attempts without a commit since the last one."""
        self._revoked = 0
        """How often proposals were taken back since the last commit."""
        self._outgoing: list[Outgoing] = []
        self._events: deque[Event] = deque()
        self.counts: Counter[str] = Counter()

    # ---- inputs ----

    def join(self, user_id: int, now: Nanos) -> None:
        """The user was told that the call is encrypted (opcode 4); a former session of the same user has left."""
        assert user_id not in self._members, "one session of a user at a time"
        self._members[user_id] = Member(user_id, now)
        self._send([user_id], binary.ExternalSender(self._sender.package))

    def leave(self, user_id: int, now: Nanos) -> None:
        """The user is not in the call any more. A no-op for one who was not."""
        if (member := self._members.pop(user_id, None)) is None:
            return
        self._transitions.left(user_id)
        self._execute(now)
        self._withdraw(member, now)

    def receive(self, user_id: int, message: DaveFromClient, now: Nanos) -> None:
        """One message of a user, from the user's own connection. Nothing in it is ever raised; see `counts`."""
        member = self._members.get(user_id)
        if member is None or not (self._encrypted or isinstance(message, TransitionReady)):
            self.counts["uncalled"] += 1
            return
        try:
            match message:
                case binary.KeyPackage():
                    self._on_package(member, KeyPackage.read(message.key_package, user_id), now)
                case binary.CommitWelcome():
                    self._on_commit(member, message.commit_welcome, now)
                case TransitionReady():
                    self._transitions.answered(user_id, message.transition_id)
                    self._execute(now)
                case InvalidCommitWelcome():
                    self._on_invalid(member, message.transition_id, now)
        except Refused as refused:
            self.counts[refused.reason] += 1

    def resumed(self, user_id: int, now: Nanos) -> None:
        """The user's connection was lost and is back: a key package that was lost with it is asked for again."""
        member = self._members.get(user_id)
        if member is not None and self._encrypted and member.state is State.ASKED:
            self._ask([member], now)

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        timers = [self._batch_due, self._commit_due, self._transitions.get_timer(), self._package_due()]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """Propose what has gathered; go on without those who did not answer."""
        self._execute(now)
        for member in list(self._members.values()):
            if self._encrypted and member.state is State.ASKED and now >= after_ms(member.asked, PACKAGE_WITHIN_MS):
                self.counts["no_key_package"] += 1
                self._expel(member, now)
        if self._commit_due is not None and now >= self._commit_due:
            self.counts["no_commit"] += 1
            self._fail(now)
        if self._batch_due is not None and now >= self._batch_due:
            self._batch_due = None
            self._propose(now)

    # ---- commands ----

    @property
    def encrypted(self) -> bool:
        """The version that the call is at, or goes to, is not 0."""
        return self._encrypted

    def downgrade(self, now: Nanos) -> None:
        """To version 0: somebody is there who cannot do better."""
        self._encrypted = False
        self._drop_group()
        users = set(self._members)
        transition = self._transitions.begin(users, now)
        self._send(users, PrepareTransition(protocol_version=0, transition_id=transition.id))

    def upgrade(self, now: Nanos) -> None:
        """Back to encryption, by a new group."""
        self._encrypted = True
        self._drop_group()
        self._ask(self._members.values(), now)

    # ---- outputs ----

    def to_send(self) -> list[Outgoing]:
        """In this order."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def next_event(self) -> Event | None:
        """What happened, oldest first."""
        return self._events.popleft() if self._events else None

    # ---- key packages ----

    def _on_package(self, member: Member, package: KeyPackage, now: Nanos) -> None:
        if member.state is State.MEMBER:  # the client began anew without a word
            member.recovers(now)
        self._withdraw(member, now)
        member.place = Place(member.user_id, package)
        member.state = State.WAITING
        self._schedule(after_ms(now, BATCH_MS))

    def _ask(self, members: Iterable[Member], now: Nanos) -> None:
        """For a new key package, and to forget the group."""
        users = []
        for member in members:
            member.state, member.place, member.asked = State.ASKED, None, now
            users.append(member.user_id)
        self._send(users, PrepareEpoch(protocol_version=DAVE_PROTOCOL_VERSION, epoch=1))

    def _withdraw(self, member: Member, now: Nanos) -> None:
        """The member's place is void: what is proposed is taken back if it is part of that, and a leaf is removed with
        the next epoch."""
        place, member.place = member.place, None
        if place is None or self._group is None:
            return
        if place in self._group.proposed and self._revoked < MAX_REVOKED:
            self._revoked += 1
            stayers = self._stayers()
            self._send(stayers, binary.Proposals(ProposalsOperation.REVOKE, self._group.revoke()))
            self._commit_due = None
        self._schedule(after_ms(now, BATCH_MS))

    def _package_due(self) -> Nanos | None:
        asked = [member.asked for member in self._members.values() if member.state is State.ASKED]
        return after_ms(min(asked), PACKAGE_WITHIN_MS) if asked and self._encrypted else None

    # ---- proposals ----

    def _schedule(self, due: Nanos) -> None:
        """Each attempt that failed makes the next one wait longer."""
        if self._failures:
            due = after_ms(due, min(FIRST_WAIT_MS << self._failures, LONGEST_WAIT_MS))
        self._batch_due = due if self._batch_due is None else min(due, self._batch_due)

    def _propose(self, now: Nanos) -> None:
        """What has gathered: who is to go, who is to come."""
        if not self._encrypted or (self._group is not None and self._group.proposing):
            return
        if not self._standing():
            self._begin(now)
        if self._group is None:
            return
        removed, added = self._leftover(), self._newcomers(now)
        if removed and not added and len(self._standing()) == 1:
            self._reset(now)
        elif removed or added:
            proposals = self._group.propose(removed, added)
            self._send(self._stayers(), binary.Proposals(ProposalsOperation.APPEND, proposals))
            self._commit_due = after_ms(now, COMMIT_WITHIN_MS)

    def _begin(self, now: Nanos) -> None:
        """A new group, which one of those who wait has alone: each has such a group ready, at epoch 0."""
        self._drop_group()
        waiting = self._waiting(now)
        if not waiting:
            return
        creator = min(waiting, key=lambda member: (member.distrusted, member.failures))
        assert creator.place is not None, "who waits has a key package"
        creator.state = State.MEMBER
        self._group = Group(self._group_id, self._sender, creator.place)

    def _waiting(self, now: Nanos) -> list[Member]:
        """Who may be added now; for the others the next attempt is scheduled."""
        waiting = [member for member in self._members.values() if member.state is State.WAITING]
        for member in waiting:
            if member.not_before > now:
                self._schedule(member.not_before)
        return [member for member in waiting if member.not_before <= now]

    def _newcomers(self, now: Nanos) -> list[Place]:
        """Whom to add now. After an attempt that failed it is one at a time, those last who were in it."""
        standing, added = self._standing(), list[Place]()
        for member in sorted(self._waiting(now), key=lambda member: member.failures):
            assert member.place is not None, "who waits has a key package"
            if added and (self._failures or member.failures or len(added) == ADDS_AT_ONCE):
                break
            if clashes(member.place.package, [*standing, *added]):
                self.counts["duplicate_key"] += 1
                self._expel(member, now)
            else:
                added.append(member.place)
        return added

    def _reset(self, now: Nanos) -> None:
        """Of a group one is left: it begins anew, so that the next who comes finds it at epoch 0."""
        members = self._in_group()
        self._drop_group()
        self._ask(members, now)
        at_once = PrepareTransition(protocol_version=DAVE_PROTOCOL_VERSION, transition_id=0)
        self._send([member.user_id for member in members], at_once)

    # ---- commits ----

    def _on_commit(self, member: Member, data: bytes, now: Nanos) -> None:
        if self._group is None:
            raise Refused("late")
        if member.distrusted and not all(other.distrusted for other in self._in_group()):
            raise Refused("distrusted")
        epoch = self._group.commit(data, member.user_id)
        self._commit_due = None
        self._failures = self._revoked = 0
        for place in epoch.added:
            if self._is_there(place):
                self._members[place.user_id].state = State.MEMBER
        for other in self._in_group():
            other.failures = 0
        self._announce(epoch, now)
        if self._leftover() or any(other.state is State.WAITING for other in self._members.values()):
            self._schedule(after_ms(now, BATCH_MS))

    def _announce(self, epoch: NewEpoch, now: Nanos) -> None:
        assert self._group is not None
        stayed = [place.user_id for place in epoch.stayed if self._is_there(place)]
        added = [place.user_id for place in epoch.added if self._is_there(place)]
        transition = self._transitions.begin({*stayed, *added}, now, committer=epoch.committer.user_id)
        self._send(stayed, binary.AnnounceCommit(transition.id, epoch.commit))
        self._send(added, binary.Welcome(transition.id, epoch.welcome))
        self._events.append(EpochBegan(self._group.epoch, tuple(place.user_id for place in self._group.leaves)))

    def _fail(self, now: Nanos) -> None:
        """Nobody made a good commit: everybody begins anew, and somebody else has the group."""
        assert self._group is not None, "without a group nothing is proposed"
        proposed = self._group.proposed
        blamed = self._in_group() + [member for member in self._members.values() if member.place in proposed]
        self._drop_group()
        self._failures += 1
        for member in blamed:
            member.failures += 1
            if member.failures >= MAX_FAILURES:
                self._expel(member, now)
        self._ask(self._in_group(), now)
        self._schedule(after_ms(now, BATCH_MS))

    def _on_invalid(self, member: Member, transition_id: int, now: Nanos) -> None:
        """The member could not use a commit or welcome; its new key package follows."""
        transition = self._transitions.find(transition_id)
        if transition is None or member.state is not State.MEMBER:
            raise Refused("uncalled")
        self.counts["invalid_reported"] += 1
        transition.refused.add(member.user_id)
        self._transitions.answered(member.user_id, transition_id)
        member.recovers(now)
        self._withdraw(member, now)
        member.state, member.asked = State.ASKED, now
        if member.user_id != transition.committer:
            self._blame(transition, now)
        self._execute(now)

    def _blame(self, transition: Transition, now: Nanos) -> None:
        """Half of the receivers could not use a commit: its committer makes no more. None could: all begin anew."""
        receivers = {user_id for user_id in transition.receivers if user_id in self._members}
        refused = len(receivers & transition.refused)
        committer = None if transition.committer is None else self._members.get(transition.committer)
        if committer is not None and 2 * refused >= len(receivers):
            committer.distrusted = True
        if refused == len(receivers):
            self.counts["nobody_could_use"] += 1
            members = self._in_group()
            self._drop_group()
            self._ask(members, now)

    # ---- all together ----

    def _execute(self, now: Nanos) -> None:
        if (transition := self._transitions.executed(now)) is not None:
            users = transition.users - transition.refused
            ready = [user_id for user_id in self._members if user_id in users]
            self._send(ready, ExecuteTransition(transition_id=transition.id))

    def _expel(self, member: Member, now: Nanos) -> None:
        """The user has no part in the call's encryption any more; the owner is told."""
        self._withdraw(member, now)
        del self._members[member.user_id]
        self._transitions.left(member.user_id)
        self._events.append(Expelled(member.user_id))

    def _drop_group(self) -> None:
        self._group = None
        self._commit_due = None
        self._transitions.clear()

    def _in_group(self) -> list[Member]:
        return [member for member in self._members.values() if member.state is State.MEMBER]

    def _is_there(self, place: Place) -> bool:
        """Its user has not left since, nor begun anew."""
        member = self._members.get(place.user_id)
        return member is not None and member.place is place

    def _standing(self) -> list[Place]:
        """The leaves of those who are there."""
        return [place for place in self._group.leaves if self._is_there(place)] if self._group else []

    def _leftover(self) -> list[Place]:
        """The other leaves."""
        return [place for place in self._group.leaves if not self._is_there(place)] if self._group else []

    def _stayers(self) -> list[int]:
        """Who has the proposals, or is to have them."""
        return [place.user_id for place in self._group.stayers() if self._is_there(place)] if self._group else []

    def _send(self, user_ids: Iterable[int], message: DaveToClient) -> None:
        if users := tuple(user_ids):
            self._outgoing.append(Outgoing(users, message))
