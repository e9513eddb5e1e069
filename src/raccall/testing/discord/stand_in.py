"""A stand-in for Discord: main gateway, REST and voice servers, good enough for an unmodified discord.py bot.

    async with StandIn(tmp_path) as world:                              # our own server carries the voice
        guild = world.add_guild("Friends", "olga", "bot", "anna")       # accounts, made by name; olga owns it
        general = world.add_channel(guild, "General")
        anna = await world.login("anna")                                # an unmodified discord.Client, ready
        speaker = await anna.get_channel(general.id).connect()          # an unmodified discord.VoiceClient
        bot = await world.login("bot")
        voice = await bot.get_channel(general.id).connect(cls=...)      # whatever is to be tested

What happens to them: `move`, `kick`, `mute`, `delete_channel`, `renew_voice_server`, `command` (somebody types a slash
command). Misbehaviour: `world.lines["bot"]` (close with a code, hold messages back, inject some), `world.ways["bot"]`
(an emulated network), `world.announces_voice` (False: no voice server is found yet). `general.texts`: what was posted.

A voice server's certificate is not known to the system: `world.tls` accepts it, and is what `RecordingVoiceClient.tls`
is to be set to. While the stand-in is open, discord.py's two addresses lead here, in the whole process.
Needs `discord.py[voice]`.
"""

import asyncio
import dataclasses
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import discord
import yarl
from aiohttp import web
from discord.gateway import DiscordWebSocket
from discord.http import Route

from raccall.clock import wall_now
from raccall.server.app import RunningServer
from raccall.server.certificate import own_certificate
from raccall.server.settings import ServerSettings
from raccall.store import DataFolder
from raccall.testing.discord.gateway import Connection
from raccall.testing.discord.rest import Answer, Rest, message_payload
from raccall.testing.discord.voice_servers import VoiceServers
from raccall.testing.discord.world import (
    EVERYONE,
    STAGE,
    VOICE,
    Account,
    Channel,
    Guild,
    Json,
    Message,
    Presence,
    interaction,
)
from raccall.wire.control import EncryptionPolicy
from raccall.wire.tls import client_context

HOST = "127.0.0.1"
ALL_HEARD = 1000
"""Discord's servers do not choose whom a listener hears."""
ANSWER_WITHIN_S = 10.0
READY_AFTER_S = 0.01
"""discord.py waits so long for one more guild; two seconds by default."""


