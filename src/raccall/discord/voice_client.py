"""Our voice connection behind discord.py's public `VoiceProtocol`: discord.py tells where, all the rest is ours.

    voice = await channel.connect(cls=RecordingVoiceClient)

discord.py 2.7 receives no voice. This connects with the same gateway core, engine and encryption as a call in our own
rooms (`voice.call`), listens only, and comes back by itself whatever ends a voice session (`policy`): what listens
to it gets a new tap each time, and one recording goes on over all of them.
"""

import asyncio
import io
import ssl
from collections.abc import Collection
from contextlib import suppress
from typing import Any, ClassVar, Protocol

import discord

from raccall.discord import policy
from raccall.discord.entry import check_entry
from raccall.discord.errors import NotReady, VoiceRefused
from raccall.discord.events import Event, Moved, VoiceLost
from raccall.discord.policy import Then
from raccall.discord.servers import VoiceServer, VoiceServers
from raccall.errors import ConnectionFailed
from raccall.units import Ssrc
from raccall.voice.call import VoiceCall, retry_delay_s
from raccall.voice.engine import EngineStats, PacketTap
from raccall.voice.events import Event as CallEvent
from raccall.voice.events import VoiceConnected
from raccall.voice.settings import EndToEnd, VoiceSettings

MOVE_WITHIN_S = 10.0
"""After 4014: for how long a new server may still be told."""
ANSWER_WITHIN_S = 5.0
"""For the main gateway, when it is asked for a new voice session."""
SETTLE_S = 0.1
"""After a new server is told: of a move, the channel may be told behind it."""
MAX_ATTEMPTS = 60
"""Voice sessions that fail one after the other; about ten minutes."""


class Listener(Protocol):
    """What wants to hear the channel."""

    def on_tap(self, packet_tap: PacketTap) -> None:
        """Everything that a voice session receives; again for each new one."""

    def on_event(self, event: Event) -> None:
        """In order."""


