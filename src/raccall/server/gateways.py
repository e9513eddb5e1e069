"""The two WebSockets, `/gateway` and the voice gateway at `/`: from an accepted connection to hub and calls.

They are served before HTTP's own layers (routes, errors, body limits): a connection that lasts has no use for them, and
they were a good part of its memory.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from raccall.clock import monotonic_now
from raccall.errors import StorageError
from raccall.server.control import ControlGatewayServer
from raccall.server.doorway import Stranger
from raccall.server.service import Service
from raccall.server.sockets import SocketLink
from raccall.server.tunnel import Tunnel
from raccall.voice.gateway.server import Tunnelled, VoiceGatewayServer
from raccall.wire import control

TRY_AGAIN_LATER = 1013
"""WebSocket close code (RFC 6455's registry); before the handshake it becomes a refused upgrade."""


class Gateways:
    """An ASGI application that hands everything else to `http`. `on_change` is called when the hub's timer may have
    moved."""

    def __init__(self, http: ASGIApp, service: Service, on_change: Callable[[], None]) -> None:
        self._http = http
        self._service = service
        self._on_change = on_change
        self._gateways = {"/gateway": self._serve_control, "/": self._serve_voice}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway = self._gateways.get(scope["path"]) if scope["type"] == "websocket" else None
        if gateway is None:
            await self._http(scope, receive, send)
            return
        socket = WebSocket(scope, receive, send)
        with self._service.doorway.enter(_peer(socket)) as stranger:
            if stranger is None:
                await socket.close(TRY_AGAIN_LATER)
            else:
                await gateway(socket, stranger)

    async def _serve_control(self, socket: WebSocket, stranger: Stranger) -> None:
        hub = self._service.hub
        link = await _accept(self._service, socket, ControlGatewayServer(monotonic_now()))

        async def on_event(event: Any) -> None:
            if isinstance(event, control.Say):
                await self._say(link, event)
            else:
                hub.on_event(link, event)
                self._on_change()

        await _serve(link, stranger, on_event, hub.on_lost, self._on_change)

    async def _say(self, link: SocketLink[ControlGatewayServer], event: control.Say) -> None:
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

    async def _serve_voice(self, socket: WebSocket, stranger: Stranger) -> None:
        calls = self._service.calls
        core = VoiceGatewayServer(monotonic_now(), version=socket.query_params.get("v"))
        link = await _accept(self._service, socket, core)
        tunnel = Tunnel(self._service.relay_address(), socket.send_bytes, self._service.tunnels)

        async def on_event(event: Any) -> None:
            if isinstance(event, Tunnelled):
                await tunnel.to_relay(event.datagram)
            else:
                calls.on_event(link, event)
                self._on_change()

        try:
            await _serve(link, stranger, on_event, calls.on_lost, self._on_change)
        finally:
            tunnel.close()


C = TypeVar("C", ControlGatewayServer, VoiceGatewayServer)


async def _accept(service: Service, socket: WebSocket, core: C) -> SocketLink[C]:
    await socket.accept()
    host, port = service.announced(socket.headers.get("host", ""), socket.scope.get("server"))
    return SocketLink(socket, core, host, port)


def _peer(socket: WebSocket) -> str | None:
    return socket.client.host if socket.client else None


async def _serve(
    link: SocketLink[C],
    stranger: Stranger,
    on_event: Callable[[Any], Awaitable[None]],
    on_lost: Callable[[SocketLink[C], int | None, Any], None],
    on_change: Callable[[], None],
) -> None:
    async def then_let_in(event: Any) -> None:
        await on_event(event)
        if link.core.known:
            stranger.let_in()

    code = None
    try:
        code = await link.run(then_let_in)
    finally:
        on_lost(link, code, monotonic_now())
        on_change()
