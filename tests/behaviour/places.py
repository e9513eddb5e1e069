"""Where a recorder listens: a room of ours and, through the adapter, a Discord channel; discord.py clients speak there.

The fixture `place` is each of the two; both are encrypted end to end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import discord
import pytest

from raccall.bots.keep import KeptCall, keep_call
from raccall.client import RecordingStarted, RecordingStopped, Session
from raccall.discord.keep import KeptChannel, keep_channel
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.recorder.keeper import Keeper
from raccall.recorder.recording import Recording
from raccall.testing.discord import Way
from raccall.testing.discord.decorated_network import DecoratedNetwork
from raccall.testing.network import NetworkConditions
from raccall.voice.engine import PacketTap
from raccall.voice.gateway import binary, messages
from raccall.voice.tap import NativePacketTap
from raccall.wire.control import EncryptionPolicy
from tests.discord.conftest import World, can_speak, until
from tests.interop.test_discord_py import Room, open_room
from tests.interop.test_encrypted_room import hold

CLEAN = NetworkConditions()
SPEAKING, EXECUTE_TRANSITION, WELCOME = 5, 22, 30
REAL_TIME_S = 0.02


class Place(Protocol):
    """Where people speak and are recorded."""

    async def speaker(self, name: str, *, agrees: bool = True) -> discord.VoiceClient:
        """agrees: to being recorded."""

    def kept(self, folder: Path, conditions: NetworkConditions = CLEAN) -> AbstractAsyncContextManager[Keeper]:
        """A recorder in it, behind a network that adds extensions and padding."""

    @property
    def network(self) -> DecoratedNetwork:
        """The recorder's, now."""

    @property
    def told(self) -> list[str]:
        """What people were told of the recording so far: "begun", "ended"."""

    async def write(self, text: str) -> None:
        """A line for the recording."""

    def hold_keys(self, seconds: float) -> None:
        """From now on, for so long, the recorder is told neither who speaks nor of keys."""

    async def interrupt(self) -> None:
        """The recorder's voice gateway is gone; returns when it is back."""

    def tap(self, on_tap: Callable[[PacketTap], None]) -> None:
        """One more reader of what the recorder hears."""

    def hear(self, packet_tap: NativePacketTap) -> None:
        """The recorder gets these packets, as from one more voice session."""


class OurRoom:
    def __init__(self, room: Room, watcher: Session) -> None:
        self._room = room
        self._watcher = watcher
        self._session: Session | None = None
        self._kept: KeptCall | None = None
        self.network: DecoratedNetwork
        self.told: list[str] = []

    async def watch(self) -> None:
        """What one more person in the room is told, who agrees to being recorded."""
        await self._watcher.consent(True)
        async for event in self._watcher.events():
            match event:
                case RecordingStarted():
                    self.told.append("begun")
                case RecordingStopped():
                    self.told.append("ended")

    async def speaker(self, name: str, *, agrees: bool = True) -> discord.VoiceClient:
        return await self._room.discord_client(name, agrees=agrees)

    @asynccontextmanager
    async def kept(self, folder: Path, conditions: NetworkConditions = CLEAN) -> AsyncIterator[Keeper]:
        session = self._session = await self._room.session("tape", recorder=True)
        async with DecoratedNetwork(("127.0.0.1", self._room.server.port), conditions, seed=3) as self.network:
            session.join = partial(session.join, media_address=self.network.address)  # type: ignore[method-assign]
            async with keep_call(session, folder) as kept:
                self._kept = kept
                described = self._call._description
                assert described is not None
                self.network.set_key(described.mode, described.key)
                yield kept

    async def write(self, text: str) -> None:
        await self._watcher.ask_for_voice()  # of who is not in the call nothing is kept
        await self._watcher.say(text)

    def hold_keys(self, seconds: float) -> None:
        assert self._session is not None
        held = (messages.UserSpeaking, messages.ExecuteTransition, binary.Welcome, binary.AnnounceCommit)
        hold(self._session, lambda message: isinstance(message, held), seconds)

    async def interrupt(self) -> None:
        former = self._call._carrier._socket
        assert former is not None
        former.transport.abort()
        await until(lambda: self._call._carrier._socket not in (None, former))

    def tap(self, on_tap: Callable[[PacketTap], None]) -> None:
        assert self._call.engine is not None
        on_tap(self._call.engine.open_tap())

    def hear(self, packet_tap: NativePacketTap) -> None:
        assert self._kept is not None
        self._kept.read(packet_tap)  # type: ignore[arg-type]

    @property
    def _call(self):  # type: ignore[no-untyped-def]
        assert self._session is not None and self._session._voice.call is not None
        return self._session._voice.call