class StandIn:
    """Discord on this machine. Use as an async context manager."""

    def __init__(self, folder: Path, *, event_gap_s: float = 0.05) -> None:
        """folder: for our server's data. event_gap_s: between the two events that let a client into a channel;
        discord.py 2.7.1 loses its wake-up when both arrive in one turn of the event loop."""
        self._folder = folder
        self._event_gap_s = event_gap_s
        self._connections: list[Connection] = []
        self._rest = Rest(self)
        self._answered = asyncio.Event()
        self._clients: dict[str, discord.Client] = {}
        self._logins: list[tuple[discord.Client, asyncio.Task[None]]] = []
        self.accounts: dict[str, Account] = {}
        """By name."""
        self.guilds: dict[int, Guild] = {}
        self.announces_voice = True
        """False: voice servers are told without an address, as Discord does while it looks for one."""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        settings = ServerSettings(
            host=HOST, port=0, data=self._folder / "server", speakers_at_once=ALL_HEARD, relay_threads=1
        )
        self.server = await self._stack.enter_async_context(RunningServer(settings))
        self._voice = VoiceServers(self.server)
        self._stack.push_async_callback(self._voice.close)
        self.lines, self.ways = self._voice.lines, self._voice.ways
        certificate = own_certificate(DataFolder(self._folder / "discord"), wall_now())
        assert certificate.fingerprint is not None, "it has just been made"
        self.fingerprint = certificate.fingerprint
        """Of the voice servers' certificate: SHA-256 in hexadecimal."""
        self.tls = client_context(bytes.fromhex(self.fingerprint))
        """Accepts the voice servers' certificate."""
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(certificate.path, certificate.key_path)
        main, voice = web.Application(), web.Application()
        main.add_routes([web.get("/gateway/", self._serve_gateway), *self._rest.routes()])
        voice.add_routes([web.get("/", self._voice.serve)])
        main_port, self._voice_port = await self._listen(main, None), await self._listen(voice, serving)
        self.gateway_url = f"ws://{HOST}:{main_port}/gateway/"
        self.api_url = f"http://{HOST}:{main_port}/api"
        former = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = self.api_url, yarl.URL(self.gateway_url)
        self._stack.callback(_restore, *former)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client, running in reversed(self._logins):
            await client.close()
            await asyncio.gather(running, return_exceptions=True)
        await self._stack.aclose()

    # ---- building a world ----

    def add_guild(self, name: str, owner: str, *members: str, permissions: int = EVERYONE) -> Guild:
        """A guild with these accounts, who are made where they do not exist. permissions: of everyone but the owner."""
        guild = Guild(self.new_id(), name, self.account(owner), self.new_id, permissions)
        self.guilds[guild.id] = guild
        for member in (owner, *members):
            self.add_member(guild, member)
        return guild

    def add_member(self, guild: Guild, name: str) -> None:
        """Before the account logs in."""
        account = self.account(name)
        guild.members[account.id] = account

    def add_channel(self, guild: Guild, name: str, *, stage: bool = False, user_limit: int = 0) -> Channel:
        """A voice channel, with a room of our server for its voice. Encrypted end to end, unless it is a stage."""
        service = self.server.service
        encryption = EncryptionPolicy.OFF if stage else EncryptionPolicy.REQUIRED
        room = service.add_room(dataclasses.replace(service.new_room(name), encryption=encryption.value))
        channel = Channel(room.id, name, guild, STAGE if stage else VOICE, user_limit)
        guild.channels[channel.id] = channel
        return channel

    def account(self, name: str) -> Account:
        """By name; made if there is none."""
        if name not in self.accounts:
            self.accounts[name] = Account(self.new_id(), name, token=f"token-of-{name}.{self.new_id()}.secret")
        return self.accounts[name]

    async def login(self, name: str, client: discord.Client | None = None) -> discord.Client:
        """Log a client in and wait until it is ready; by default a plain `discord.Client`."""
        client = client or discord.Client(
            intents=discord.Intents(guilds=True, voice_states=True),
            connector=aiohttp.TCPConnector(ssl=self.tls),
            guild_ready_timeout=READY_AFTER_S,
        )
        running = asyncio.create_task(client.start(self.account(name).token))
        self._logins.append((client, running))
        self._clients[name] = client
        ready = asyncio.create_task(client.wait_until_ready())
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            ready.cancel()
            running.result()
        return client

    def client_of(self, name: str) -> discord.Client | None:
        """The newest that `login` made for the account."""
        return self._clients.get(name)

    def is_logged_in(self, name: str) -> bool:
        """Whether one of the account's clients is connected to the main gateway."""
        return any(connection.account is self.account(name) for connection in self._connections)

    # ---- what happens in it ----

    async def command(
        self, asker: str, words: str, *, channel: Channel, options: dict[str, Any] | None = None
    ) -> Answer:
        """Somebody types a slash command in a channel's chat, and the bot answers:
        `command("anna", "record start", channel=general, options={"channel": other})`."""
        token = str(self.new_id())
        answer = self._rest.answers[token] = Answer()
        asked = interaction(self.new_id(), token, self.account(asker), words.split(), channel, options or {})
        for connection in self._connections:
            if connection.account is not None and connection.account is self._rest.owner:
                await connection.tell("INTERACTION_CREATE", asked)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while not answer.texts:
                self._answered.clear()
                await self._answered.wait()
        return answer

    async def say(self, name: str, text: str, channel: Channel) -> None:
        """Somebody types a line in a channel's chat."""
        message = Message(self.new_id(), self.account(name), text)
        channel.messages.append(message)
        guild = channel.guild
        author = {"guild_id": str(guild.id), "member": guild.member_payload(message.author)}
        await self.tell_guild(guild, "MESSAGE_CREATE", message_payload(message, channel) | author)

    async def move(self, name: str, channel: Channel) -> None:
        """Somebody drags the account into another channel."""
        account = self.account(name)
        former = self._present_in(account, channel.guild)
        assert former is not None, f"{name} is in no channel"
        await self._enter(account, channel, former.present[account.id])

    async def kick(self, name: str, guild: Guild) -> None:
        """Somebody disconnects the account from voice."""
        await self._leave(self.account(name), guild)

    async def mute(self, name: str, guild: Guild, muted: bool = True) -> None:
        """The account switches its microphone off or on."""
        account = self.account(name)
        channel = self._present_in(account, guild)
        assert channel is not None, f"{name} is in no channel"
        presence = channel.present[account.id]
        presence.self_mute = muted
        await self.tell_guild(guild, "VOICE_STATE_UPDATE", guild.voice_payload(presence, channel))

    async def delete_channel(self, channel: Channel) -> None:
        """Everyone in it is disconnected."""
        del channel.guild.channels[channel.id]
        await self.tell_guild(channel.guild, "CHANNEL_DELETE", channel.payload())
        for presence in list(channel.present.values()):
            await self._out(channel, presence)

    async def renew_voice_server(self, name: str, guild: Guild) -> None:
        """The channel's voice moves to another server (a region change): a new token, the same channel."""
        account = self.account(name)
        channel = self._present_in(account, guild)
        assert channel is not None, f"{name} is in no channel"
        await self._tell_voice_server(account, channel)

    async def tell_guild(self, guild: Guild, event: str, data: Json) -> None:
        """Dispatch to everyone of the guild who is logged in."""
        for connection in self._connections:
            if connection.account is not None and connection.account.id in guild.members:
                await connection.tell(event, data)

    async def break_gateway(self, name: str) -> None:
        """The account's main connection is lost; its client comes back by itself."""
        for connection in list(self._connections):
            if connection.account is self.account(name):
                await connection.break_off()

    # ---- for its parts ----

    def new_id(self) -> int:
        return self.server.service.new_id()

    def account_of(self, token: str) -> Account | None:
        return next((account for account in self.accounts.values() if account.token == token), None)

    def channel(self, channel_id: int) -> Channel | None:
        return next((g.channels[channel_id] for g in self.guilds.values() if channel_id in g.channels), None)

    def answered(self) -> None:
        self._answered.set()

    # ---- inside ----

    async def _listen(self, app: web.Application, tls: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
        await site.start()
        return int(runner.addresses[0][1])

    async def _serve_gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        connection = Connection(socket)
        try:
            await connection.run(self.account_of, self._on_identified, self._on_voice_state)
        finally:
            if connection in self._connections:
                self._connections.remove(connection)
        return socket

    async def _on_identified(self, connection: Connection, account: Account) -> None:
        self._connections.append(connection)
        guilds = [guild for guild in self.guilds.values() if account.id in guild.members]
        ready = {
            "v": 10,
            "user": account.payload(),
            "session_id": f"main-{self.new_id()}",
            "resume_gateway_url": self.gateway_url,
            "application": {"id": str(account.id), "flags": 0},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
        }
        await connection.tell("READY", ready)
        for guild in guilds:
            await connection.tell("GUILD_CREATE", guild.payload())

    async def _on_voice_state(self, connection: Connection, wish: Json) -> None:
        """Op 4: enter, change or leave a channel. What is not allowed is silently ignored, as Discord does."""
        account, guild = connection.account, self.guilds[int(wish["guild_id"])]
        assert account is not None, "it has identified"
        if wish["channel_id"] is None:
            await self._leave(account, guild)
            return
        channel = guild.channels.get(int(wish["channel_id"]))
        if channel is None or (0 < channel.user_limit <= len(channel.present) and account.id not in channel.present):
            return
        presence = Presence(account, f"voice-{self.new_id()}", wish["self_mute"], wish["self_deaf"])
        presence.suppress = channel.kind == STAGE
        await self._enter(account, channel, presence)

    async def _enter(self, account: Account, channel: Channel, presence: Presence) -> None:
        former = self._present_in(account, channel.guild)
        if former is not None and former is not channel:
            del former.present[account.id]
        channel.present[account.id] = presence
        state = channel.guild.voice_payload(presence, channel)
        await self.tell_guild(channel.guild, "VOICE_STATE_UPDATE", state)
        await asyncio.sleep(self._event_gap_s)
        await self._tell_voice_server(account, channel)
        if former is not None and former is not channel:
            await asyncio.sleep(self._event_gap_s)
            self._voice.dismiss(account, former)

    async def _tell_voice_server(self, account: Account, channel: Channel) -> None:
        endpoint = f"{HOST}:{self._voice_port}" if self.announces_voice else None
        token = self._voice.admit(account, channel)
        for connection in self._connections:
            if connection.account is account:
                server = {"guild_id": str(channel.guild.id), "token": token, "endpoint": endpoint}
                await connection.tell("VOICE_SERVER_UPDATE", server)

    async def _leave(self, account: Account, guild: Guild) -> None:
        channel = self._present_in(account, guild)
        if channel is not None:
            await self._out(channel, channel.present[account.id])

    async def _out(self, channel: Channel, presence: Presence) -> None:
        del channel.present[presence.account.id]
        state = channel.guild.voice_payload(presence, None)
        await self.tell_guild(channel.guild, "VOICE_STATE_UPDATE", state)
        self._voice.dismiss(presence.account, channel)

    def _present_in(self, account: Account, guild: Guild) -> Channel | None:
        return next((channel for channel in guild.channels.values() if account.id in channel.present), None)


def _restore(base: str, gateway: yarl.URL) -> None:
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = base, gateway
