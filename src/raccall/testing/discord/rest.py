"""The stand-in's REST API: the few routes that a bot needs which joins voice channels and answers commands."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from raccall.testing.discord.world import CHANGE_NICKNAME, SEND_MESSAGES, VIEW_CHANNEL, Account, Channel, Json, Message

if TYPE_CHECKING:
    from raccall.testing.discord.stand_in import StandIn

MISSING_ACCESS, MISSING_PERMISSIONS, UNKNOWN_CHANNEL = 50_001, 50_013, 10_003
POSTED_AT = "2026-01-01T00:00:00+00:00"
EPHEMERAL = 1 << 6


@dataclass(eq=False, slots=True)
class Answer:
    """What a bot replied to a command, as it came."""

    texts: list[str] = field(default_factory=list)
    """Replies, the first one first; an edited one counts again."""
    ephemeral: bool = False
    """Only who asked sees it."""


class Rest:
    """The routes."""

    def __init__(self, world: "StandIn") -> None:
        self._world = world
        self.commands: list[Json] = []
        """What a bot registered last."""
        self.owner: Account | None = None
        """Whose commands they are."""
        self.answers: dict[str, Answer] = {}
        """By interaction token."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/users/@me", self._me),
            web.get("/api/gateway/bot", self._gateway),
            web.get("/api/oauth2/applications/@me", self._application),
            web.put("/api/applications/{app}/commands", self._register),
            web.post("/api/channels/{channel}/messages", self._post),
            web.patch("/api/guilds/{guild}/members/@me", self._rename),
            web.patch("/api/guilds/{guild}/voice-states/@me", self._voice_state),
            web.post("/api/interactions/{id}/{token}/callback", self._reply),
            web.post("/api/webhooks/{app}/{token}", self._follow_up),
            web.patch("/api/webhooks/{app}/{token}/messages/@original", self._edit),
        ]

    async def _me(self, request: web.Request) -> web.Response:
        return _answer(self._account(request).payload())

    async def _gateway(self, request: web.Request) -> web.Response:
        limits = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return _answer({"url": self._world.gateway_url, "shards": 1, "session_start_limit": limits})

    async def _application(self, request: web.Request) -> web.Response:
        account = self._account(request)
        return _answer(
            {
                "id": str(account.id),
                "name": account.name,
                "description": "",
                "icon": None,
                "bot_public": True,
                "bot_require_code_grant": False,
                "owner": account.payload(),
                "verify_key": "",
                "flags": 0,
            }
        )

    async def _register(self, request: web.Request) -> web.Response:
        account = self.owner = self._account(request)
        self.commands = [
            {**command, "id": str(self._world.new_id()), "application_id": str(account.id), "version": "1"}
            for command in await request.json()
        ]
        return _answer(self.commands)

    async def _post(self, request: web.Request) -> web.Response:
        account = self._account(request)
        channel = self._world.channel(int(request.match_info["channel"]))
        if channel is None:
            return _problem(404, UNKNOWN_CHANNEL, "Unknown Channel")
        if not channel.guild.may(account, VIEW_CHANNEL, channel):
            return _problem(403, MISSING_ACCESS, "Missing Access")
        if not channel.guild.may(account, SEND_MESSAGES, channel):
            return _problem(403, MISSING_PERMISSIONS, "Missing Permissions")
        content, files = await _posted(request)
        message = Message(self._world.new_id(), account, content, files)
        channel.messages.append(message)
        return _answer(message_payload(message, channel))

    async def _rename(self, request: web.Request) -> web.Response:
        account, guild = self._account(request), self._world.guilds[int(request.match_info["guild"])]
        if not guild.may(account, CHANGE_NICKNAME):
            return _problem(403, MISSING_PERMISSIONS, "Missing Permissions")
        guild.nicknames[account.id] = (await request.json()).get("nick") or None
        await self._world.tell_guild(
            guild, "GUILD_MEMBER_UPDATE", {"guild_id": str(guild.id), **guild.member_payload(account)}
        )
        return _answer(guild.member_payload(account))

    async def _voice_state(self, request: web.Request) -> web.Response:
        self._account(request)
        return web.Response(status=204)

    async def _reply(self, request: web.Request) -> web.Response:
        payload = await request.json()
        answer = self._answer_of(request)
        data: Json = payload.get("data") or {}
        answer.ephemeral = bool(data.get("flags", 0) & EPHEMERAL)
        interaction: Json = {"id": request.match_info["id"], "type": 2}
        body: Json = {"interaction": interaction}
        if data.get("content"):
            answer.texts.append(data["content"])
            self._world.answered()
            message = Message(self._world.new_id(), self._bot, data["content"])
            interaction["response_message_id"] = str(message.id)
            body["resource"] = {"type": payload["type"], "message": message_payload(message, None)}
        return _answer(body)

    async def _follow_up(self, request: web.Request) -> web.Response:
        content = (await request.json())["content"]
        self._answer_of(request).texts.append(content)
        self._world.answered()
        return _answer(message_payload(Message(self._world.new_id(), self._bot, content), None))

    async def _edit(self, request: web.Request) -> web.Response:
        return await self._follow_up(request)

    @property
    def _bot(self) -> Account:
        assert self.owner is not None, "who answers has registered commands"
        return self.owner

    def _answer_of(self, request: web.Request) -> Answer:
        return self.answers.setdefault(request.match_info["token"], Answer())

    def _account(self, request: web.Request) -> Account:
        account = self._world.account_of(request.headers.get("authorization", "").removeprefix("Bot "))
        if account is None:
            raise web.HTTPUnauthorized(
                text='{"code": 0, "message": "401: Unauthorized"}', content_type="application/json"
            )
        return account


async def _posted(request: web.Request) -> tuple[str, dict[str, bytes]]:
    """Content, and files by name."""
    if request.content_type == "application/json":
        return (await request.json())["content"], {}
    form = await request.post()
    files = {part.filename: part.file.read() for part in form.values() if isinstance(part, web.FileField)}
    return json.loads(str(form["payload_json"]))["content"], files


def _answer(data: object, status: int = 200) -> web.Response:
    """discord.py wants the bare content type."""
    return web.Response(body=json.dumps(data).encode(), content_type="application/json", status=status)


def _problem(status: int, code: int, message: str) -> web.Response:
    return _answer({"code": code, "message": message}, status=status)


def message_payload(message: Message, channel: Channel | None) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "channel_id": str(channel.id) if channel else "0",
        "author": message.author.payload(),
        "content": message.content,
        "type": 0,
        "timestamp": POSTED_AT,
        "edited_timestamp": None,
        "attachments": [],
        "embeds": [],
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "pinned": False,
        "tts": False,
        "flags": 0,
    }
