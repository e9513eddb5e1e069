"""Hours of a call for a recorder that is connected for seconds: packets, or their arrival times, are made up."""

import asyncio
import os
import random
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import discord

from raccall._native import PacketBatch
from raccall.recorder.timeline import LEAD_IN_SAMPLES
from raccall.units import FRAME_MS, FRAME_SAMPLES, NANOS_PER_MS, OPUS_PAYLOAD_TYPE, Nanos, Ssrc
from raccall.voice.tap import Tap, Tick
from tests.discord.conftest import speak

MS_PER_MINUTE = 60_000
TICKS_OF_20_MS = 5
"""In one batch: a recorder reads 100 ms at a time."""
PEOPLE, TALKING, TURN_BATCHES = 25, 8, 100
SPURT_PACKETS = 10
JITTER_MS = 30
IDLE_S = 0.005


def resident_bytes() -> int:
    """Of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Meeting:
    """A tap of a call of 25, as fast as it is read: 8 talk, others every ten seconds."""

    dropped = 0

    def __init__(self, began: Nanos) -> None:
        self.packets = 0
        self._began = began
        self._batches = self._until = 0
        self._ended = False
        self._payload = random.Random(1).randbytes(100)

    async def lasted(self, minutes: int) -> None:
        """Go on until so much of it was read."""
        self._until = minutes * MS_PER_MINUTE // (FRAME_MS * TICKS_OF_20_MS)
        while self._batches < self._until:  # noqa: ASYNC110
            await asyncio.sleep(IDLE_S)

    def end(self) -> None:
        """As when the call is left."""
        self._ended = True

    def read(self, timeout_ms: int, gather_ms: int = 0) -> PacketBatch | None:
        if self._ended:
            return None
        if self._batches >= self._until:
            time.sleep(IDLE_S)
            return PacketBatch([])
        first_talker = self._batches // TURN_BATCHES
        packets = []
        for tick in range(self._batches * TICKS_OF_20_MS, (self._batches + 1) * TICKS_OF_20_MS):
            for talker in range(first_talker, first_talker + TALKING):
                ssrc, timestamp = 1000 + talker % PEOPLE, tick * FRAME_SAMPLES
                header = struct.pack(">BBHII", 0x80, OPUS_PAYLOAD_TYPE, tick & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
                arrival = self._began + tick * FRAME_MS * NANOS_PER_MS
                packets.append((arrival, ssrc, tick, timestamp, header + self._payload))
        self._batches += 1
        self.packets += len(packets)
        return PacketBatch(packets)


class Arrivals:
    """When packets arrived, whenever this machine got them."""

    def __init__(self) -> None:
        self._chance = random.Random(3)
        self._times: dict[tuple[Ssrc, int], Nanos] = {}

    def expect(self, ssrc: Ssrc, sequence: int, sent: Nanos) -> None:
        """This packet was sent then; it comes up to 30 ms later."""
        late_ms = self._chance.random() * JITTER_MS
        self._times[ssrc, sequence] = Nanos(sent + int(late_ms * NANOS_PER_MS))

    async def of(self, tap: Tap) -> AsyncIterator[Tick]:
        async for tick in tap:
            packets = [
                replace(packet, arrival=self._times[packet.ssrc, packet.sequence & 0xFFFF]) for packet in tick.packets
            ]
            yield replace(tick, packets=sorted(packets, key=lambda packet: packet.arrival))


class Drifting:
    """A discord.py client whose clock runs `ppm` fast, and who says something now and then."""

    def __init__(self, voice: discord.VoiceClient, ppm: float, began: Nanos, arrivals: Arrivals) -> None:
        self._voice, self._rate = voice, 1 + ppm * 1e-6
        self._began, self._arrivals = began, arrivals
        self._first_timestamp = voice.timestamp
        self.said: dict[bytes, float] = {}
        """Each payload and where it belongs in the track, in ms."""
        self.off_ms = 0.0
        """How far the clock is off by now."""

    async def speak(self, minute: int) -> None:
        """A few packets, this long after the beginning."""
        voice, ticks_of_a_minute = self._voice, MS_PER_MINUTE * 48 * self._rate
        voice.timestamp = (self._first_timestamp + round(minute * ticks_of_a_minute)) & 0xFFFFFFFF
        for index in range(SPURT_PACKETS):
            since_ms = 1000 + minute * MS_PER_MINUTE + index * FRAME_MS / self._rate
            payload = b"\x78" + struct.pack(">IB", voice.ssrc, index) + minute.to_bytes(4, "big") + bytes(40)
            self._arrivals.expect(
                Ssrc(voice.ssrc), voice.sequence + 1, Nanos(self._began + int(since_ms * NANOS_PER_MS))
            )
            self.said[payload] = since_ms + LEAD_IN_SAMPLES / 48
            await speak(voice, [payload])
        self.off_ms = minute * MS_PER_MINUTE * (self._rate - 1)
