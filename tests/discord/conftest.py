"""A stand-in for Discord, with one guild, two channels, and speakers who are unmodified discord.py clients."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import discord
import numpy as np
import pytest

from raccall.audio.files import read_samples
from raccall.discord import RecordingVoiceClient
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.discord import Channel, StandIn
from raccall.units import FRAME_SAMPLES
from raccall.voice.codec import Encoder
from raccall.voice.engine import PacketTap
from raccall.voice.tap import EngineTap, TappedPacket

SPEAKING_MICROPHONE = 1

E = TypeVar("E")


class World(StandIn):
    """The stand-in, a guild of olga's with the bot and three people, and what tests do with it."""

    async def __aenter__(self) -> "World":
        await super().__aenter__()
        self.guild = self.add_guild("Friends", "olga", "tape", "anna", "berta", "carla")
        self.general = self.add_channel(self.guild, "General")
        self.other = self.add_channel(self.guild, "Other")
        return self

    async def ears(self, channel: Channel | None = None) -> "Ears":
        """The bot, in a channel."""
        bot = await self.login("tape")
        found = bot.get_channel((channel or self.general).id)
        assert isinstance(found, (discord.VoiceChannel, discord.StageChannel))
        return Ears(await found.connect(cls=self.voice_client()))

    async def speaker(self, name: str, channel: Channel | None = None) -> discord.VoiceClient:
        """Somebody enters a channel and can be heard."""
        person = self.client_of(name) or await self.login(name)
        found = person.get_channel((channel or self.general).id)
        assert isinstance(found, (discord.VoiceChannel, discord.StageChannel))
        voice = await found.connect(reconnect=False, timeout=10)
        await voice.ws.speak(SPEAKING_MICROPHONE)
        return voice

    def voice_client(self) -> type[RecordingVoiceClient]:
        class Local(RecordingVoiceClient):
            tls = self.tls

        return Local


class Ears:
    """Everything that a recording voice client hears."""

    def __init__(self, voice: RecordingVoiceClient) -> None:
        self.voice = voice
        self.events: list[object] = []
        self.packets: list[TappedPacket] = []
        self._reading: list[asyncio.Task[None]] = []
        voice.add(self)

    def on_tap(self, packet_tap: PacketTap) -> None:
        self._reading.append(asyncio.create_task(self._read(packet_tap)))

    def on_event(self, event: object) -> None:
        self.events.append(event)

    async def payloads(self, count: int) -> list[bytes]:
        """Of so many packets, once they are there."""
        await until(lambda: len(self.packets) >= count)
        return [packet.payload for packet in self.packets]

    async def until(self, kind: type[E]) -> E:
        """The newest event of this kind, once there is one; `events` may be cleared before."""
        await until(lambda: any(isinstance(event, kind) for event in self.events))
        return [event for event in self.events if isinstance(event, kind)][-1]

    async def _read(self, packet_tap: PacketTap) -> None:
        async for tick in EngineTap(packet_tap):
            self.packets += tick.packets


async def can_speak(voice: discord.VoiceClient) -> None:
    """Wait until it is in the channel's group, if that is encrypted."""
    await until(lambda: voice._connection.can_encrypt or not voice._connection.dave_protocol_version)


async def speak(voice: discord.VoiceClient, packets: Iterable[bytes], *, pace_s: float = 0.002) -> None:
    """Send these Opus packets, by default ten times faster than they sound; encrypted if the channel is."""
    await can_speak(voice)
    for packet in packets:
        voice.send_audio_packet(packet, encode=False)
        await asyncio.sleep(pace_s)


async def until(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Look until it holds: for what nobody tells. TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "world") as world:
        yield world


@pytest.fixture(scope="session")
def packets() -> list[bytes]:
    """A second of speech as Opus, 50 packets."""
    speech = read_samples(OWN_SPEECH / "anna_1.flac")[: 50 * FRAME_SAMPLES]
    encoder = Encoder()
    return [encoder.encode(frame) for frame in np.asarray(speech).reshape(-1, FRAME_SAMPLES)]
