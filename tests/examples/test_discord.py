"""The Discord examples do what they say, on a stand-in for Discord."""

import asyncio
import runpy
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import discord
import pytest

from raccall.discord.voice_client import RecordingVoiceClient
from raccall.recorder.recording import Recording
from tests.discord.conftest import World, packets, speak, until

pytestmark = pytest.mark.realtime

__all__ = ["packets"]  # a fixture

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with World(tmp_path / "world") as world:
        monkeypatch.setattr(RecordingVoiceClient, "tls", world.tls)
        monkeypatch.setenv("RACCALL_DISCORD_TOKEN", world.account("tape").token)
        yield world


def main_of(name: str, monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    return runpy.run_path(str(EXAMPLES / name))["main"]()


async def test_record(
    world: World,
    packets: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    anna = await world.speaker("anna")
    words = (world.general.id, "--out", tmp_path / "monday", "--seconds", 1.5)
    running = asyncio.create_task(main_of("discord_record.py", monkeypatch, *words))
    await until(lambda: world.general.texts)
    await asyncio.sleep(0.1)
    await speak(anna, packets, pace_s=0.02)
    assert await running == 0
    assert "anna: loudest sample -" in capsys.readouterr().out
    assert [packet.payload for packet in Recording.open(tmp_path / "monday").packets("anna")] == packets


async def test_listen(
    world: World, packets: list[bytes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = await world.speaker("anna")
    running = asyncio.create_task(main_of("discord_listen.py", monkeypatch, world.general.id, "--seconds", 1.5))
    await until(lambda: world.account("tape").id in world.general.present)
    await asyncio.sleep(0.2)
    await speak(anna, packets, pace_s=0.02)
    await running
    assert "anna ##" in capsys.readouterr().out


async def test_article(world: World, packets: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORD_TIME", "1")
    kind = runpy.run_path(str(EXAMPLES / "discord_article.py"))["Bot"]
    intents = discord.Intents(guilds=True, voice_states=True, guild_messages=True, message_content=True)
    bot = kind(intents=intents, connector=aiohttp.TCPConnector(ssl=world.tls), guild_ready_timeout=0.01)
    await world.login("tape", bot)
    anna = await world.speaker("anna")
    await world.say("anna", "!record", world.general)
    await until(lambda: "being recorded" in "".join(world.general.texts))
    await speak(anna, packets, pace_s=0.02)
    await until(lambda: world.general.messages[-1].files)
    (wav,) = world.general.messages[-1].files.values()
    assert wav[:4] == b"RIFF" and len(wav) > 48_000 * 4 * 0.9


@pytest.mark.parametrize("name", ["discord_record.py", "discord_listen.py", "discord_article.py"])
def test_they_are_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 60
