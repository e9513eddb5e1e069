"""The two WebSockets, `/gateway` and the voice gateway at `/`: from a connection that wants one to hub and calls."""

from collections.abc import Awaitable, Callable
from typing import Any

from raccall.clock import monotonic_now
from raccall.errors import StorageError
from raccall.server.connection import Connection
from raccall.server.control import ControlGatewayServer
from raccall.server.handshake import Head, HeadMalformed
from raccall.server.service import Service
from raccall.server.tunnel import Tunnel
from raccall.units import Nanos
from raccall.voice.gateway.binary import MAX_PAYLOAD_BYTES
from raccall.voice.gateway.server import OFFERED_MODES, OLD_MODES, VoiceGatewayServer
from raccall.voice.gateway.server_events import Tunnelled
from raccall.wire import control

ControlConnection = Connection[ControlGatewayServer]
VoiceConnection = Connection[VoiceGatewayServer]

CONTROL_PATH = "/gateway"
VOICE_PATH = "/"
MAX_VOICE_MESSAGE_BYTES = MAX_PAYLOAD_BYTES + 1
"""Of the longest, a commit with its welcome, and its opcode."""
PATHS = (CONTROL_PATH, VOICE_PATH)


class Gateways:
    """Of one server, by path. `on_change` is called when the hub's timer may have moved."""

    def __init__(self, service: Service, on_change: Callable[[], None]) -> None:
        self._service = service
        self._control = ControlOwner(service, on_change)
        self._voice = VoiceOwner(service, on_change)

    def connection(
        self,
        head: Head,
        *,
        reached: tuple[str, int],
        peer: str | None,
        all: set[Any],
        on_known: Callable[[], None],
    ) -> Connection[Any]:
        """What serves it from now on. `reached`: the server's address, as the client's connection came to it.

        Raises HeadMalformed.
        """
        if head.path not in PATHS:
            raise HeadMalformed(404)
        greeting = head.switching()
        host, port = self._service.announced(head.headers.get("host", ""), reached)
        now = monotonic_now()
        core: Any = ControlGatewayServer(now)
        owner: Any = self._control
        limit_bytes = control.MAX_MESSAGE_BYTES
        if head.path == VOICE_PATH:
            modes = OFFERED_MODES + OLD_MODES if self._service.settings.old_modes else OFFERED_MODES
            core, owner = VoiceGatewayServer(now, version=head.query("v"), modes=modes), self._voice
            limit_bytes = MAX_VOICE_MESSAGE_BYTES
        return Connection(
            core,
            owner,
            host=host,
            port=port,
            peer=peer,
            max_message_bytes=limit_bytes,
            all=all,
            on_known=on_known,
            greeting=greeting,
        )


class ControlOwner:
    """Hub and store, for all control connections."""

    def __init__(self, service: Service, on_change: Callable[[], None]) -> None:
        self._service = service
        self._on_change = on_change

    def on_event(self, link: ControlConnection, event: Any) -> Awaitable[None] | None:
        if isinstance(event, control.Say):
            return self._say(link, event)
        self._service.hub.on_event(link, event)
        self._on_change()
        return None

    def on_writable(self, link: ControlConnection) -> None:
        """Nothing waits for it."""

    def on_lost(self, link: ControlConnection, code: int | None, now: Nanos) -> None:
        self._service.hub.on_lost(link, code, now)
        self._on_change()

    async def _say(self, link: ControlConnection, event: control.Say) -> None:
        """Stored first, told then: a line that people saw is a line that lasts."""
        service = self._service
        line = service.line(link, event)
        if line is not None:
            stored, told = line
            try:
                await service.in_store_thread(lambda: service.store.add_message(stored))
            except StorageError as error:
                service.hub.refuse(link, error)
            else:
                service.hub.tell_line(stored.room_id, told)


class VoiceOwner:
    """Calls and tunnels, for all voice connections."""

    def __init__(self, service: Service, on_change: Callable[[], None]) -> None:
        self._service = service
        self._on_change = on_change
        self._tunnels: dict[VoiceConnection, Tunnel] = {}

    def on_event(self, link: VoiceConnection, event: Any) -> Awaitable[None] | None:
        if isinstance(event, Tunnelled):
            return self._tunnel(link).to_relay(event.datagram)
        self._service.calls.on_event(link, event)
        self._on_change()
        return None

    def on_writable(self, link: VoiceConnection) -> None:
        if (tunnel := self._tunnels.get(link)) is not None:
            tunnel.carry()

    def on_lost(self, link: VoiceConnection, code: int | None, now: Nanos) -> None:
        if (tunnel := self._tunnels.pop(link, None)) is not None:
            tunnel.close()
        self._service.calls.on_lost(link, code, now)
        self._on_change()

    def _tunnel(self, link: VoiceConnection) -> Tunnel:
        if (tunnel := self._tunnels.get(link)) is None:
            tunnel = Tunnel(self._service.relay_address(), link, self._service.tunnels)
            self._tunnels[link] = tunnel
        return tunnel
