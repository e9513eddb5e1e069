"""What a store can do, whatever keeps the data. Synchronous: a server calls it from a thread of its own."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUser:
    id: int
    name: str
    recorder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRoom:
    id: int
    name: str
    """Unique, whatever its case."""
    recording: str = "ask"
    """"off", "ask" or "automatic"."""
    retention_days: int | None = None
    """How long the server's own recordings of it are kept; None: for ever."""
    encryption: str = "preferred"
    """"required", "preferred" or "off"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A line of text. Its id tells when it was said."""

    id: int
    room_id: int
    user_id: int
    name: str
    """The sender's name at that time."""
    text: str


class Store(Protocol):
    """Users, rooms, messages and settings."""

    def add_user(self, user: StoredUser) -> None: ...

    def user(self, user_id: int) -> StoredUser | None: ...

    def add_room(self, room: StoredRoom) -> None:
        """Raises RefusedError `room_exists` if there is one with this name."""

    def set_recording(self, room_id: int, recording: str, retention_days: int | None) -> None:
        """Change what `StoredRoom` says about recording. A no-op for a room that is not there."""

    def set_encryption(self, room_id: int, encryption: str) -> None:
        """Change what `StoredRoom` says about it. A no-op for a room that is not there."""

    def rooms(self) -> list[StoredRoom]:
        """All, the oldest first."""

    def set_silenced(self, room_id: int, user_id: int, wanted: bool) -> None:
        """Whom the room's owner lets nobody hear. Both must be there."""

    def silenced(self, room_id: int) -> set[int]:
        """User ids."""

    def add_message(self, message: StoredMessage) -> None: ...

    def messages(self, room_id: int, *, before: int | None = None, limit: int = 50) -> list[StoredMessage]:
        """The newest `limit` of a room (older than message `before`), the oldest of them first."""

    def setting(self, key: str) -> str | None: ...

    def set_setting(self, key: str, value: str) -> None: ...

    def close(self) -> None: ...
