"""The stand-in's side of voice: who may enter which room of our server, by which token, and the lines to it."""

import secrets

from aiohttp import web

from raccall.server.app import RunningServer
from raccall.server.rooms import Member
from raccall.testing.discord.voice import Passage, VoiceLine, Way
from raccall.testing.discord.world import Account, Channel
from raccall.wire.control import Consent


class VoiceServers:
    """All voice servers of a stand-in: one address."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._passages: dict[str, Passage] = {}
        self._url = f"ws://127.0.0.1:{server.port}/?v=8"
        self.lines: dict[str, VoiceLine] = {}
        """By account name, the newest."""
        self.ways: dict[str, Way] = {}
        """By account name."""

    def admit(self, account: Account, channel: Channel) -> str:
        """Let the account into the channel's room. Returns the token by which it may; a former one stays good."""
        service = self._server.service
        member = Member(user_id=account.id, name=account.name, consent=Consent.YES)
        service.rooms.join(channel.id, member)
        token = secrets.token_hex(8)
        voice_pass = service.calls.new_pass(account.id, channel.id)
        self._passages[token] = Passage(account.name, voice_pass, self.ways.get(account.name, Way()))
        return token

    def dismiss(self, account: Account, channel: Channel) -> None:
        """The account is in the channel no more: its voice ends (4014)."""
        service = self._server.service
        if service.rooms.leave(channel.id, account.id):
            service.calls.revoke(account.id, channel.id)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One voice WebSocket."""
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        await VoiceLine(socket, self._find).run(self._url)
        return socket

    async def close(self) -> None:
        """Take down the emulated networks."""
        for passage in self._passages.values():
            await passage.close()

    def _find(self, line: VoiceLine, token: str) -> Passage | None:
        passage = self._passages.get(token)
        if passage is not None:
            self.lines[passage.name] = line
        return passage
