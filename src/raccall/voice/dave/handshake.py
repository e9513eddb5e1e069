"""A member's side of DAVE, as a core: which keys encrypt and open a call's voice. No socket, no clock, no thread.

    op 4 ─▶ 26 key package ─▶ (25 whose proposals count, 11/13 who is here)
    27 proposals ─▶ MLS ─▶ 28        the commit that all members make; one of them wins
    29 commit, 30 welcome ─▶ MLS ─▶ KeysArrived ─▶ 23        from now on the new epoch can be opened
    22 ─▶ Switched                   from now on it is what we send with; transition 0: at once
    24 with epoch 1 ─▶ 26            a new group is made
    21 with version 0 ─▶ ClearAhead ─▶ 23 ─▶ 22 ─▶ Switched        encryption ends, if that is allowed here

MLS takes tens of milliseconds in a big room, and its steps must not overtake each other. So they are events, too: each
`Work` is to be run by a thread, and what it gives handed to `finish`; until then messages wait in their order. The
caller hands KeysArrived and Switched to the engine before it sends what `to_send` gives.

The delivery service is not believed. A commit or welcome that cannot be used is answered with 31 and a new key package
(more and more slowly, if that does not end). Whoever is to be added, or is in the group that a welcome opens, must be
among the people that are shown; they may be shown a moment later, so a stranger is waited for, then refused: `Ghosts`.
"""

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raccall.units import Nanos, after_ms
from raccall.voice.dave import steps
from raccall.voice.dave.events import (
    Answer,
    ClearAhead,
    ClearRefused,
    Event,
    Ghosts,
    Group,
    Incoming,
    KeysArrived,
    Outcome,
    Recovering,
    Settled,
    Switched,
    Work,
)
from raccall.voice.dave.people import People
from raccall.voice.dave.proposals import added_users
from raccall.voice.dave.recoveries import Recoveries
from raccall.voice.e2ee import DAVE_PROTOCOL_VERSION, DaveMember
from raccall.voice.gateway import binary, messages

STRANGER_WAIT_MS = 5_000
"""How long one whom the group has before people are shown them may take: two connections tell of it."""
SETTLE_WAIT_MS = 5_000
"""After that a call goes on without keys: it listens, and sends nothing."""
CLEAR_WAIT_MS = 1_000
"""Before somebody is told that the server wants a call in clear where that is not allowed: that the owner allowed it
may arrive a moment later, on another connection. Nothing is sent in clear meanwhile."""
MAX_WAITING = 256
"""Messages behind a step of MLS. More are dropped, the newest first, and the group is entered anew."""
MAX_PENDING = 16
"""Transitions; the oldest is dropped first."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Waits for strangers to be shown."""

    strangers: frozenset[int]
    due: Nanos
    accept: Callable[[Nanos], None]
    refuse: Callable[[Nanos], None]


