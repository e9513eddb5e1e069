"""The stand-in's main gateway: one WebSocket of one client, from Hello to the events that it is told."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from raccall.testing.discord.world import Account, Json

DISPATCH, HEARTBEAT, IDENTIFY, VOICE_STATE, RESUME, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 0, 1, 2, 4, 6, 9, 10, 11
HEARTBEAT_INTERVAL_MS = 41_250
AUTHENTICATION_FAILED = 4004


class Connection:
    """A client that is logged in. `tell` dispatches an event to it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._sequence = 0
        self.account: Account | None = None

    async def tell(self, event: str, data: Json) -> None:
        self._sequence += 1
        await self._send({"op": DISPATCH, "t": event, "s": self._sequence, "d": data})

    async def break_off(self, code: int = 4000) -> None:
        """As when Discord restarts a gateway: the client comes back by itself."""
        await self._socket.close(code=code)

    async def run(
        self,
        account_of: Callable[[str], Account | None],
        on_identified: Callable[["Connection", Account], Awaitable[None]],
        on_voice_state: Callable[["Connection", Json], Awaitable[None]],
    ) -> None:
        """Until the client goes."""
        await self._send({"op": HELLO, "d": {"heartbeat_interval": HEARTBEAT_INTERVAL_MS}})
        async for frame in self._socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            data = message.get("d")
            match message["op"]:
                case op if op == HEARTBEAT:
                    await self._send({"op": HEARTBEAT_ACK})
                case op if op == IDENTIFY:
                    self.account = account_of(data["token"])
                    if self.account is None:
                        await self._socket.close(code=AUTHENTICATION_FAILED)
                        return
                    await on_identified(self, self.account)
                case op if op == RESUME:
                    await self._send({"op": INVALID_SESSION, "d": False})  # nothing is kept: log in again
                case op if op == VOICE_STATE:
                    await on_voice_state(self, data)

    async def _send(self, message: Json) -> None:
        if not self._socket.closed:
            await self._socket.send_str(json.dumps(message))
