"""Where every TCP connection begins: counted by its address, given little time, and handed to who serves it.

    accepted ─▶ a place in the doorway ─▶ TLS ─▶ head of the first request ─▶ a gateway's Connection, or HTTP

Whoever connects and says nothing, or says it byte by byte, holds one of its address's places, and for seconds only.
"""

import asyncio
import ssl
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from raccall.server.doorway import Doorway, Stranger
from raccall.server.gateways import Gateways
from raccall.server.handshake import Head, HeadMalformed, read_head, refusal

HEAD_WITHIN_S = 10.0
"""From the connection to the end of the first request's head, TLS included."""
EXCHANGE_WITHIN_S = 30.0
"""From a request's first byte to the last one of its answer. Bodies are small (`body_limit`)."""


class FrontDoor(asyncio.Protocol):
    """One connection that has not said what it wants."""

    def __init__(
        self,
        gateways: Gateways,
        doorway: Doorway,
        tls: ssl.SSLContext | None,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._gateways = gateways
        self._doorway = doorway
        self._tls = tls
        self._http = (config, server_state, app_state)
        self._connections = cast(set[Any], server_state.connections)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._stranger: Stranger | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._securing: asyncio.Task[None] | None = None
        self._begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else None
        self._stranger = self._doorway.enter(self._peer)
        if self._tls is None:
            if self._stranger is None:
                self._refuse(503)
            else:
                self._deadline = self._loop.call_later(HEAD_WITHIN_S, transport.abort)
        elif self._stranger is None:
            transport.abort()  # a sentence would cost a TLS handshake
        else:
            self._transport = None  # what is read until then is not for us
            self._securing = self._loop.create_task(self._secure(transport, self._tls))

    def data_received(self, data: bytes) -> None:
        self._begun += data
        if self._transport is not None:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def shutdown(self) -> None:
        """The server stops."""
        if self._transport is not None:
            self._transport.close()
        elif self._securing is not None:
            self._securing.cancel()

    async def _secure(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            secured = await self._loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=HEAD_WITHIN_S
            )
        except (OSError, asyncio.CancelledError):  # no TLS, or not in time
            transport.abort()
            self._leave()
            return
        if secured is None:  # the client has gone
            self._leave()
            return
        self._transport = secured
        self._deadline = self._loop.call_later(HEAD_WITHIN_S, secured.abort)
        self._read()

    def _read(self) -> None:
        try:
            head = read_head(self._begun)
            if head is None:
                return
            if head.wants_websocket:
                self._open_gateway(head)
            else:
                self._serve_http()
        except HeadMalformed as error:
            self._refuse(error.status)

    def _open_gateway(self, head: Head) -> None:
        assert self._transport is not None and self._stranger is not None
        transport, stranger = self._transport, self._stranger
        reached = transport.get_extra_info("sockname")
        connection = self._gateways.connection(
            head, reached=reached[:2], peer=self._peer, all=self._connections, on_known=stranger.let_in
        )
        self._stranger = None
        self._leave()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if rest := self._begun[head.size :]:
            connection.data_received(rest)

    def _serve_http(self) -> None:
        assert self._transport is not None and self._stranger is not None
        transport, http = self._transport, HttpConnection(*self._http, stranger=self._stranger)
        self._stranger = None
        self._leave()
        transport.set_protocol(http)
        http.connection_made(transport)
        http.data_received(self._begun)

    def _refuse(self, status: int) -> None:
        assert self._transport is not None
        self._transport.write(refusal(status))
        self._transport.close()

    def _leave(self) -> None:
        """Gone, or somebody else's now."""
        self._connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._stranger is not None:
            self._stranger.let_in()


class HttpConnection(H11Protocol):
    """HTTP as uvicorn serves it, with a limit of time for each request and its answer."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, stranger: Stranger
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._stranger = stranger
        self._deadline: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._start_deadline()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._stop_deadline()
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:  # the next request was there already
            self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        self._stranger.let_in()
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(EXCHANGE_WITHIN_S, self.transport.abort)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
