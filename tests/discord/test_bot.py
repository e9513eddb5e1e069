"""The bot: slash commands that an unmodified Discord client would send, from start to finished tracks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from raccall.discord.bot import BotSettings, RecordingBot
from raccall.discord.tape import Wishes
from raccall.errors import ConnectionFailed, InputError
from raccall.recorder.recording import Recording
from raccall.testing.discord.world import SEND_MESSAGES
from tests.discord.conftest import World, speak, until

pytestmark = pytest.mark.realtime


def make_bot(world: World, out: Path, **settings: object) -> RecordingBot:
    return RecordingBot(
        BotSettings(out, **settings),
        connect_with=world.voice_client(),
        connector=aiohttp.TCPConnector(ssl=world.tls),
        guild_ready_timeout=0.01,
    )


@asynccontextmanager
async def running(world: World, out: Path, **settings: object) -> AsyncIterator[RecordingBot]:
    """The bot, logged in as "tape"; at the end it is stopped as by Ctrl-C."""
    bot, stop = make_bot(world, out, **settings), asyncio.Event()
    serving = asyncio.create_task(bot.run_until(stop, world.account("tape").token))
    await until(bot.is_ready)
    yield bot
    stop.set()
    await serving


def recordings(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.rglob("journal.pcapng"))


async def test_a_whole_recording_by_commands(world: World, packets: list[bytes], tmp_path: Path) -> None:
    async with running(world, tmp_path) as bot:
        anna = await world.speaker("anna")
        started = await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
        assert started.texts == ["Recording General. /record stop ends it."] and started.ephemeral
        assert "started by olga" in world.general.texts[0]
        await speak(anna, packets, pace_s=0.02)
        await until(lambda: bot.tape(bot.guilds[0])._kept.recorder.counts.packets == len(packets))
        await until(lambda: "50 packets" in bot.tape(bot.guilds[0]).status())
        status = await world.command("anna", "record status", channel=world.general)
        assert status.texts[0].startswith("Recording General for 0:0") and "- anna: " in status.texts[0]
        noted = await world.command("anna", "record note", channel=world.general, options={"text": "remember this"})
        assert noted.texts == ["Noted."]
        stopped = await world.command("olga", "record stop", channel=world.general)
        assert stopped.texts[0].startswith("Ended: 1 people in ")
    (folder,) = recordings(tmp_path)
    assert folder.parent == tmp_path / "Friends" / "General"
    recording = Recording.open(folder)
    assert [packet.payload for packet in recording.packets("anna")] == packets
    assert (folder / "mix.opus").exists() and (folder / "index.html").exists()
    assert [event.text for event in recording.events if type(event).__name__ == "Note"] == ["remember this"]
    assert world.general.texts[-1] == "The recording has ended."


async def test_without_a_name_it_comes_where_one_is(world: World, tmp_path: Path) -> None:
    async with running(world, tmp_path):
        nowhere = await world.command("olga", "record start", channel=world.general)
        assert nowhere.texts == ["You are in no voice channel; name one: /record start channel."]
        await world.speaker("olga", world.other)
        assert (
            (await world.command("olga", "record start", channel=world.general)).texts[0].startswith("Recording Other")
        )


async def test_who_may_not_manage_the_channel_may_not_record_it(world: World, tmp_path: Path) -> None:
    world.guild.add_role("Scribe", 0, world.account("berta"))
    async with running(world, tmp_path, role="Scribe") as bot:
        where = {"channel": world.general}
        refused = await world.command("anna", "record start", channel=world.general, options=where)
        assert refused.texts == ['To record General you must be allowed to manage it or have the role "Scribe".']
        assert not recordings(tmp_path)
        allowed = await world.command("berta", "record start", channel=world.general, options=where)
        assert allowed.texts[0].startswith("Recording General")
        stop = await world.command("anna", "record stop", channel=world.general)
        assert stop.texts == ["Who may start a recording may also end it, nobody else."]
        assert bot.tape(bot.guilds[0])


async def test_one_at_a_time_in_a_guild_and_several_guilds_at_once(world: World, tmp_path: Path) -> None:
    club = world.add_guild("Club", "olga", "tape")
    bar = world.add_channel(club, "Bar")
    async with running(world, tmp_path):
        for channel in (world.general, bar):
            answer = await world.command("olga", "record start", channel=channel, options={"channel": channel})
            assert answer.texts[0].startswith("Recording")
        second = await world.command("olga", "record start", channel=world.other, options={"channel": world.other})
        assert second.texts == ["General is being recorded; a bot can be in one channel at a time."]
    assert [folder.parent.name for folder in recordings(tmp_path)] == ["Bar", "General"]


async def test_a_channel_that_cannot_be_told_is_not_recorded(world: World, tmp_path: Path) -> None:
    world.general.denied = SEND_MESSAGES
    async with running(world, tmp_path):
        answer = await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
        assert "nothing is recorded" in answer.texts[0]
        await until(lambda: not world.general.present)
        world.general.denied = 0
    assert not recordings(tmp_path)


async def test_an_opt_out_outlasts_the_bot(world: World, packets: list[bytes], tmp_path: Path) -> None:
    async with running(world, tmp_path):
        answer = await world.command("anna", "record opt-out", channel=world.general)
        assert "nothing that you say in this server is kept" in answer.texts[0]
    async with running(world, tmp_path) as bot:
        await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
        anna = await world.speaker("anna")
        await speak(anna, packets)
        await until(lambda: bot.tape(bot.guilds[0])._kept.gate.counts.opted_out == len(packets))
        assert "1 here said no and are not kept." in bot.tape(bot.guilds[0]).status()
    (folder,) = recordings(tmp_path)
    assert list(Recording.open(folder).packets()) == []
    assert b"anna" not in (folder / "events.jsonl").read_bytes()


async def test_it_ends_when_everyone_has_left(
    world: World, packets: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raccall.discord.keep.LOOK_EVERY_S", 0.05)
    async with running(world, tmp_path) as bot:
        anna = await world.speaker("anna")
        await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
        tape = bot.tape(bot.guilds[0])
        await speak(anna, packets)
        await anna.disconnect()
        await tape.ended
        assert not world.general.present


async def test_it_ends_after_the_longest_time(world: World, tmp_path: Path) -> None:
    async with running(world, tmp_path, wishes=Wishes(max_s=0.3)) as bot:
        await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
        await bot.tape(bot.guilds[0]).ended


async def test_a_kick_ends_it_and_the_tracks_are_made(world: World, packets: list[bytes], tmp_path: Path) -> None:
    async with running(world, tmp_path) as bot:
        anna = await world.speaker("anna")
        await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
        tape = bot.tape(bot.guilds[0])
        await speak(anna, packets)
        await until(lambda: tape._kept.recorder.counts.packets == len(packets))
        await world.kick("tape", world.guild)
        ended = await tape.ended
        assert ended.failure is None and "disconnected" in ended.text
        assert (ended.folder / "mix.opus").exists()


async def test_stopping_the_program_finishes_what_goes_on(world: World, packets: list[bytes], tmp_path: Path) -> None:
    bot, stop = make_bot(world, tmp_path), asyncio.Event()
    serving = asyncio.create_task(bot.run_until(stop, world.account("tape").token))
    await until(bot.is_ready)
    anna = await world.speaker("anna")
    await world.command("olga", "record start", channel=world.general, options={"channel": world.general})
    await speak(anna, packets)
    stop.set()
    (ended,) = await serving
    assert (ended.folder / "mix.opus").exists()
    assert world.general.texts[-1] == "The recording has ended."
    assert world.guild.nicknames[world.account("tape").id] is None


async def test_a_mark_that_a_crash_left_behind_is_taken_away(world: World, tmp_path: Path) -> None:
    world.guild.nicknames[world.account("tape").id] = "[REC] tape"
    async with running(world, tmp_path):
        await until(lambda: world.guild.nicknames[world.account("tape").id] is None)


async def test_a_wrong_token_is_one_sentence(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Discord refuses the token") as refused:
        await make_bot(world, tmp_path).run_until(asyncio.Event(), "a-token-of-nobody.at.all")
    assert refused.value.code == "token_refused" and "nobody" not in str(refused.value)


async def test_no_network_is_one_sentence(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr("discord.http.Route.BASE", f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        await make_bot(world, tmp_path).run_until(asyncio.Event(), world.account("tape").token)
