"""People who speak in the stand-in's channels, and what of it reached the bot: for soaks."""

import asyncio
import random
from dataclasses import dataclass, field

import discord
import numpy as np

from raccall.clock import monotonic_now
from raccall.recorder.recording import Recording
from raccall.testing.discord import Channel
from raccall.testing.discord.decorated_network import DecoratedNetwork
from raccall.units import FRAME_SAMPLES, NANOS_PER_SECOND, SAMPLE_RATE_HZ
from raccall.voice.codec import Encoder
from tests.discord.conftest import SPEAKING_MICROPHONE, World, can_speak, until

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
FIVE_SILENT_FRAMES = [b"\xf8\xff\xfe"] * 5
"""What a client sends when somebody stops speaking."""

LIKE = 0.5
"""Correlation from which a clip counts as found: Opus keeps the waveform of most speech, losses do not."""

Key = tuple[int, int]
"""SSRC and sequence number."""


@dataclass
class Person:
    """An unmodified discord.py client that speaks in turns."""

    name: str
    clip: np.ndarray
    """Samples, mono."""
    sent: dict[Key, bytes] = field(default_factory=dict)
    began: list[int] = field(default_factory=list)
    """When a clip was begun, monotonic ns."""
    voice: discord.VoiceClient | None = None

    def __post_init__(self) -> None:
        encoder = Encoder()
        whole = self.clip[: len(self.clip) // FRAME_SAMPLES * FRAME_SAMPLES]
        self.packets = [encoder.encode(frame) for frame in whole.reshape(-1, FRAME_SAMPLES)]

    async def enter(self, world: World, channel: Channel) -> None:
        """Into a channel, by the client that is logged in."""
        self.voice = await world.speaker(self.name, channel)

    async def leave(self) -> None:
        assert self.voice is not None
        await self.voice.disconnect()

    async def moved(self, world: World, channel: Channel) -> None:
        """Somebody drags them into another channel."""
        assert self.voice is not None
        former = self.voice.ws
        await world.move(self.name, channel)
        await until(lambda: self.voice.ws is not former and self.voice.is_connected())
        await self.voice.ws.speak(SPEAKING_MICROPHONE)

    async def speak(self) -> None:
        """The clip once, at the pace of speech."""
        assert self.voice is not None
        await can_speak(self.voice)
        self.began.append(monotonic_now())
        due = asyncio.get_running_loop().time()
        for packet in self.packets + FIVE_SILENT_FRAMES:
            self.voice.send_audio_packet(packet, encode=False)
            self.sent[self.voice.ssrc, self.voice.sequence] = packet
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def talk(self, until: float, seed: int) -> None:
        """Clips and pauses until that time of the event loop."""
        dice = random.Random(seed)
        while asyncio.get_running_loop().time() < until:
            await self.speak()
            await asyncio.sleep(dice.uniform(0.05, 0.3))


class Delivered:
    """What the emulated networks handed to the bot, over all its voice sessions."""

    def __init__(self) -> None:
        self._networks: dict[int, DecoratedNetwork] = {}

    def look(self, world: World) -> None:
        """Remember the network in use: to be called after each new voice session."""
        network = world.lines["tape"].network
        assert isinstance(network, DecoratedNetwork)
        self._networks[id(network)] = network

    @property
    def keys(self) -> set[Key]:
        return {(ssrc, sequence) for network in self._networks.values() for ssrc, sequence in network.delivered}


def recorded(recording: Recording) -> dict[Key, bytes]:
    """SSRC and sequence number → Opus."""
    return {(packet.ssrc, packet.sequence & 0xFFFF): packet.payload for packet in recording.packets()}


def delays_ms(recording: Recording, person: Person) -> list[float]:
    """How much later each of the person's clips is in their track than it was spoken. Clips that lost too much to be
    found are left out."""
    (start,) = (event for event in recording.events if type(event).__name__ == "Start")
    track = recording.frames(person.name)[:, 0]
    lead_in = round(recording.summary.lead_in_ms * SAMPLE_RATE_HZ / 1000)
    delays = []
    for began in person.began:
        expected = round((began - start.now) * SAMPLE_RATE_HZ / NANOS_PER_SECOND) + lead_in
        window = track[max(0, expected - 4800) : expected + len(person.clip) + 14_400]
        if len(window) < len(person.clip):
            continue
        size = 1 << (len(window) + len(person.clip)).bit_length()
        spectrum = np.fft.rfft(window, size) * np.conj(np.fft.rfft(person.clip, size))
        correlation = np.fft.irfft(spectrum, size)[: len(window) - len(person.clip) + 1]
        best = int(np.argmax(correlation))
        likeness = correlation[best] / (np.linalg.norm(person.clip) * np.linalg.norm(window) + 1e-9)
        if likeness > LIKE:
            delays.append((best - min(expected, 4800)) * 1000 / SAMPLE_RATE_HZ)
    return delays
