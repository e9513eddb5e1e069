"""Live voices: aligned, by speaker, bounded; and a slow reader harms nobody."""

import asyncio
from itertools import pairwise
from pathlib import Path

import discord
import numpy as np
import pytest

from raccall.discord.keep import keep_channel
from raccall.discord.listening import WAITING_TICKS, SpeechTick, listen
from raccall.recorder.recording import Recording
from raccall.units import FRAME_SAMPLES
from tests.discord.conftest import World, speak, until

pytestmark = pytest.mark.realtime


async def channel_of(world: World) -> discord.VoiceChannel:
    found = (await world.login("tape")).get_channel(world.general.id)
    assert isinstance(found, discord.VoiceChannel)
    return found


async def hear(
    world: World, channel: discord.VoiceChannel, ticks: list[SpeechTick], seconds: float, **options: bool
) -> None:
    """Appends to `ticks`: once there is one, nothing that is spoken is missed."""
    async for tick in listen(channel, connect_with=world.voice_client(), **options):
        ticks.append(tick)
        if len(ticks) >= seconds * 50:
            break


async def test_speakers_come_as_aligned_frames(world: World, packets: list[bytes]) -> None:
    channel, anna, berta = await channel_of(world), await world.speaker("anna"), await world.speaker("berta")
    ticks: list[SpeechTick] = []
    listening = asyncio.create_task(hear(world, channel, ticks, 2))
    await until(lambda: ticks and channel.guild.voice_client.sources)
    await asyncio.gather(speak(anna, packets, pace_s=0.02), speak(berta, packets, pace_s=0.02))
    await listening
    both = [tick for tick in ticks if len(tick.frames) == 2]
    assert len(both) > 25
    assert {frame.shape for tick in both for frame in tick.frames.values()} == {(FRAME_SAMPLES, 1)}
    assert both[0].frames.keys() == {str(anna.user.id), str(berta.user.id)}
    assert max(np.abs(tick.frames[str(anna.user.id)]).max() for tick in both) > 0.05
    steps = {later.now - earlier.now for earlier, later in pairwise(ticks)}
    assert steps == {20_000_000}
    await until(lambda: channel.guild.voice_client is None)


async def test_packets_come_as_they_were_sent(world: World, packets: list[bytes]) -> None:
    channel, anna = await channel_of(world), await world.speaker("anna")
    ticks: list[SpeechTick] = []
    listening = asyncio.create_task(hear(world, channel, ticks, 2, opus=True))
    await until(lambda: ticks and channel.guild.voice_client.sources)
    await speak(anna, packets)
    await listening
    got = [packet.payload for tick in ticks for packet in tick.packets.get(str(anna.user.id), [])]
    assert got == packets


async def test_a_slow_reader_loses_ticks_and_a_recording_nothing(
    world: World, packets: list[bytes], tmp_path: Path
) -> None:
    channel = await channel_of(world)
    voice = await channel.connect(cls=world.voice_client())
    anna = await world.speaker("anna")
    async with keep_channel(voice, tmp_path / "kept") as kept:
        ticks = listen(channel)
        first = await anext(ticks)
        await speak(anna, packets, pace_s=0.03)
        await asyncio.sleep(0.5)
        second = await anext(ticks)
        await ticks.aclose()
        assert first.dropped == 0 and second.dropped > 30
        assert second.now - first.now > WAITING_TICKS * 20_000_000 * 0.5
        await kept.finish()
    assert [packet.payload for packet in Recording.open(tmp_path / "kept").packets("anna")] == packets
