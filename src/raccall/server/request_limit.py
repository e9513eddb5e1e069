"""ASGI middleware: so many requests from one address, and no more."""

from starlette.types import ASGIApp, Receive, Scope, Send

from raccall.clock import monotonic_now
from raccall.server.address_limits import AddressLimits

BURST = 300
PER_SECOND = 50.0
"""Behind a reverse proxy everybody shares them."""


class RequestLimit:
    """Answers with status 429 and ends the connection, so that the next request costs the asker a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limits = AddressLimits(burst=BURST, per_second=PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        if scope["type"] != "http" or self._limits.allow(address, monotonic_now()):
            await self._app(scope, receive, send)
            return
        body = b'{"code":"too_many_requests","sentence":"Too many requests came from your address; wait a moment."}'
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"1"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": body})
