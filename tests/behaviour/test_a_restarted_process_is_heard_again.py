"""`raccall serve` is stopped by SIGTERM and started again on its port: speech comes back by itself, and soon."""

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from raccall.client import Session, VoiceConnected, connect
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime

SERVE = (sys.executable, "-c", "from raccall.cli.main import main; raise SystemExit(main())", "serve")
AFTER_START_S = 2.0
"""From a server that listens again to sound that is heard again."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(data: Path, port: int) -> tuple[asyncio.subprocess.Process, str]:
    command = (*SERVE, "--port", str(port), "--data", str(data), "--json")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    return process, json.loads(await process.stdout.readline())["invite"]


async def voice_connected(session: Session) -> None:
    async for event in session.events():
        if isinstance(event, VoiceConnected):
            return


async def hears(sound: Sound) -> float:
    """When the tone is heard."""
    while float(np.abs(sound.read_playback()).max(initial=0.0)) < 0.1:  # noqa: ASYNC110 (a native thread plays)
        await asyncio.sleep(0.01)
    return time.monotonic()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process there without a word")
async def test_the_gap_is_the_restart_and_two_seconds_at_most(tmp_path: Path) -> None:
    tone = np.sin(np.arange(60 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    speaker, listener = Sound.clocked(tone, keep_playback=False), Sound.clocked(None, keep_playback=True)
    port = free_port()
    async with asyncio.timeout(50):
        server, link = await start(tmp_path, port)
        try:
            async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
                await ben.join(listener)
                await anna.join(speaker)
                await asyncio.gather(voice_connected(anna), voice_connected(ben))
                await hears(listener)
                server.send_signal(signal.SIGTERM)
                assert await server.wait() == 0
                server, _ = await start(tmp_path, port)
                listens = time.monotonic()
                await asyncio.gather(voice_connected(anna), voice_connected(ben))
                listener.read_playback()
                assert await hears(listener) - listens < AFTER_START_S
        finally:
            if server.returncode is None:
                server.terminate()
                await server.wait()
