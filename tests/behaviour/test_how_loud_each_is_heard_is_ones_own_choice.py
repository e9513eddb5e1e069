"""Deafened is deafened, and a volume stays with the person: across voice sessions, and for nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.client import Session, connect
from raccall.errors import InputError
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime

ENOUGH = 24_000
"""Samples that were played: half a second."""


@asynccontextmanager
async def anna_speaks_to_ben(
    folder: Path, speech: NDArray[np.float32]
) -> AsyncIterator[tuple[RunningServer, Session, Sound]]:
    settings = ServerSettings(host="127.0.0.1", port=0, data=folder)
    async with RunningServer(settings) as server:
        async with connect(server.invite(), name="anna") as anna, connect(server.invite(), name="ben") as ben:
            heard = Sound.clocked(None, keep_playback=True)
            await anna.join(Sound.clocked(np.tile(speech, 20), keep_playback=False))
            await ben.join(heard)
            yield server, ben, heard


async def played(sound: Sound, at_least: float) -> NDArray[np.float32]:
    """The next samples, once one is as loud."""
    async with asyncio.timeout(10):
        while True:
            parts = [sound.read_playback()]
            while sum(map(len, parts)) < ENOUGH:
                await asyncio.sleep(0.02)
                parts.append(sound.read_playback())
            samples = np.concatenate(parts)
            if np.abs(samples).max() >= at_least:
                return samples


async def test_deafened_one_hears_nothing_and_then_everything_again(tmp_path: Path, anna: NDArray[np.float32]) -> None:
    async with anna_speaks_to_ben(tmp_path, anna) as (_, ben, heard):
        await played(heard, 0.02)
        ben.set_deafened(True)
        await played(heard, 0.0)  # what was under way
        assert np.abs(await played(heard, 0.0)).max() == 0
        stats = ben.stats()
        assert stats is not None and stats.received_packets > 0
        ben.set_deafened(False)
        await played(heard, 0.02)


async def test_a_volume_outlasts_the_voice_session(tmp_path: Path, anna: NDArray[np.float32]) -> None:
    async with anna_speaks_to_ben(tmp_path, anna) as (_, ben, heard):
        full = np.abs(await played(heard, 0.02)).max()
        (anna_id,) = set(ben.sources.values())
        ben.set_gain_db(anna_id, -40)
        await ben.leave()
        heard.read_playback()
        await ben.join(heard)
        quiet = np.abs(await played(heard, 0.0002)).max()
        assert quiet < full / 10
        with pytest.raises(InputError, match="from -60 to"):
            ben.set_gain_db(anna_id, 13)
