"""Whose packets go to whom: computed once per change into a table, which the relay only looks up.

plan(voices) -> table and diff(old, new) -> commands are pure; `apply` hands the commands to a relay.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

KEY_BYTES = 32


LANES = 256


def lane(room_id: int) -> int:
    """The lowest byte of the SSRC of every voice in this room.

    By it the relay's threads divide the rooms among them (crates/relay/src/steer.rs).
    """
    return zlib.crc32(room_id.to_bytes(8, "big")) % LANES


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One voice session, as routing sees it."""

    session_id: int
    room_id: int
    ssrc: int
    mode: str
    key: bytes = field(repr=False)
    connected: bool
    """It has its key. Before, the relay knows it for IP discovery only."""
    records: bool
    """It keeps what it hears."""
    bot: bool = False
    """It hears everyone, not only the loudest, and keeps nothing."""
    silenced: bool = False
    """By the room's owner: nobody gets it."""
    may_be_kept: bool
    """Its user agreed to that, as far as the room asks (`Room.may_keep`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table."""

    ssrc: int
    mode: str
    key: bytes = field(repr=False)
    room_id: int
    hears_all: bool
    """Not only the loudest: what is kept must be whole."""
    destinations: tuple[int, ...]
    """Session ids, sorted."""
    silenced: bool = False


Table = dict[int, Entry]
"""By session id."""


@dataclass(frozen=True, slots=True)
class AddSession:
    """Of a session that is there already: a new key or mode; its address stays known."""

    session_id: int
    ssrc: int
    mode: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetRoom:
    """Where it competes to be among the loudest, and whether it hears only those."""

    session_id: int
    room_id: int
    hears_all: bool


@dataclass(frozen=True, slots=True)
class SetSilenced:
    session_id: int
    silenced: bool


@dataclass(frozen=True, slots=True)
class SetRoute:
    session_id: int
    destinations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RemoveSession:
    session_id: int


Command = AddSession | SetRoom | SetSilenced | SetRoute | RemoveSession


class RelayHandle(Protocol):
    """What the control plane asks of a relay."""

    def add_session(self, session_id: int, ssrc: int, mode: str, key: bytes) -> None: ...
    def remove_session(self, session_id: int) -> None: ...
    def set_room(self, session_id: int, room_id: int, hears_all: bool) -> None: ...
    def set_silenced(self, session_id: int, silenced: bool) -> None: ...
    def set_route(self, session_id: int, destinations: list[int]) -> None: ...
    def set_address(self, session_id: int, address: tuple[str, int], *, proven: bool) -> None: ...
    def counters(self) -> dict[str, int]: ...
    def session_stats(self, session_id: int) -> dict[str, int] | None: ...
    def latency(self) -> tuple[list[tuple[float, int]], int, float]: ...

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """(IP address, port) of its sockets."""

    @property
    def shortage(self) -> str | None:
        """One sentence for the owner if the system gave it less than it asked for."""

    def stop(self) -> None: ...


def plan(voices: Iterable[Voice]) -> Table:
    """Everyone in a room hears everyone else in it; but what may not be kept never reaches one who records."""
    voices = list(voices)
    everybody: dict[int, list[int]] = {}  # who hears in a room: session ids, sorted
    keeping: dict[int, set[int]] = {}  # and who of them records
    for voice in sorted(voices, key=lambda voice: voice.session_id):
        if voice.connected:
            everybody.setdefault(voice.room_id, []).append(voice.session_id)
            if voice.records:
                keeping.setdefault(voice.room_id, set()).add(voice.session_id)
    table: Table = {}
    for voice in voices:
        listeners = everybody.get(voice.room_id, []) if voice.connected else []
        destinations = heard_by(voice, listeners, keeping.get(voice.room_id, set()))
        table[voice.session_id] = Entry(
            ssrc=voice.ssrc,
            mode=voice.mode,
            key=voice.key,
            room_id=voice.room_id,
            hears_all=voice.records or voice.bot,
            destinations=tuple(destinations),
            silenced=voice.silenced,
        )
    return table


def heard_by(voice: Voice, listeners: list[int], keeping: set[int]) -> list[int]:
    """The sessions that get this voice. listeners: all that hear in its room, sorted. keeping: those of them that
    record."""
    own = bisect_left(listeners, voice.session_id)
    if listeners[own : own + 1] == [voice.session_id]:
        listeners = listeners[:own] + listeners[own + 1 :]
    if voice.may_be_kept or not keeping:
        return listeners
    return [listener for listener in listeners if listener not in keeping]


def diff(old: Table, new: Table) -> list[Command]:
    """The commands that lead from one table to the other: first who comes, then the routes, then who goes."""
    commands: list[Command] = []
    for session_id, entry in new.items():
        before = old.get(session_id)
        if before is None or (before.mode, before.key) != (entry.mode, entry.key):
            commands.append(AddSession(session_id, entry.ssrc, entry.mode, entry.key))
        if before is None or (before.room_id, before.hears_all) != (entry.room_id, entry.hears_all):
            commands.append(SetRoom(session_id, entry.room_id, entry.hears_all))
        if (before is not None and before.silenced) != entry.silenced:
            commands.append(SetSilenced(session_id, entry.silenced))
    for session_id, entry in new.items():
        before = old.get(session_id)
        if entry.destinations != (before.destinations if before else ()):
            commands.append(SetRoute(session_id, entry.destinations))
    commands += [RemoveSession(session_id) for session_id in old if session_id not in new]
    return commands


def apply(commands: Iterable[Command], relay: RelayHandle) -> None:
    """Hand the commands over, in order."""
    for command in commands:
        match command:
            case AddSession():
                relay.add_session(command.session_id, command.ssrc, command.mode, command.key)
            case SetRoom():
                relay.set_room(command.session_id, command.room_id, command.hears_all)
            case SetSilenced():
                relay.set_silenced(command.session_id, command.silenced)
            case SetRoute():
                relay.set_route(command.session_id, list(command.destinations))
            case RemoveSession():
                relay.remove_session(command.session_id)
