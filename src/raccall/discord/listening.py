"""Everyone's voice as it comes, for programs that do something with it at once.

    async for tick in raccall.discord.listen(channel):              # every 20 ms
        for user_id, frame in tick.frames.items():                  # float32, shape (960, 1), 48 kHz

A reader that is slow loses the oldest Ticks and is told how many; nobody else notices: a recording of the same channel
has its own way.
"""

import asyncio
import dataclasses
import secrets
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raccall.clock import monotonic_now
from raccall.discord.entry import VoiceChannel
from raccall.discord.events import Event, VoiceLost
from raccall.discord.gate import Gate
from raccall.discord.recording import connection
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.units import FRAME_MS, NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.chains import ReceiveChain
from raccall.voice.engine import PacketTap
from raccall.voice.events import SourceKnown
from raccall.voice.tap import TappedPacket, engine_tap
from raccall.wire.packet import Cipher

WAITING_TICKS = 50
"""A second; beyond, the oldest goes."""
CATCH_UP: int = NANOS_PER_SECOND
"""Of a program that stood still for longer, what it missed is left out."""
_MODE = "aead_aes256_gcm_rtpsize"
_PULLS_PER_TICK = 2
_NONCE_MASK = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class SpeechTick:
    """20 ms of everyone."""

    now: Nanos
    frames: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """user id → samples of shape (960, 1), ±1, 48 kHz, of those who speak. All begin at the same moment; reordered,
    and concealed where a packet was lost, by the jitter buffer of a call. A voice whose owner Discord has not told yet
    is left out. Empty with `opus=True`."""
    packets: dict[str, list[TappedPacket]] = field(default_factory=dict)
    """user id → packets that arrived, with `opus=True`."""
    dropped: int = 0
    """Ticks that were thrown away before this one, because nobody took them."""


async def listen(
    channel: VoiceChannel,
    *,
    opus: bool = False,
    opted_out: Collection[str] = (),
    connect_with: type[RecordingVoiceClient] = RecordingVoiceClient,
) -> AsyncIterator[SpeechTick]:
    """Join a channel and hear it, until the loop is left or the bot is thrown out.

    opus: packets as they arrive instead of samples. opted_out: user ids of those who must not be heard.
    connect_with: a subclass of RecordingVoiceClient, if need be. A connection that the bot has in this channel is used,
    and stays; else one is made, and left. Of a reader who is slow a second waits, then the oldest tick is dropped.
    Raises VoiceRefused, AlreadyRecording, NotReady (`raccall.discord.errors`), ConnectionFailed.
    """
    async with connection(channel, connect_with) as voice:
        ears = _Ears(voice, opus, opted_out)
        voice.add(ears)
        try:
            async for tick in ears.ticks():
                yield tick
        finally:
            await ears.close()


class _Ears:
    """What a voice connection tells becomes Ticks."""

    def __init__(self, voice: RecordingVoiceClient, opus: bool, opted_out: Collection[str]) -> None:
        self._voice = voice
        self._gate = Gate(opted_out)
        self._gate.open = True
        self._waiting: deque[SpeechTick] = deque()
        self._dropped = 0
        self._news = asyncio.Event()
        self._over = False
        self._speech = None if opus else _Speech()
        self._packets: list[TappedPacket] = []
        for ssrc, user_id in voice.sources.items():
            self._gate.set_owner(ssrc, user_id)
        self._tasks = [asyncio.create_task(self._tick())]

    def on_tap(self, packet_tap: PacketTap) -> None:
        self._tasks.append(asyncio.create_task(self._read(packet_tap)))

    def on_event(self, event: Event) -> None:
        match event:
            case SourceKnown(user_id=user_id, ssrc=ssrc):
                self._gate.set_owner(ssrc, user_id)
            case VoiceLost(final=True):
                self._over = True
                self._news.set()

    async def ticks(self) -> AsyncIterator[SpeechTick]:
        """In order, until the connection is over."""
        while True:
            while self._waiting:
                dropped, self._dropped = self._dropped, 0
                yield dataclasses.replace(self._waiting.popleft(), dropped=dropped)
            if self._over:
                return
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        self._voice.remove(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, packet_tap: PacketTap) -> None:
        async for tick in engine_tap(packet_tap):
            for packets in self._gate.take(tick):
                for packet in packets:
                    if self._speech is not None:
                        self._speech.push(packet)
                    else:
                        self._packets.append(packet)

    async def _tick(self) -> None:
        """Every 20 ms, by the clock."""
        due = monotonic_now()
        while not self._over:
            due = Nanos(due + FRAME_MS * NANOS_PER_MS)
            now = monotonic_now()
            if now - due > CATCH_UP:
                due = now
            await asyncio.sleep(max(0, due - now) / NANOS_PER_SECOND)
            here = {str(user_id) for user_id in self._voice.channel.voice_states}
            self._gate.set_people(due, here)
            self._put(self._make(due))

    def _make(self, now: Nanos) -> SpeechTick:
        sources = self._voice.sources
        if self._speech is not None:
            frames = self._speech.pull(now)
            return SpeechTick(now, {sources[ssrc]: frame for ssrc, frame in frames.items() if ssrc in sources})
        packets: dict[str, list[TappedPacket]] = {}
        for packet in self._packets:
            if packet.ssrc in sources:
                packets.setdefault(sources[packet.ssrc], []).append(packet)
        self._packets = []
        return SpeechTick(now, packets=packets)

    def _put(self, tick: SpeechTick) -> None:
        if len(self._waiting) >= WAITING_TICKS:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(tick)
        self._news.set()


class _Speech:
    """Packets to samples, by the chain that plays calls. It takes datagrams, so packets are sealed once more, with a
    key that lives as long as this."""

    def __init__(self) -> None:
        key = secrets.token_bytes(32)
        self._cipher = Cipher(_MODE, key)
        self._chain = ReceiveChain(_MODE, key)
        self._sealed = 0

    def push(self, packet: TappedPacket) -> None:
        self._sealed = (self._sealed + 1) & _NONCE_MASK
        self._chain.push(self._cipher.seal(packet.rtp, self._sealed.to_bytes(4, "big")), packet.arrival)

    def pull(self, now: Nanos) -> dict[Ssrc, NDArray[np.float32]]:
        """The next 20 ms of each source that is heard."""
        halves = [self._chain.pull_each(now) for _ in range(_PULLS_PER_TICK)]
        silence = np.zeros((480, 1), np.float32)
        return {
            ssrc: np.concatenate([half.get(ssrc, silence) for half in halves])
            for ssrc in dict.fromkeys(ssrc for half in halves for ssrc, frame in half.items() if frame.any())
        }
