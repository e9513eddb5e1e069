"""Real members (davey) around one delivery service, in virtual time: every message travels, nothing waits."""

import heapq
import itertools

import davey

from raccall.units import Nanos, after_ms
from raccall.voice.delivery.sender import ProposalSender
from raccall.voice.delivery.service import Delivery, EpochBegan, Expelled
from raccall.voice.gateway import binary, messages

ROOM = 77
START = Nanos(10**9)
FRAME = b"\x78" + bytes(range(60))


class Person:
    """A client of the published protocol: what discord.py does with these messages, on davey.

    Override a method, or list opcodes in `deaf_to`, for one who misbehaves.
    """

    def __init__(self, call, user_id):
        self.call, self.user_id = call, user_id
        self.dave = davey.DaveSession(1, user_id, ROOM)
        self.deaf_to = set()
        self.mute_of = set()
        self.expected = set()
        self.heard = []
        self.pending = {}
        self.executed = []
        self.version = 1
        self.invalid = 0

    def begin(self):
        """What opcode 4 leads to."""
        self.call.from_client(self, binary.KeyPackage(self.dave.get_serialized_key_package()))

    def begin_anew(self):
        self.dave.reinit(1, self.user_id, ROOM)
        self.begin()

    def receive(self, message):
        self.heard.append(message)
        if int(message.opcode) in self.deaf_to:
            return
        match message:
            case binary.ExternalSender(external_sender=sender):
                self.dave.set_external_sender(sender)
            case binary.Proposals(operation=operation, proposals=proposals):
                self.propose(operation, proposals)
            case binary.AnnounceCommit(transition_id=transition, commit=commit):
                self.use(transition, lambda: self.dave.process_commit(commit))
            case binary.Welcome(transition_id=transition, welcome=welcome):
                self.use(transition, lambda: self.dave.process_welcome(welcome))
            case messages.PrepareTransition(protocol_version=version, transition_id=transition):
                self.pending[transition] = version
                if transition == 0:
                    self.execute(0)
                else:
                    self.call.from_client(self, messages.TransitionReady(transition_id=transition))
            case messages.ExecuteTransition(transition_id=transition):
                self.execute(transition)
            case messages.PrepareEpoch(epoch=1):
                self.begin_anew()

    def propose(self, operation, proposals):
        kind = davey.ProposalsOperationType.revoke if operation else davey.ProposalsOperationType.append
        result = self.dave.process_proposals(kind, proposals, sorted(self.expected))
        if result is not None:
            self.commit(result.commit + (result.welcome or b""))

    def commit(self, data):
        self.call.from_client(self, binary.CommitWelcome(data))

    def use(self, transition, process):
        try:
            process()
        except Exception:  # davey has no error class of its own
            self.invalid += 1
            self.call.from_client(self, messages.InvalidCommitWelcome(transition_id=transition))
            self.begin_anew()
            return
        self.pending[transition] = 1
        self.call.from_client(self, messages.TransitionReady(transition_id=transition))

    def execute(self, transition):
        self.executed.append(transition)
        self.version = self.pending.pop(transition)

    def opcodes(self):
        return [int(message.opcode) for message in self.heard]


class Call:
    """Messages take `delay_ms` each way, in order for each person."""

    def __init__(self, delay_ms=20):
        self.delivery = Delivery(ROOM, ProposalSender())
        self.now = START
        self.delay_ms = delay_ms
        self.people = {}
        self.epochs = []
        self.expelled = []
        self.sent = []
        self._under_way = []
        self._order = itertools.count()

    def join(self, *user_ids, kind=Person):
        joined = []
        for user_id in user_ids:
            person = self.enter(kind(self, user_id))
            self._drain()
            person.begin()
            joined.append(person)
        return joined[0] if len(joined) == 1 else joined

    def enter(self, person):
        """Join, but bring no key package."""
        self.people[person.user_id] = person
        person.expected = set(self.people)
        for other in self.people.values():
            self._later(other, lambda other=other: other.expected.add(person.user_id))
        self.delivery.join(person.user_id, self.now)
        return person

    def leave(self, *user_ids):
        for user_id in user_ids:
            del self.people[user_id]
            for other in self.people.values():
                self._later(other, lambda other=other, user_id=user_id: other.expected.discard(user_id))
            self.delivery.leave(user_id, self.now)
            self._drain()

    def from_client(self, person, message):
        if int(message.opcode) not in person.mute_of:
            self._later(person, lambda: self._arrive(person, message))

    def do(self, command):
        command(self.now)
        self._drain()

    def run(self, milliseconds=1000):
        """Let time go by."""
        end = after_ms(self.now, milliseconds)
        while True:
            timer = self.delivery.get_timer()
            due = self._under_way[0][0] if self._under_way else None
            nearest = min((time for time in (timer, due) if time is not None), default=None)
            if nearest is None or nearest > end:
                self.now = end
                return self
            self.now = max(self.now, nearest)
            if due is not None and due <= self.now:
                heapq.heappop(self._under_way)[2]()
            else:
                self.delivery.handle_timer(self.now)
                self._drain()
                after = self.delivery.get_timer()
                assert after is None or after > self.now, "a timer that was handled is over"

    def agrees(self, *user_ids):
        """They are in one epoch of one group, and nobody else is."""
        users = list(user_ids or self.people)
        sessions = [self.people[user_id].dave for user_id in users]
        ready = all(session.ready and set(session.get_user_ids()) == set(map(str, users)) for session in sessions)
        return ready and len({(session.epoch, session.get_epoch_authenticator()) for session in sessions}) == 1

    def hears_everyone(self, *user_ids):
        """Each opens what each other says."""
        users = list(user_ids or self.people)
        for speaker in users:
            sealed = self.people[speaker].dave.encrypt_opus(FRAME)
            for listener in users:
                if listener != speaker:
                    opened = self.people[listener].dave.decrypt(speaker, davey.MediaType.audio, sealed)
                    if opened != FRAME:
                        return False
        return True

    def _arrive(self, person, message):
        if self.people.get(person.user_id) is person:
            self.delivery.receive(person.user_id, message, self.now)
            self._drain()

    def _drain(self):
        for outgoing in self.delivery.to_send():
            self.sent.append(outgoing)
            for user_id in outgoing.user_ids:
                if (person := self.people.get(user_id)) is not None:
                    self._later(person, lambda person=person, message=outgoing.message: person.receive(message))
        while (event := self.delivery.next_event()) is not None:
            match event:
                case EpochBegan():
                    self.epochs.append(event)
                case Expelled(user_id=user_id):
                    self.expelled.append(user_id)

    def _later(self, person, action):
        heapq.heappush(self._under_way, (after_ms(self.now, self.delay_ms), next(self._order), action))
