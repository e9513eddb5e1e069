"""An ASGI application that is made when it is first asked, or a moment after the start.

HTTP's own layers take half of a server's start to load. Who was in a call before a restart needs none of them to come
back, only WebSockets: voice is heard again that much sooner.
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

AFTER_S = 1.0
"""By then clients have come back."""


class LateApp:
    """make: returns the application; called once, in a thread."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._wanted = asyncio.Event()
        self._app = asyncio.create_task(self._load())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._wanted.set()
        app = await asyncio.shield(self._app)
        await app(scope, receive, send)

    async def close(self) -> None:
        """After the last request."""
        self._app.cancel()
        await asyncio.gather(self._app, return_exceptions=True)

    async def _load(self) -> ASGIApp:
        try:
            async with asyncio.timeout(AFTER_S):
                await self._wanted.wait()
        except TimeoutError:
            pass
        return await asyncio.to_thread(self._make)
