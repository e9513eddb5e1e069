"""`raccall discord` as a process of its own, with the stand-in for Discord in ours."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raccall.recorder.journal import JournalReader
from raccall.recorder.placement import JOURNAL
from raccall.recorder.recording import Recording
from tests.discord.conftest import World, packets, speak, until

pytestmark = pytest.mark.realtime

__all__ = ["packets"]  # a fixture

# What a process cannot inherit: the stand-in's addresses, and trust in its voice servers.
PROGRAM = """
import sys, yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.wire.tls import client_context
base, gateway, fingerprint = sys.argv[1:4]
Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = base, yarl.URL(gateway)
RecordingVoiceClient.tls = client_context(bytes.fromhex(fingerprint))
from raccall.cli.main import main
sys.exit(main(sys.argv[4:]))
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "world") as world:
        yield world


async def start(world: World, *words: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, world.api_url, world.gateway_url, world.fingerprint, "discord", *words,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_ctrl_c_finishes_the_recording_and_the_token_is_nowhere(
    world: World, packets: list[bytes], tmp_path: Path
) -> None:
    token, out = world.account("tape").token, tmp_path / "out"
    bot = await start(world, "--out", str(out), "--json", "--log-level", "debug", RACCALL_DISCORD_TOKEN=token)
    await until(lambda: world.is_logged_in("tape"), within_s=20)
    await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
    anna = await world.speaker("anna")
    await speak(anna, packets)
    await until(
        lambda: sum(1 for journal in out.rglob(JOURNAL) for _ in JournalReader(journal).packets()) >= len(packets)
    )
    bot.send_signal(signal.SIGINT)
    told, log = await bot.communicate()
    assert bot.returncode == 0
    (recording,) = json.loads(told)["recordings"]
    assert recording["failure"] is None
    assert [packet.payload for packet in Recording.open(recording["folder"]).packets("anna")] == packets
    assert b"recording in guild" in log
    written = b"".join(file.read_bytes() for file in out.rglob("*") if file.is_file())
    assert token.encode() not in told + log + written


async def test_a_wrong_token_is_one_sentence(world: World, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("nobody-knows-this-token.at-all")
    bot = await start(world, "--token-file", str(file), "--out", str(tmp_path / "out"))
    told, log = await bot.communicate()
    assert bot.returncode == 2 and told == b""
    assert log.decode().splitlines()[-1].startswith("raccall: Discord refuses the token: ")
    assert b"nobody-knows" not in log


async def test_no_token_is_one_sentence(world: World) -> None:
    bot = await start(world, RACCALL_DISCORD_TOKEN="")
    _, log = await bot.communicate()
    assert bot.returncode == 2 and b"RACCALL_DISCORD_TOKEN" in log
