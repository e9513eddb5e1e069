"""A server that restarts keeps its rooms; its clients come back by themselves and hear each other again."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from raccall.client import Session, VoiceConnected, connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime


async def voice_connected(session: Session) -> None:
    async for event in session.events():
        if isinstance(event, VoiceConnected):
            return


def loudest(sound: Sound) -> float:
    return float(np.abs(sound.read_playback()).max(initial=0.0))


async def hears(sound: Sound) -> None:
    while loudest(sound) < 0.1:  # noqa: ASYNC110 (a native thread plays)
        await asyncio.sleep(0.02)


async def test_voice_and_members_are_back(tmp_path: Path) -> None:
    tone = np.sin(np.arange(30 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    speaker, listener = Sound.clocked(tone, keep_playback=False), Sound.clocked(None, keep_playback=True)
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with asyncio.timeout(20):
        server = await RunningServer(settings).__aenter__()
        try:
            link, port = server.invite(), server.port
            async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
                await ben.join(listener)
                await anna.join(speaker)
                await voice_connected(anna)
                await voice_connected(ben)
                await hears(listener)
                await server.__aexit__(None, None, None)
                server = await RunningServer(ServerSettings(host="127.0.0.1", port=port, data=tmp_path)).__aenter__()
                await asyncio.gather(voice_connected(anna), voice_connected(ben))
                listener.read_playback()
                await hears(listener)
                assert {member.name for member in ben.members.values()} == {"anna", "ben"}
        finally:
            await server.__aexit__(None, None, None)
