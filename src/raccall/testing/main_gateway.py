"""A stand-in for Discord's main gateway: lets an unmodified discord.py `VoiceClient` join one of our rooms.

discord.py learns from the main gateway which voice server to go to, in two events; here they come from our own control
connection. All that is voice (WebSocket, IP discovery, RTP) is then between discord.py and our server alone.
Needs `discord.py[voice]` and `davey`.
"""

import asyncio
import ssl
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import discord

from raccall.client import Session

EVENT_GAP_S = 0.05
"""Between the two events. discord.py 2.7.1 loses its wake-up when both arrive in one turn of the event loop."""


class MainGateway:
    """One user's stand-in. Use as an async context manager; `voice_client` is what a bot gets from `channel.connect`.

    session: the user, connected to our server and in no call (`Session.join` is not for this one). tls: accepts the
    server's certificate; discord.py speaks nothing but TLS.
    """

    def __init__(self, session: Session, tls: ssl.SSLContext) -> None:
        self._session = session
        self._tls = tls
        self._answers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "MainGateway":
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))
        loop, user_id, room_id = asyncio.get_running_loop(), int(self._session.user_id), int(self._session.room_id)
        state = SimpleNamespace(
            loop=loop,
            user=SimpleNamespace(id=user_id),
            http=SimpleNamespace(ws_connect=self._ws_connect),
            _remove_voice_client=lambda key: None,
        )
        guild = SimpleNamespace(
            id=room_id, me=SimpleNamespace(id=user_id, voice=None), change_voice_state=self._change_voice_state
        )
        channel = SimpleNamespace(id=room_id, guild=guild, _get_voice_client_key=lambda: (room_id, "guild_id"))
        client = SimpleNamespace(_connection=state, loop=loop)
        self.voice_client = discord.VoiceClient(cast(Any, client), cast(Any, channel))
        return self

    async def __aexit__(self, *error: object) -> None:
        if self.voice_client.is_connected():
            await self.voice_client.disconnect()
        await asyncio.gather(*self._answers)
        await self._http.close()

    async def _ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        return await self._http.ws_connect(url, max_msg_size=0, autoclose=False, compress=compress)

    async def _change_voice_state(self, *, channel: Any, self_mute: bool = False, self_deaf: bool = False) -> None:
        answer = asyncio.create_task(self._enter() if channel is not None else self._leave())
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _enter(self) -> None:
        given = await self._session.ask_for_voice()
        state = {"channel_id": given.room_id, "session_id": given.session_id, "user_id": self._session.user_id}
        await self.voice_client.on_voice_state_update(cast(Any, state))
        await asyncio.sleep(EVENT_GAP_S)
        server = {"guild_id": given.room_id, "endpoint": given.endpoint, "token": given.token}
        await self.voice_client.on_voice_server_update(cast(Any, server))

    async def _leave(self) -> None:
        self._session.leave_room()
        state = {"channel_id": None, "session_id": "", "user_id": self._session.user_id}
        await self.voice_client.on_voice_state_update(cast(Any, state))