class DiscordChannel:
    def __init__(self, world: World) -> None:
        self._world = world
        self._voice: RecordingVoiceClient | None = None
        self._kept: KeptChannel | None = None

    async def speaker(self, name: str, *, agrees: bool = True) -> discord.VoiceClient:
        if not agrees:
            assert self._kept is not None
            self._kept.opt_out(str(self._world.account(name).id), True)
        return await self._world.speaker(name)

    @asynccontextmanager
    async def kept(self, folder: Path, conditions: NetworkConditions = CLEAN) -> AsyncIterator[Keeper]:
        self._world.ways["tape"] = Way(conditions, 3, decorated=True)
        ears = await self._world.ears()
        self._voice = ears.voice
        async with keep_channel(ears.voice, folder) as kept:
            self._kept = kept
            yield kept

    @property
    def network(self) -> DecoratedNetwork:
        network = self._world.lines["tape"].network
        assert isinstance(network, DecoratedNetwork)
        return network

    @property
    def told(self) -> list[str]:
        states = {"being recorded": "begun", "has ended": "ended"}
        return [state for text in self._world.general.texts for words, state in states.items() if words in text]

    async def write(self, text: str) -> None:
        assert self._kept is not None
        self._kept.note(text)

    def hold_keys(self, seconds: float) -> None:
        line = self._world.lines["tape"]
        line.hold(SPEAKING, EXECUTE_TRANSITION, WELCOME)

        async def release() -> None:
            await asyncio.sleep(seconds)
            await line.release()

        self._releasing = asyncio.create_task(release())

    async def interrupt(self) -> None:
        former = self._world.lines["tape"]
        await former.close(4015)
        await until(lambda: self._world.lines["tape"] is not former)

    def tap(self, on_tap: Callable[[PacketTap], None]) -> None:
        class Reader:
            def on_event(self, event: object) -> None:
                pass

        reader = Reader()
        reader.on_tap = on_tap  # type: ignore[attr-defined]
        assert self._voice is not None
        self._voice.add(reader)  # type: ignore[arg-type]

    def hear(self, packet_tap: NativePacketTap) -> None:
        assert self._kept is not None
        self._kept.on_tap(packet_tap)  # type: ignore[arg-type]


@pytest.fixture(params=["our room", "discord"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "discord":
        async with World(tmp_path / "world") as world:
            yield DiscordChannel(world)
    else:
        async with open_room(tmp_path / "data", EncryptionPolicy.REQUIRED) as room:
            ours = OurRoom(room, await room.session("watcher"))
            watching = asyncio.create_task(ours.watch())
            yield ours
            watching.cancel()


async def say(voice: discord.VoiceClient, payloads: list[bytes]) -> None:
    """As a microphone does: by the clock, whatever else the machine does."""
    await can_speak(voice)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number, payload in enumerate(payloads, start=1):
        voice.send_audio_packet(payload, encode=False)
        await asyncio.sleep(begun + REAL_TIME_S * number - loop.time())


async def has(kept: Keeper, count: int) -> None:
    await until(lambda: kept.recorder.counts.packets >= count)


def recorded(folder: Path, name: str) -> list[bytes]:
    """A person's payloads in the order they were sent."""
    found = Recording.open(folder).packets(name)
    return [packet.payload for packet in sorted(found, key=lambda packet: packet.sequence)]
