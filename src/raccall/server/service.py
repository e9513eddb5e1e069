"""Everything a running server has, joined: store, tokens, rooms, calls, hub. Knows no HTTP."""

import asyncio
import ipaddress
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from raccall.clock import monotonic_now, wall_now
from raccall.errors import InputError
from raccall.server.address_limits import AddressLimits
from raccall.server.audience import ControlLink
from raccall.server.calls import Calls
from raccall.server.doorway import Doorway
from raccall.server.hub import Hub
from raccall.server.rooms import DEFAULT_ENCRYPTION, Room, Rooms
from raccall.server.routing import RelayHandle
from raccall.server.settings import INVITE_LASTS, ServerSettings, join_address, split_address
from raccall.server.tokens import Tokens, User
from raccall.server.tunnel import TunnelCounts
from raccall.server.watch import Watch
from raccall.store import Snowflakes, Store, StoredMessage, StoredRoom, StoredUser
from raccall.units import Nanos
from raccall.wire import control
from raccall.wire.control import EncryptionPolicy, RecordingPolicy

T = TypeVar("T")

GUESTS_BURST = 30
GUESTS_PER_SECOND = 0.5
"""New guests from one address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where clients find this server."""

    scheme: str
    """"http" or "https"."""
    address: str
    """host:port."""
    fingerprint: str | None
    """Of a self-signed certificate."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    def link(self, token: str) -> str:
        """The invite link that carries a token."""
        return f"{self.url}/join/{token}" + (f"#{self.fingerprint}" if self.fingerprint else "")


class Service:
    """One server, for one event loop. Only the store is used by another thread: one, so that writes stay in order."""

    def __init__(
        self, settings: ServerSettings, place: Place, port: int, store: Store, secret: bytes, relay: RelayHandle
    ) -> None:
        self.settings = settings
        self.place = place
        self.port = port
        self.store = store
        self.relay = relay
        self.tokens = Tokens(secret)
        self.rooms = Rooms(settings.room_capacity)
        self.calls = Calls(relay, self.rooms)
        self.hub = Hub(self.rooms, self.calls, self.tokens)
        self.store_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self.tunnels = TunnelCounts()
        self.doorway = Doorway()
        self.watch = Watch()
        self.started = monotonic_now()
        self._snowflakes = Snowflakes()
        self._guest_limits = AddressLimits(burst=GUESTS_BURST, per_second=GUESTS_PER_SECOND)
        for room in store.rooms():
            self.add_room(room).silenced = store.silenced(room.id)
        if not any(room.name.casefold() == check_name(settings.room).casefold() for room in self.rooms.all()):
            first = self.new_room(settings.room)
            store.add_room(first)
            self.add_room(first)
        self._apply_settings(self.rooms.get(self.first_room_id()))

    def new_room(self, name: str) -> StoredRoom:
        """To be stored and then added. Raises InputError `name_malformed`."""
        return StoredRoom(id=self.new_id(), name=check_name(name), encryption=DEFAULT_ENCRYPTION.value)

    def add_room(self, room: StoredRoom) -> Room:
        """Open a stored room."""
        return self.rooms.add(
            room.id,
            room.name,
            RecordingPolicy(room.recording),
            room.retention_days,
            EncryptionPolicy(room.encryption),
        )

    def keep_policy(self, room_id: int, policy: RecordingPolicy, retention_days: int | None) -> None:
        """Waits for the store; `Hub.set_policy` puts it into force."""
        self.store.set_recording(room_id, policy.value, retention_days)

    def keep_encryption(self, room_id: int, encryption: EncryptionPolicy) -> None:
        """Waits for the store; `Hub.set_encryption` puts it into force."""
        self.store.set_encryption(room_id, encryption.value)

    def keep_silenced(self, room_id: int, user_id: int, silenced: bool) -> None:
        """Waits for the store; `Hub.silence` has put it into force."""
        self.store.set_silenced(room_id, user_id, silenced)

    def first_room_id(self) -> int:
        """Of the room that the first invite leads to."""
        wanted = check_name(self.settings.room).casefold()
        return next(room.id for room in self.rooms.all() if room.name.casefold() == wanted)

    def invite(self, room_id: int) -> tuple[str, datetime]:
        """A link and when it expires. Raises RefusedError `room_unknown`."""
        self.rooms.get(room_id)
        expires = wall_now() + INVITE_LASTS
        return self.place.link(self.tokens.invite(room_id, expires)), expires

    def new_guest(self, invite: str, name: str, *, recorder: bool, bot: bool, appointed: bool) -> User:
        """Let someone in, if the invite is good and the name is free. Raises RefusedError or InputError."""
        room_id = self.tokens.read_invite(invite, wall_now())
        user = User(
            id=self.new_id(),
            name=check_name(name),
            recorder=recorder,
            room_id=room_id,
            appointed=appointed,
            bot=bot,
        )
        self.hub.check_guest(user)
        return user

    def keep_guest(self, user: User) -> None:
        """Waits for the store."""
        self.store.add_user(StoredUser(id=user.id, name=user.name, recorder=user.recorder))

    def guest_allowed(self, address: str, now: Nanos) -> bool:
        """Does this address not make guests too fast?"""
        return self._guest_limits.allow(address, now)

    def line(self, link: ControlLink, say: control.Say) -> tuple[StoredMessage, control.TextMessage] | None:
        """A line as it is stored and as it is told; None if it may not be said (the client was told why)."""
        user = self.hub.line_allowed(link, say.room_id, say.text)
        if user is None:
            return None
        wall = wall_now()
        stored = StoredMessage(
            id=self._snowflakes.new(wall), room_id=user.room_id, user_id=user.id, name=user.name, text=say.text
        )
        told = control.TextMessage(
            message_id=str(stored.id),
            room_id=say.room_id,
            user_id=str(user.id),
            name=user.name,
            text=say.text,
            wall=wall.isoformat(timespec="milliseconds"),
            nonce=say.nonce[: control.MAX_NAME_CHARS * 4],
        )
        return stored, told

    def announced(self, host_header: str, reached: tuple[str, int] | None) -> tuple[str, int]:
        """Host and port that a client is told: the public address, else what the client itself used.

        A name that led to loopback becomes the address it led to: "localhost" may mean IPv4 to one program and IPv6 to
        the next.
        """
        if self.settings.public_address is not None:
            return split_address(self.settings.public_address, self.port)
        local = reached[0] if reached else self.settings.hosts[0]
        try:
            host, port = split_address(host_header, self.port)
        except InputError:
            return local, self.port
        return (local, port) if host == "localhost" else (host, port)

    def relay_address(self) -> tuple[str, int]:
        """Where this machine reaches the relay."""
        host, port = self.relay.addresses[0]
        ip = ipaddress.ip_address(host)
        if ip.is_unspecified:
            host = "::1" if ip.version == 6 else "127.0.0.1"
        return host, port

    async def in_store_thread(self, work: Callable[[], T]) -> T:
        """The disk may be slow; the event loop does not wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self.store_thread, work)

    def new_id(self) -> int:
        return self._snowflakes.new(wall_now())

    def _apply_settings(self, room: Room) -> None:
        """What the server was started with holds for its first room, from now on."""
        if self.settings.encryption is not None:
            room.encryption = self.settings.encryption
            self.keep_encryption(room.id, room.encryption)
        if self.settings.recording is None and self.settings.retention_days is None:
            return
        room.policy = self.settings.recording or room.policy
        room.retention_days = self.settings.retention_days or room.retention_days
        self.keep_policy(room.id, room.policy, room.retention_days)

    def close(self) -> None:
        """After the last connection has gone."""
        self.store_thread.shutdown()
        self.store.close()


def check_name(name: str) -> str:
    """A name for a person or room without the spaces around it. Raises InputError `name_malformed`."""
    name = " ".join(name.split())
    if not 0 < len(name) <= control.MAX_NAME_CHARS or not name.isprintable():
        raise InputError("name_malformed", f"A name has 1 to {control.MAX_NAME_CHARS} visible characters.")
    return name


def place_of(settings: ServerSettings, host: str, port: int, fingerprint: str | None) -> Place:
    """What invite links say: the public address, else `host`."""
    where = (host, port) if settings.public_address is None else split_address(settings.public_address, port)
    scheme = "https" if settings.encrypted else "http"
    return Place(scheme=scheme, address=join_address(*where), fingerprint=fingerprint)
