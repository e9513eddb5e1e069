"""A group in virtual time: a delivery service of a few lines, members of ours (`Handshake`) and davey's own."""

from collections.abc import Iterable

import davey

from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.dave.events import Event, Group, KeysArrived, Switched, Work
from raccall.voice.dave.handshake import Handshake
from raccall.voice.e2ee import DAVE_PROTOCOL_VERSION
from raccall.voice.gateway import binary, messages
from raccall.voice.gateway.binary import ProposalsOperation
from tests.voice.delivery_stand_in import ExternalSender, split, vector

CHANNEL = 777


class Ours:
    """A member with its steps of MLS done at once, unless `paused`."""

    def __init__(self, user_id: int, **options: object) -> None:
        self.user_id = user_id
        self.now = Nanos(0)
        self.handshake = Handshake(user_id, CHANNEL, **options)  # type: ignore[arg-type]
        self.events: list[Event] = []
        self.sent: list[object] = []
        self.paused = False
        self.waiting: list[Work] = []

    def take(self, *incoming: object) -> "Ours":
        for message in incoming:
            self.handshake.receive(message, self.now)  # type: ignore[arg-type]
            self.drain()
        return self

    def described(self, version: int = DAVE_PROTOCOL_VERSION) -> "Ours":
        self.handshake.describe(version, self.now)
        self.drain()
        return self

    def expect(self, *user_ids: int) -> "Ours":
        self.handshake.expect(user_ids, self.now)
        self.drain()
        return self

    def pass_ms(self, ms: int) -> None:
        self.now = Nanos(self.now + ms * NANOS_PER_MS)
        timer = self.handshake.get_timer()
        if timer is not None and timer <= self.now:
            self.handshake.handle_timer(self.now)
        self.drain()

    def drain(self) -> None:
        while (event := self.handshake.next_event()) is not None:
            if not isinstance(event, Work):
                self.events.append(event)
            elif self.paused:
                self.waiting.append(event)
            else:
                self.handshake.finish(event.run(), self.now)
        self.sent += self.handshake.to_send()

    def work(self) -> None:
        (work,) = self.waiting
        self.waiting.clear()
        self.handshake.finish(work.run(), self.now)
        self.drain()

    def last(self, kind: type) -> object:
        return [event for event in self.events if isinstance(event, kind)][-1]

    def sent_of(self, kind: type) -> list[object]:
        return [message for message in self.sent if isinstance(message, kind)]

    @property
    def key_package(self) -> bytes:
        return self.sent_of(binary.KeyPackage)[-1].key_package  # type: ignore[attr-defined]

    @property
    def group(self) -> Group:
        """The newest that could be opened, told by its transition."""
        switched = self.last(Switched)
        assert isinstance(switched, Switched) and switched.group is not None
        return switched.group

    @property
    def code(self) -> str:
        return self.group.code.replace(" ", "")


class Theirs:
    """A member that no one here wrote."""

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        self.session = davey.DaveSession(DAVE_PROTOCOL_VERSION, user_id, CHANNEL)
        self.key_package = b""

    @property
    def code(self) -> str:
        return self.session.voice_privacy_code or ""


class Service:
    """Orders changes, one at a time, with transitions numbered from 1. `members`: of the group."""

    def __init__(self) -> None:
        self.sender = ExternalSender(CHANNEL)
        self.epoch = 0
        self.transition = 0
        self.leaves: list[int] = []
        self.members: dict[int, Ours | Theirs] = {}

    def welcome_in(self, *members: Ours | Theirs) -> None:
        """Tell them whose proposals count; ours answer with a key package once they are described."""
        for member in members:
            if isinstance(member, Ours):
                member.take(binary.ExternalSender(self.sender.package()))
            else:
                member.session.set_external_sender(self.sender.package())
                member.key_package = member.session.get_serialized_key_package()

    def found(self, creator: Ours | Theirs) -> None:
        self.leaves, self.members, self.epoch = [creator.user_id], {creator.user_id: creator}, 0

    def add(self, newcomer: Ours | Theirs, *, execute: bool = True, committer: int | None = None) -> int:
        return self.change(self.sender.add(self.epoch, newcomer.key_package), newcomer, execute, committer)

    def remove(self, user_id: int, *, execute: bool = True) -> int:
        gone = self.members.pop(user_id)
        leaf, self.leaves[self.leaves.index(user_id)] = self.leaves.index(user_id), 0
        return self.change(self.sender.remove(self.epoch, leaf), None, execute, None, but=gone)

    def change(
        self,
        proposal: bytes,
        newcomer: Ours | Theirs | None,
        execute: bool,
        committer: int | None,
        but: object = None,
    ) -> int:
        """Propose, let the first (or `committer`) win, announce. Returns the transition."""
        answers = {user: body for user, body in self.propose(proposal).items() if committer in (None, user)}
        commit, welcome = split(next(iter(answers.values())))
        self.announce(commit, welcome, newcomer)
        if execute:
            self.execute()
        return self.transition

    def propose(self, proposal: bytes) -> dict[int, bytes]:
        """What op 28 brings, by member."""
        answers = {}
        for user_id, member in self.members.items():
            if isinstance(member, Ours):
                before = len(member.sent_of(binary.CommitWelcome))
                member.take(binary.Proposals(ProposalsOperation.APPEND, vector(proposal)))
                for answer in member.sent_of(binary.CommitWelcome)[before:]:
                    answers[user_id] = answer.commit_welcome  # type: ignore[attr-defined]
            else:
                result = member.session.process_proposals(davey.ProposalsOperationType.append, vector(proposal))
                assert result is not None
                answers[user_id] = result.commit + (result.welcome or b"")
        return answers

    def announce(self, commit: bytes, welcome: bytes, newcomer: Ours | Theirs | None) -> None:
        self.epoch += 1
        self.transition += 1
        for member in list(self.members.values()):
            if isinstance(member, Ours):
                member.take(binary.AnnounceCommit(self.transition, commit))
            else:
                member.session.process_commit(commit)
        if newcomer is None:
            return
        if 0 in self.leaves:
            self.leaves[self.leaves.index(0)] = newcomer.user_id
        else:
            self.leaves.append(newcomer.user_id)
        self.members[newcomer.user_id] = newcomer
        if isinstance(newcomer, Ours):
            newcomer.take(binary.Welcome(self.transition, welcome))
        else:
            newcomer.session.process_welcome(welcome)

    def execute(self, transition: int | None = None) -> None:
        for member in self.members.values():
            if isinstance(member, Ours):
                member.take(messages.ExecuteTransition(transition_id=transition or self.transition))


def ids(*members: Ours | Theirs) -> Iterable[str]:
    return [str(member.user_id) for member in members]


def joined(*members: Ours | Theirs) -> Service:
    """All of them in one group, everybody shown to everybody."""
    service = Service()
    everyone = [member.user_id for member in members]
    for member in members:
        if isinstance(member, Ours):
            member.expect(*everyone).described()
    service.welcome_in(*members)
    service.found(members[0])
    for member in members[1:]:
        service.add(member)
    return service


__all__ = ["CHANNEL", "KeysArrived", "Ours", "Service", "Theirs", "ids", "joined"]