class RecordingVoiceClient(discord.VoiceProtocol):
    """One guild's voice, listening. Made by `channel.connect(cls=RecordingVoiceClient)`."""

    tls: ClassVar[ssl.SSLContext | None] = None
    """How to trust voice servers. None: by the system's authorities; a subclass may say otherwise (tests)."""

    def __init__(self, client: discord.Client, channel: discord.abc.Connectable) -> None:
        super().__init__(client, channel)
        assert isinstance(channel, (discord.VoiceChannel, discord.StageChannel)), "bots can be nowhere else"
        self.channel: discord.VoiceChannel | discord.StageChannel = channel
        assert client.user is not None, "who connects has logged in"
        self._servers = VoiceServers(client.user.id)
        self._told = asyncio.Event()
        self._listeners: list[Listener] = []
        self.kept: object | None = None
        """Who keeps what is heard: one at a time."""
        self._call: VoiceCall | None = None
        self._former: VoiceCall | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = False
        self._leaving = self._coming_back = False
        self._self_mute = self._self_deaf = False

    # ---- what is known ----

    @property
    def guild(self) -> discord.Guild:
        return self.channel.guild

    @property
    def sources(self) -> dict[Ssrc, str]:
        """SSRC → user id, as far as this voice session knows."""
        return dict(self._call.sources) if self._call is not None else {}

    @property
    def ended(self) -> bool:
        """We left, were thrown out, or cannot come back."""
        return self._ended

    def is_connected(self) -> bool:
        """Media flows."""
        return self._call is not None and self._call.started and not self._ended

    def stats(self) -> EngineStats | None:
        """Of this voice session; None until media flows."""
        return self._call.stats() if self._call is not None else None

    def add(self, listener: Listener) -> None:
        """Let it hear the channel from now on. Raises NotReady when nothing is to be heard any more."""
        if self._ended:
            raise NotReady("voice_not_ready", "The voice connection is over; connect to the channel again.")
        self._listeners.append(listener)
        if self.is_connected() and self._call is not None and self._call.engine is not None:
            listener.on_tap(self._call.engine.open_tap())

    def remove(self, listener: Listener) -> None:
        """It hears no news any more; the taps that it has go on until it lets go of them."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    # ---- discord.py's side ----

    async def on_voice_state_update(self, data: Any, /) -> None:
        """Where Discord sees us."""
        before = self._servers.channel_id
        channel_id = int(data["channel_id"]) if data["channel_id"] is not None else None
        self._servers.on_state(channel_id, data["session_id"])
        if channel_id is not None and before is not None and channel_id != before:
            self._on_moved(channel_id)
        self._coming_back &= channel_id is None
        self._told.set()

    async def on_voice_server_update(self, data: Any, /) -> None:
        """Where our voice is to go."""
        self._servers.on_server(str(data["guild_id"]), data.get("token"), data.get("endpoint"))
        self._told.set()

    async def connect(
        self,
        *,
        timeout: float,  # noqa: ASYNC109 (discord.py's signature)
        reconnect: bool,
        self_deaf: bool = False,
        self_mute: bool = False,
    ) -> None:
        """Enter the channel; returns when media flows. discord.py calls it.

        reconnect: has no meaning here, a lost voice session always comes back. Raises TimeoutError, VoiceRefused,
        ConnectionFailed.
        """
        self._self_mute, self._self_deaf = self_mute, self_deaf
        try:
            check_entry(self.channel)
            await self._ask()
            self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._keep_registered())]
            self._tasks[0].add_done_callback(self._on_kept)
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._connected)
        except BaseException:
            await self.disconnect(force=True)
            raise

    async def disconnect(self, *, force: bool = False) -> None:
        """Leave the channel. Again: no effect. force: has no meaning here."""
        if self._leaving:
            return
        self._leaving = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close_calls()
        if self._servers.channel_id is not None:
            with suppress(OSError, RuntimeError):  # the main gateway is lost: Discord will notice by itself
                await self._change_voice_state(None)
        self._end(VoiceLost(None, "We left the channel.", final=True))

    async def move_to(self, channel: "discord.VoiceChannel | discord.StageChannel") -> None:
        """Ask to be in another channel of the guild; `channel` changes when Discord says so."""
        await self._change_voice_state(channel)

    async def record(self, record_time: float = 30.0, *, opted_out: Collection[str] = ()) -> io.BytesIO:
        """Keep the channel for so many seconds, and return it as a WAV file: 48 kHz, stereo, 16 bit.

        The channel is told first, and [REC] is shown. opted_out: user ids of those who must not be in it. The
        connection stays. Nobody spoke: a valid file without sound. Raises NotReady, AlreadyRecording, NotAnnounced.
        """
        from raccall.discord.recording import record_wav  # stands on this module

        return await record_wav(self, record_time, opted_out)

    # ---- voice sessions ----

    async def _keep(self) -> None:
        """One voice session after the other, until there will be no more."""
        used: VoiceServer | None = None
        then, attempt, within_s = Then.ASK, 0, None  # the first answer may take as long as `connect` is willing to wait
        lost = VoiceLost(None, f"Discord does not answer the wish to join {self.channel.name}.", final=True)
        while attempt < MAX_ATTEMPTS:
            server = await self._next_server(used, within_s)
            if server is not None:
                used = server
                lost, then, started = await self._live(server)
                attempt = 1 if started else attempt + 1
                if then is Then.STOP:
                    break
                self._emit(lost)
                if self._servers.current == server:
                    self._servers.forget()
            elif then is Then.WAIT or self._outside:
                break
            else:
                attempt += 1
            within_s = MOVE_WITHIN_S
            if then is Then.ASK:
                await asyncio.sleep(retry_delay_s(attempt))
                await self._ask_again()
        await self._close_calls()
        self._end(lost)

    async def _live(self, server: VoiceServer) -> tuple[VoiceLost, Then, bool]:
        """One voice session, until it ends or another one is told. Returns why, what to do, whether media flowed."""
        if self._call is not None and self._call.started:
            await self._close_former()
            self._former = self._call
        former = self._former.keys if self._former is not None else ()
        call = self._call = VoiceCall(
            url=server.url,
            tls=self.tls or ssl.create_default_context(),
            identity=server.identity,
            settings=VoiceSettings(sound=None, announce=True, on_tap=self._on_tap),
            muted=True,
            emit=self._on_call_event,
            end_to_end=EndToEnd(server.channel_id, former_keys=former),
        )
        running = asyncio.create_task(call.run(keep_listening=True))
        changed = asyncio.create_task(self._other_than(server))
        try:
            await asyncio.wait({running, changed}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await asyncio.wait({running}, timeout=SETTLE_S)
                why = (
                    "We were disconnected from the channel." if self._outside else "The voice moves to another server."
                )
                return VoiceLost(None, why, final=False), Then.WAIT, call.started
            closed = running.result()
            return VoiceLost(closed.code, closed.sentence, final=False), policy.after(closed), call.started
        except ConnectionFailed as error:
            return VoiceLost(None, str(error), final=False), Then.ASK, call.started
        finally:
            running.cancel()
            changed.cancel()
            await asyncio.gather(running, changed, return_exceptions=True)
            if not call.started:
                await call.close()

    async def _close_former(self) -> None:
        """The session before is replaced: what its server still sent was heard until now."""
        former, self._former = self._former, None
        if former is not None:
            await former.close()

    async def _close_calls(self) -> None:
        await self._close_former()
        if self._call is not None:
            await self._call.close()

    async def _next_server(self, used: VoiceServer | None, within_s: float | None) -> VoiceServer | None:
        """The first that is not `used`; None when we are in no channel any more, or none came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._other_than(used)
        server = self._servers.current
        return server if server != used else None

    async def _other_than(self, used: VoiceServer | None) -> None:
        """Until there is another server than `used`, or we are in no channel."""
        while True:
            self._told.clear()
            current = self._servers.current
            if (current is not None and current != used) or (used is not None and self._outside):
                return
            await self._told.wait()

    @property
    def _outside(self) -> bool:
        """Discord sees us in no channel, and we did not ask for that."""
        return self._servers.channel_id is None and not self._coming_back

    async def _ask(self) -> None:
        await self._change_voice_state(self.channel)

    async def _ask_again(self) -> None:
        """For a new session in the channel that we are in; by leaving it for a moment, if need be."""
        with suppress(OSError, RuntimeError):  # without a main gateway: the next attempt comes
            await self._ask()
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await self._other_than(None)
                return
            self._coming_back = True
            await self._change_voice_state(None)
            await self._ask()

    async def _change_voice_state(self, channel: "discord.abc.Snowflake | None") -> None:
        await self.guild.change_voice_state(channel=channel, self_mute=self._self_mute, self_deaf=self._self_deaf)

    async def _keep_registered(self) -> None:
        """A main gateway session that could not be resumed forgets its voice clients, and Discord the channel."""
        while True:
            await self.client.wait_for("ready")
            if self.client._connection._get_voice_client(self.guild.id) is None:
                self.client._connection._add_voice_client(self.guild.id, self)
                self._follow_channel(self.channel.id)
                await self._ask()

    def _on_kept(self, task: asyncio.Task[None]) -> None:
        """A bug must not look like a channel in which nobody speaks."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(VoiceLost(None, f"The voice connection failed: {error!r}.", final=True))
            raise error

    # ---- telling ----

    def _on_tap(self, packet_tap: PacketTap) -> None:
        """Before the first packet of a voice session."""
        assert self._call is not None and self._call.engine is not None, "it has just opened this tap"
        taps = [packet_tap]
        for listener in list(self._listeners):
            listener.on_tap(taps.pop() if taps else self._call.engine.open_tap())

    def _on_call_event(self, event: CallEvent) -> None:
        if isinstance(event, VoiceConnected):
            if not self._connected.done():
                self._connected.set_result(None)
            closing = asyncio.create_task(self._close_former())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._emit(event)

    def _on_moved(self, channel_id: int) -> None:
        self._follow_channel(channel_id)
        self._emit(Moved(channel_id))

    def _follow_channel(self, channel_id: int) -> None:
        channel = self.client.get_channel(channel_id)
        if isinstance(channel, (discord.VoiceChannel, discord.StageChannel)):
            self.channel = channel

    def _end(self, lost: VoiceLost) -> None:
        """No voice session will come any more."""
        if self._ended:
            return
        self._ended = True
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if not self._connected.done():
            self._connected.set_exception(VoiceRefused("voice_refused", lost.sentence))
            self._connected.exception()  # looked at: nobody may wait any more
        self._emit(VoiceLost(lost.code, lost.sentence, final=True))
        if self.client._connection._get_voice_client(self.guild.id) is self:  # else a newer one has our place
            self.cleanup()

    def _emit(self, event: Event) -> None:
        for listener in list(self._listeners):
            listener.on_event(event)
