"""Who is in which room's call. In memory, pure; what must last of a room is in the store."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from raccall.errors import RefusedError
from raccall.wire.control import Consent, EncryptionPolicy, RecordingPolicy

DEFAULT_CAPACITY = 100
"""People in one room's call. As many recorders may be there besides: a full room can still be kept."""
ENCRYPTED_CAPACITY = 100
"""Members of a call that is encrypted end to end. Each who comes or goes costs everyone a commit, which takes longer
the more there are (`bench dave`). A room that requires encryption is full then; one that prefers it does without."""
DEFAULT_ENCRYPTION = EncryptionPolicy.REQUIRED
"""Of a new room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in a room's call."""

    user_id: int
    name: str
    recording: bool = False
    """A recorder: everyone is shown that the call is kept."""
    bot: bool = False
    """A program that hears everyone, however many speak, and keeps nothing. Let in as one by the owner's token."""
    muted: bool = False
    deafened: bool = False
    """Hears nobody; their client says so, and gets all the same."""
    consent: Consent = Consent.UNDECIDED
    """To being recorded."""
    told: bool = False
    """The answer to the member's wish to join said that this room is always recorded."""


@dataclass(slots=True)
class Room:
    id: int
    name: str
    policy: RecordingPolicy = RecordingPolicy.ASK
    retention_days: int | None = None
    encryption: EncryptionPolicy = DEFAULT_ENCRYPTION
    members: dict[int, Member] = field(default_factory=dict)
    """By user id, in the order they came."""
    names: set[str] = field(default_factory=set)
    """Of the members, folded."""
    silenced: set[int] = field(default_factory=set)
    """User ids, who are there or not: the owner let nobody get their voices."""
    recorded_since: str | None = None
    """When the first of the recorders who are there came: UTC, ISO 8601."""

    @property
    def recorders(self) -> list[Member]:
        return [member for member in self.members.values() if member.recording]

    def may_keep(self, user_id: int) -> bool:
        """May a recorder get this user's voice? Never without a yes, unless they came knowing that all is kept."""
        member = self.members.get(user_id)
        if member is None or self.policy is RecordingPolicy.OFF:
            return False
        if member.consent is Consent.UNDECIDED:
            return self.policy is RecordingPolicy.AUTOMATIC and member.told
        return member.consent is Consent.YES


class Rooms:
    """All rooms of this server."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._rooms: dict[int, Room] = {}

    def add(
        self,
        room_id: int,
        name: str,
        policy: RecordingPolicy = RecordingPolicy.ASK,
        retention_days: int | None = None,
        encryption: EncryptionPolicy = DEFAULT_ENCRYPTION,
    ) -> Room:
        """A new, empty room."""
        room = self._rooms[room_id] = Room(room_id, name, policy, retention_days, encryption)
        return room

    def all(self) -> list[Room]:
        """In the order they were added."""
        return list(self._rooms.values())

    def get(self, room_id: int) -> Room:
        """Raises RefusedError `room_unknown`."""
        if (room := self._rooms.get(room_id)) is None:
            raise RefusedError("room_unknown", "This room does not exist.")
        return room

    def check_space(self, room_id: int, *, recorder: bool = False) -> None:
        """Is there room for one more person (or recorder)? Raises RefusedError `room_full` or `room_unknown`."""
        room = self.get(room_id)
        if room.encryption is EncryptionPolicy.REQUIRED and len(room.members) >= ENCRYPTED_CAPACITY:
            raise RefusedError(
                "room_full", f"The room {room.name} is full: an encrypted call holds {ENCRYPTED_CAPACITY} members."
            )
        if len(room.members) < self._capacity:
            return
        if sum(member.recording is recorder for member in room.members.values()) >= self._capacity:
            who = "recorders" if recorder else "people"
            raise RefusedError("room_full", f"The room {room.name} is full: {self._capacity} {who} are in it.")

    def join(self, room_id: int, member: Member) -> bool:
        """Enter the call, or be there with new properties. True if the member was not there before.

        Raises RefusedError `room_unknown`, `room_full`, `name_taken`.
        """
        room = self.get(room_id)
        new = member.user_id not in room.members
        if new:
            self.check_space(room_id, recorder=member.recording)
            if fold(member.name) in room.names:
                raise name_taken(member.name)
            room.names.add(fold(member.name))
        room.members[member.user_id] = member
        return new

    def leave(self, room_id: int, user_id: int) -> bool:
        """False if the user was not there."""
        room = self._rooms.get(room_id)
        if room is None or (member := room.members.pop(user_id, None)) is None:
            return False
        room.names.discard(fold(member.name))
        return True

    def set_muted(self, room_id: int, user_id: int, muted: bool) -> Member:
        """The member as it is now. Raises RefusedError `not_in_call` or `room_unknown`."""
        return self._change(room_id, user_id, muted=muted)

    def set_deafened(self, room_id: int, user_id: int, deafened: bool) -> Member:
        """The member as it is now. Raises RefusedError `not_in_call` or `room_unknown`."""
        return self._change(room_id, user_id, deafened=deafened)

    def set_consent(self, room_id: int, user_id: int, consent: Consent) -> Member:
        """The member as it is now. Raises RefusedError `not_in_call` or `room_unknown`."""
        return self._change(room_id, user_id, consent=consent)

    def set_silenced(self, room_id: int, user_id: int, silenced: bool) -> Member:
        """Who is silenced stays so when they come back. Raises RefusedError `member_unknown` or `room_unknown`."""
        room = self.get(room_id)
        if (member := room.members.get(user_id)) is None:
            raise member_unknown()
        if silenced:
            room.silenced.add(user_id)
        else:
            room.silenced.discard(user_id)
        return member

    def _change(self, room_id: int, user_id: int, **changes: Any) -> Member:
        members = self.get(room_id).members
        if user_id not in members:
            raise RefusedError("not_in_call", "You are not in this room's call.")
        members[user_id] = replace(members[user_id], **changes)
        return members[user_id]


@lru_cache(maxsize=10_000)
def fold(name: str) -> str:
    """Names that look alike to a hurried reader are the same name."""
    return " ".join(name.casefold().split())


def member_unknown() -> RefusedError:
    return RefusedError("member_unknown", "Nobody with this id is in the room's call.")


def name_taken(name: str) -> RefusedError:
    return RefusedError("name_taken", f"Someone named {name} is in the room already; choose another name.")
