"""Which calls are encrypted end to end, and the delivery service of each.

A room's setting decides: `required` lets nobody in who cannot, `preferred` goes down to version 0 for everybody while
such a client is in the call and up again when it has left, `off` never begins. What happens in a call is taken up at
the next look at the clock, all at once: then each delivery service is told who is there now.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from raccall.server.rooms import ENCRYPTED_CAPACITY, Room, Rooms
from raccall.units import Nanos
from raccall.voice.delivery.sender import ProposalSender
from raccall.voice.delivery.service import Delivery, EpochBegan, Expelled
from raccall.voice.gateway.binary import DaveFromClient, DaveToClient
from raccall.voice.gateway.codes import DAVE_PROTOCOL_VERSION, CloseCode
from raccall.wire.control import EncryptionPolicy, EncryptionState

log = logging.getLogger("raccall.server")


class Party(Protocol):
    """One voice session, as encryption sees it."""

    dave_version: int
    """The newest that the client speaks."""
    described_dave_version: int
    """What the client was told last that the call is at."""
    connected: bool
    """Not yet: it has said what it speaks, and waits for IP discovery."""

    @property
    def user_id(self) -> int: ...


P = TypeVar("P", bound=Party)


class Carrier(Protocol[P]):
    """Who has the voice sessions."""

    def parties(self, room_id: int) -> list[P]:
        """Those that are connected, or about to be."""

    def pass_on(self, room_id: int, user_ids: Iterable[int], message: DaveToClient) -> None: ...

    def describe_again(self, party: P) -> None:
        """Tell the client the version that the call is at now."""

    def send_away(self, party: P, code: CloseCode) -> None: ...


@dataclass(eq=False, slots=True)
class _Call(Generic[P]):
    delivery: Delivery
    parties: dict[int, P] = field(default_factory=dict)
    """Those whom the delivery service knows, by user id."""


_Input = Callable[[Nanos], None]


class Encryption(Generic[P]):
    """Of all rooms. `on_state` is called with a room's id when what people are shown of its encryption has changed."""

    def __init__(self, rooms: Rooms, carrier: Carrier[P]) -> None:
        self.on_state: Callable[[int], None] = lambda room_id: None
        self._rooms = rooms
        self._carrier = carrier
        self._sender = ProposalSender()
        self._calls: dict[int, _Call[P]] = {}  # by room id
        self._changed: set[int] = set()
        self._inputs: deque[_Input] = deque()  # of connected clients, whose gateways limit their rate
        self._told: dict[int, EncryptionState] = {}
        self._former: Counter[str] = Counter()

    def refusals(self) -> Counter[str]:
        """What the delivery services did not relay, or waited for in vain, by reason; since the start."""
        return sum((call.delivery.counts for call in self._calls.values()), self._former.copy())

    # ---- what calls ask and tell ----

    def admits(self, room: Room, dave_version: int) -> bool:
        """May a client that speaks this version be in the call?"""
        return room.encryption is not EncryptionPolicy.REQUIRED or dave_version >= DAVE_PROTOCOL_VERSION

    def version(self, room_id: int) -> int:
        """What the call is at, or goes to. One who cannot counts before being connected, so that the others take plain
        voice when it comes."""
        room = self._rooms.get(room_id)
        if room.encryption is EncryptionPolicy.OFF:
            return 0
        if room.encryption is EncryptionPolicy.REQUIRED:
            return DAVE_PROTOCOL_VERSION
        parties = self._carrier.parties(room_id)
        able = all(party.dave_version >= DAVE_PROTOCOL_VERSION for party in parties)
        return DAVE_PROTOCOL_VERSION if able and len(parties) <= ENCRYPTED_CAPACITY else 0

    def state(self, room_id: int) -> EncryptionState:
        """What people are shown."""
        room = self._rooms.get(room_id)
        parties = [] if room.encryption is EncryptionPolicy.OFF else self._carrier.parties(room_id)
        without = [str(party.user_id) for party in parties if party.dave_version < DAVE_PROTOCOL_VERSION]
        return EncryptionState(policy=room.encryption, active=self.version(room_id) > 0, without=sorted(without))

    def set_policy(self, room: Room, policy: EncryptionPolicy) -> None:
        """A room's owner decided anew. Where encryption is required now, clients that cannot are sent away (4017)."""
        self._told.setdefault(room.id, self.state(room.id))
        room.encryption = policy
        self.touch(room.id)

    def touch(self, room_id: int) -> None:
        """Somebody came to the call or left it."""
        self._changed.add(room_id)

    def receive(self, room_id: int, party: P, message: DaveFromClient) -> None:
        def hand_over(now: Nanos) -> None:
            if (call := self._calls.get(room_id)) and call.parties.get(party.user_id) is party:
                call.delivery.receive(party.user_id, message, now)
                self._drain(room_id, call)

        self._inputs.append(hand_over)

    def resumed(self, room_id: int, party: P) -> None:
        """The client's connection was lost and is back."""

        def ask_again(now: Nanos) -> None:
            if (call := self._calls.get(room_id)) and call.parties.get(party.user_id) is party:
                call.delivery.resumed(party.user_id, now)
                self._drain(room_id, call)

        self._inputs.append(ask_again)

    # ---- time ----

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        if self._changed or self._inputs:
            return Nanos(0)
        timers = (call.delivery.get_timer() for call in self._calls.values())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """Take up what happened, and what is due."""
        while self._changed:
            self._adjust(self._changed.pop(), now)
        while self._inputs:
            self._inputs.popleft()(now)
        for room_id, call in list(self._calls.items()):
            timer = call.delivery.get_timer()
            if timer is not None and now >= timer:
                call.delivery.handle_timer(now)
                self._drain(room_id, call)

    # ---- inside ----

    def _adjust(self, room_id: int, now: Nanos) -> None:
        """Lead the delivery service to what should be."""
        parties = {party.user_id: party for party in self._carrier.parties(room_id) if party.connected}
        call = self._calls.get(room_id)
        if call is not None:
            for user_id, party in list(call.parties.items()):
                if parties.get(user_id) is not party:
                    del call.parties[user_id]
                    call.delivery.leave(user_id, now)
        if not parties:
            self._forget(room_id)
        elif self.version(room_id):
            self._go_up(room_id, list(parties.values()), now)
        elif call is not None and call.delivery.encrypted:
            call.delivery.downgrade(now)
        if (call := self._calls.get(room_id)) is not None:
            self._drain(room_id, call)
        self._tell_state(room_id)

    def _go_up(self, room_id: int, parties: list[P], now: Nanos) -> None:
        call = self._calls.get(room_id)
        if call is None:
            call = self._calls[room_id] = _Call(Delivery(room_id, self._sender))
        elif not call.delivery.encrypted:
            call.delivery.upgrade(now)
        for party in parties:
            if party.user_id in call.parties:
                continue
            if party.dave_version < DAVE_PROTOCOL_VERSION:
                self._carrier.send_away(party, CloseCode.ENCRYPTION_REQUIRED)
                continue
            if party.described_dave_version < DAVE_PROTOCOL_VERSION:
                # It came when the call was at version 0 and has no session to upgrade: it gets one as a joiner does.
                self._carrier.describe_again(party)
            call.parties[party.user_id] = party
            call.delivery.join(party.user_id, now)

    def _forget(self, room_id: int) -> None:
        if (call := self._calls.pop(room_id, None)) is not None:
            self._former.update(call.delivery.counts)

    def _drain(self, room_id: int, call: _Call[P]) -> None:
        for outgoing in call.delivery.to_send():
            self._carrier.pass_on(room_id, outgoing.user_ids, outgoing.message)
        while (event := call.delivery.next_event()) is not None:
            match event:
                case Expelled(user_id=user_id):
                    if (party := call.parties.pop(user_id, None)) is not None:
                        self._carrier.send_away(party, CloseCode.SESSION_INVALID)
                case EpochBegan(epoch=epoch, user_ids=user_ids):
                    fields = {"room_id": str(room_id), "epoch": epoch, "members": len(user_ids)}
                    log.info("epoch_began", extra={"fields": fields})

    def _tell_state(self, room_id: int) -> None:
        state = self.state(room_id)
        at_first = EncryptionState(policy=state.policy, active=state.policy is not EncryptionPolicy.OFF)
        before, self._told[room_id] = self._told.get(room_id, at_first), state
        if before != state:
            self.on_state(room_id)
