"""Who is in which room's call. In memory, pure; what must last of a room is in the store."""

from dataclasses import dataclass, field, replace

from raccall.errors import RefusedError

DEFAULT_CAPACITY = 100
"""Members of one room's call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in a room's call."""

    user_id: int
    name: str
    recording: bool = False
    """A recorder: everyone is shown that the call is kept."""
    muted: bool = False


@dataclass(slots=True)
class Room:
    id: int
    name: str
    members: dict[int, Member] = field(default_factory=dict)
    """By user id, in the order they came."""


class Rooms:
    """All rooms of this server."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._rooms: dict[int, Room] = {}

    def add(self, room_id: int, name: str) -> None:
        """A new, empty room."""
        self._rooms[room_id] = Room(room_id, name)

    def all(self) -> list[Room]:
        """In the order they were added."""
        return list(self._rooms.values())

    def get(self, room_id: int) -> Room:
        """Raises RefusedError `room_unknown`."""
        if (room := self._rooms.get(room_id)) is None:
            raise RefusedError("room_unknown", "This room does not exist.")
        return room

    def check_space(self, room_id: int) -> None:
        """Raises RefusedError `room_full` or `room_unknown`."""
        room = self.get(room_id)
        if len(room.members) >= self._capacity:
            raise RefusedError("room_full", f"The room {room.name} is full: {self._capacity} people are in it.")

    def join(self, room_id: int, member: Member) -> bool:
        """Enter the call, or be there with new properties. True if the member was not there before.

        Raises RefusedError `room_unknown`, `room_full`, `name_taken`.
        """
        room = self.get(room_id)
        new = member.user_id not in room.members
        if new:
            self.check_space(room_id)
            if any(fold(other.name) == fold(member.name) for other in room.members.values()):
                raise name_taken(member.name)
        room.members[member.user_id] = member
        return new

    def leave(self, room_id: int, user_id: int) -> bool:
        """False if the user was not there."""
        room = self._rooms.get(room_id)
        return room is not None and room.members.pop(user_id, None) is not None

    def set_muted(self, room_id: int, user_id: int, muted: bool) -> Member:
        """The member as it is now. Raises RefusedError `not_in_call` or `room_unknown`."""
        members = self.get(room_id).members
        if user_id not in members:
            raise RefusedError("not_in_call", "You are not in this room's call.")
        members[user_id] = replace(members[user_id], muted=muted)
        return members[user_id]


def fold(name: str) -> str:
    """Names that look alike to a hurried reader are the same name."""
    return " ".join(name.casefold().split())


def name_taken(name: str) -> RefusedError:
    return RefusedError("name_taken", f"Someone named {name} is in the room already; choose another name.")