class Handshake:
    """One member in one voice session. `counts`: what was ignored or refused, by reason.

    identity_key: the private P-256 key that others recognise us by, 32 bytes; made anew when None. clear_allowed: the
    server may take the call to version 0. Raises DaveError ("bad_key").
    """

    def __init__(
        self, user_id: int, channel_id: int, *, identity_key: bytes | None = None, clear_allowed: bool = True
    ) -> None:
        self._member = DaveMember(user_id, channel_id, identity_key)
        self._clear_allowed = clear_allowed
        self._people = People(user_id)
        self._events: deque[Event] = deque()
        self._outgoing: deque[Answer] = deque()
        self._inbox: deque[Incoming] = deque()
        self._then: Callable[[Outcome, Nanos], None] | None = None  # while a step is under way
        self._held: _Held | None = None
        self._overflowed = False
        self._has_sender = False
        self._taking_part = False  # a key package is out, or a group is there
        self._group: Group | None = None
        self._pending: dict[int, Switched] = {}
        self._clear_wanted: int | None = None  # transition by which the server wanted it, and was refused
        self._clear_told_at: Nanos | None = None  # when somebody is to be told of that
        self._recover: tuple[int, Nanos] | None = None
        self._recoveries = Recoveries()
        self._refused: frozenset[int] = frozenset()
        self._ghosts: frozenset[int] = frozenset()
        self._settle_by: Nanos | None = None
        self._settled = False
        self.version: int | None = None
        """Of the call: what we send with. None until it was described."""
        self.counts: Counter[str] = Counter()

    # ---- inputs ----

    def describe(self, version: int, now: Nanos) -> None:
        """Op 4, the session's first."""
        self.version = version if version or self._clear_allowed else DAVE_PROTOCOL_VERSION
        self._settle_by = after_ms(now, SETTLE_WAIT_MS)
        self._events.append(Switched(self.version, None, 0))
        if self.version != version:
            self._refuse_clear(0, now)
        if version:
            self._inbox.appendleft(messages.PrepareEpoch(protocol_version=version, epoch=1))  # it asks for the same
        else:
            self._settle()
        self._look(now)
        self._advance(now)

    def describe_again(self, version: int, now: Nanos) -> None:
        """A further op 4: a new transport key, and perhaps the beginning of encryption in a call that was in clear."""
        if version and not self._taking_part and self._recover is None:
            self._inbox.append(messages.PrepareEpoch(protocol_version=version, epoch=1))
            self._advance(now)

    def receive(self, message: Incoming, now: Nanos) -> None:
        """One message of the voice gateway. Raises ValueError for what cannot be, and keeps nothing of it."""
        match message:
            case messages.ClientsConnect():
                self._people.connect(message.user_ids)
                self._look(now)
            case messages.ClientDisconnect():
                self._people.disconnect(message.user_id, now)
                self._look(now)
            case _ if len(self._inbox) >= MAX_WAITING:
                self.counts["overflow"] += 1
                self._overflowed = True
            case _:
                self._inbox.append(message)
        self._advance(now)

    def expect(self, user_ids: Iterable[int], now: Nanos) -> None:
        """People are shown these as being in the room. Once told, the voice gateway's own list counts no more."""
        self._people.tell(user_ids, now)
        self._look(now)
        self._advance(now)

    def allow_clear(self, allowed: bool) -> None:
        """May the server take the call to version 0? What it wanted before it was allowed to happens now. A call in
        clear that may not be so any longer sends nothing until there are keys."""
        self._clear_allowed = allowed
        if allowed and self._clear_wanted is not None:
            self._switch(Switched(0, None, self._clear_wanted))
        elif not allowed and self.version == 0:
            self.version, self._clear_wanted = DAVE_PROTOCOL_VERSION, 0
            self._events.append(Switched(DAVE_PROTOCOL_VERSION, None, 0))

    def finish(self, outcome: Outcome, now: Nanos) -> None:
        """What the `Work` under way gave."""
        then, self._then = self._then, None
        assert then is not None, "what is finished was begun"
        then(outcome, now)
        self._look(now)
        self._advance(now)

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        timers = [
            self._held.due if self._held else None,
            self._recover[1] if self._recover and self._then is None else None,
            self._people.next_change() if self._group else None,
            None if self._settled else self._settle_by,
            self._clear_told_at,
        ]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """Wait no longer for what is overdue."""
        if self._settle_by is not None and now >= self._settle_by:
            self._settle()
        if self._recover is not None and now >= self._recover[1] and self._then is None:
            self._begin_anew(self._recover[0])
        if self._clear_told_at is not None and now >= self._clear_told_at:
            self._clear_told_at = None
            self._events.append(ClearRefused())
        self._look(now)
        self._advance(now)

    # ---- outputs ----

    def next_event(self) -> Event | None:
        """The oldest event not yet taken."""
        return self._events.popleft() if self._events else None

    def to_send(self) -> list[Answer]:
        """Messages for the voice gateway, in this order. They outlast a lost connection."""
        ready = list(self._outgoing)
        self._outgoing.clear()
        return ready

    def fingerprint(self, user_id: int) -> str:
        """45 digits that this member and `user_id` see alike. In a thread: takes 50 ms. Raises DaveError."""
        return self._member.fingerprint(user_id)

    # ---- messages, in their order ----

    def _advance(self, now: Nanos) -> None:
        while self._then is None and self._held is None and self._inbox:
            self._take(self._inbox.popleft(), now)
        if self._overflowed and self._then is None and self._held is None:
            self._overflowed = False
            self._lose(0, "overflow", now)

    def _take(self, message: Incoming, now: Nanos) -> None:
        match message:
            case binary.ExternalSender():
                self._has_sender = True
                self._start(steps.external_sender(message.external_sender), self._on_checked)
            case messages.PrepareEpoch(protocol_version=version, epoch=epoch):
                if version == DAVE_PROTOCOL_VERSION and epoch == 1:
                    self._begin_anew()
                else:
                    self.counts["epoch_ignored"] += 1
            case messages.PrepareTransition():
                self._on_prepare(message, now)
            case messages.ExecuteTransition(transition_id=transition_id):
                self._on_execute(transition_id, now)
            case _ if not (self._taking_part and self._has_sender):
                self.counts["uncalled"] += 1
            case binary.Proposals():
                self._on_proposals(message, now)
            case binary.AnnounceCommit(transition_id=transition_id, commit=commit):
                self._start(steps.commit(commit), lambda outcome, now: self._on_commit(outcome, transition_id, now))
            case binary.Welcome(transition_id=transition_id, welcome=welcome):
                self._start(steps.welcome(welcome), lambda outcome, now: self._on_welcome(outcome, transition_id, now))

    def _on_prepare(self, message: messages.PrepareTransition, now: Nanos) -> None:
        if message.protocol_version > DAVE_PROTOCOL_VERSION:
            self.counts["version_ignored"] += 1
        elif message.protocol_version:
            self._prepare(Switched(message.protocol_version, self._group, message.transition_id))
        elif self._clear_allowed:
            self._events.append(ClearAhead())
            self._prepare(Switched(0, None, message.transition_id))
        else:
            self._refuse_clear(message.transition_id, now)

    def _on_execute(self, transition_id: int, now: Nanos) -> None:
        if transition_id not in self._pending:
            self.counts["transition_ignored"] += 1
            return
        for earlier in list(self._pending):  # what was prepared before is void
            switched = self._pending.pop(earlier)
            if earlier != transition_id:
                continue
            if switched.version or self._clear_allowed:
                self._switch(switched)
            else:
                self._refuse_clear(transition_id, now)
            return

    def _on_proposals(self, message: binary.Proposals, now: Nanos) -> None:
        strangers = self._people.unknown(added_users(message.operation, message.proposals), now)
        if not strangers:
            self._propose(message.body, now)
            return

        def refuse(now: Nanos) -> None:
            self.counts["strangers"] += 1

        self._hold(strangers, lambda now: self._propose(message.body, now), refuse, now)

    def _propose(self, body: bytes, now: Nanos) -> None:
        self._start(steps.proposals(body), self._on_proposed)

    def _on_proposed(self, outcome: Outcome, now: Nanos) -> None:
        self._on_checked(outcome, now)
        if outcome.answer is not None:
            self._outgoing.append(binary.CommitWelcome(outcome.answer))

    def _on_commit(self, outcome: Outcome, transition_id: int, now: Nanos) -> None:
        if outcome.error == "no_group":  # somebody else's group won; its welcome is on the way
            self._on_checked(outcome, now)
        elif outcome.error is not None:
            self._lose(transition_id, outcome.error, now)
        elif outcome.group is not None:
            self._admit(outcome.group, transition_id, now)

    def _on_welcome(self, outcome: Outcome, transition_id: int, now: Nanos) -> None:
        if outcome.group is None:
            self._lose(transition_id, outcome.error or "failed", now)
        else:
            self._admit(outcome.group, transition_id, now)

    def _on_checked(self, outcome: Outcome, now: Nanos) -> None:
        if outcome.error is not None:
            self.counts[outcome.error] += 1

    # ---- epochs ----

    def _admit(self, group: Group, transition_id: int, now: Nanos) -> None:
        """Its keys are used only if everyone in it is shown."""

        def refuse(now: Nanos) -> None:
            self.counts["strangers"] += 1
            self._lose(transition_id, "unexpected_user", now)

        if strangers := self._people.unknown(group.identities, now):
            self._hold(strangers, lambda now: self._enter(group, transition_id), refuse, now)
        else:
            self._enter(group, transition_id)

    def _enter(self, group: Group, transition_id: int) -> None:
        self._group, self._refused = group, frozenset()
        self._events.append(KeysArrived(group.keys))
        self._prepare(Switched(DAVE_PROTOCOL_VERSION, group, transition_id))

    def _prepare(self, switched: Switched) -> None:
        if switched.transition_id == 0:
            self._pending.clear()
            self._switch(switched)
            return
        self._pending.pop(switched.transition_id, None)
        self._pending[switched.transition_id] = switched
        if len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._outgoing.append(messages.TransitionReady(transition_id=switched.transition_id))

    def _refuse_clear(self, transition_id: int, now: Nanos) -> None:
        self._clear_wanted, self._clear_told_at = transition_id, after_ms(now, CLEAR_WAIT_MS)

    def _switch(self, switched: Switched) -> None:
        self.version, self._clear_wanted, self._clear_told_at = switched.version, None, None
        if not switched.version:
            self._group, self._taking_part, self._recover = None, False, None
        self._events.append(switched)
        self._settle()

    # ---- beginning, and beginning anew ----

    def _begin_anew(self, transition_id: int | None = None) -> None:
        """Leave the group, if there is one. transition_id: of the commit or welcome that could not be used."""
        self._group, self._recover, self._clear_wanted, self._clear_told_at = None, None, None, None
        self._pending.clear()
        if transition_id is not None:
            self._outgoing.append(messages.InvalidCommitWelcome(transition_id=transition_id))
        self._taking_part = True
        self._start(steps.new_key_package, self._on_key_package)

    def _on_key_package(self, outcome: Outcome, now: Nanos) -> None:
        if outcome.answer is not None:
            self._outgoing.append(binary.KeyPackage(outcome.answer))
        self._on_checked(outcome, now)

    def _lose(self, transition_id: int, reason: str, now: Nanos) -> None:
        """The group cannot be used any more: enter it anew, at once or when we have waited long enough."""
        if not self._taking_part:
            return
        self._group, self._taking_part = None, False
        self.counts["recovered"] += 1
        self._events.append(Recovering(reason))
        if wait_ms := self._recoveries.wait_ms(now):
            self._recover = (transition_id, after_ms(now, wait_ms))
        else:
            self._begin_anew(transition_id)

    # ---- strangers ----

    def _hold(
        self,
        strangers: frozenset[int],
        accept: Callable[[Nanos], None],
        refuse: Callable[[Nanos], None],
        now: Nanos,
    ) -> None:
        due = after_ms(now, STRANGER_WAIT_MS)
        self._held = _Held(strangers, due, accept, refuse)

    def _look(self, now: Nanos) -> None:
        """Whether we are alone, who is waited for is shown now, and somebody listens who is not."""
        if self.version is not None and self._people.alone:
            self._settle()
        if (held := self._held) is not None:
            strangers = self._people.unknown(held.strangers, now)
            if not strangers:
                self._held = None
                held.accept(now)
            elif now >= held.due:
                self._held, self._refused = None, strangers
                held.refuse(now)
        roster = self._group.identities if self._group is not None else ()
        ghosts = self._people.unknown({*self._refused, *roster}, now)
        if ghosts != self._ghosts:
            self._ghosts = ghosts
            self._events.append(Ghosts(ghosts))

    # ---- inside ----

    def _settle(self) -> None:
        if not self._settled:
            self._settled = True
            self._events.append(Settled())

    def _start(self, step: steps.Step, then: Callable[[Outcome, Nanos], None]) -> None:
        self._then = then
        self._events.append(Work(functools.partial(steps.run, step, self._member)))
