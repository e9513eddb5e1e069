"""Recording a channel of the stand-in: what is kept, what is told to whom, and what must never be kept."""

import asyncio
import io
import wave
from pathlib import Path

import discord
import numpy as np
import pytest

from raccall.discord.errors import AlreadyRecording, NotAnnounced, NotReady
from raccall.discord.keep import KeptChannel, keep_channel
from raccall.discord.opt_outs import OptOuts
from raccall.discord.recording import record
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.errors import InputError
from raccall.recorder import events as rec
from raccall.recorder.events import read_events
from raccall.recorder.recording import Recording
from raccall.testing.discord import Channel
from raccall.testing.discord.world import CHANGE_NICKNAME, SEND_MESSAGES
from raccall.voice.events import EncryptionChanged, GhostsChanged
from tests.discord.conftest import World, can_speak, speak, until

pytestmark = pytest.mark.realtime


async def tape(world: World, channel: Channel | None = None) -> discord.VoiceChannel:
    """The channel as the bot sees it."""
    bot = await world.login("tape")
    found = bot.get_channel((channel or world.general).id)
    assert isinstance(found, discord.VoiceChannel)
    return found


async def connected(world: World) -> RecordingVoiceClient:
    return await (await tape(world)).connect(cls=world.voice_client())


async def has(kept: KeptChannel, packets: int) -> None:
    await until(lambda: kept.recorder.counts.packets >= packets)


def payloads(folder: Path, speaker: str) -> list[bytes]:
    return [packet.payload for packet in Recording.open(folder).packets(speaker)]


async def test_everyone_gets_a_track_bit_by_bit(world: World, packets: list[bytes], tmp_path: Path) -> None:
    voice, anna, berta = await connected(world), await world.speaker("anna"), await world.speaker("berta")
    async with keep_channel(voice, tmp_path / "kept") as kept:
        await asyncio.gather(speak(anna, packets, pace_s=0.02), speak(berta, packets[::-1], pace_s=0.02))
        await has(kept, 2 * len(packets))
        summary = await kept.finish()
    assert {person.name: person.packets for person in summary.people} == {"anna": 50, "berta": 50}
    assert payloads(tmp_path / "kept", "anna") == packets
    assert payloads(tmp_path / "kept", "berta") == packets[::-1]
    assert not world.general.present.keys() & {world.account("tape").id}


async def test_people_are_told_at_the_beginning_and_at_the_end(world: World, tmp_path: Path) -> None:
    voice = await connected(world)
    async with keep_channel(voice, tmp_path / "kept", started_by="olga", has_commands=True) as kept:
        (begun,) = world.general.texts
        assert "being recorded" in begun and "olga" in begun and "/record opt-out" in begun
        assert "nickname" not in begun
        assert world.guild.nicknames[world.account("tape").id] == "[REC] tape"
        await kept.finish()
    assert world.general.texts[1:] == ["The recording has ended."]
    assert world.guild.nicknames[world.account("tape").id] is None


async def test_a_nickname_that_cannot_be_changed_is_said(world: World, tmp_path: Path) -> None:
    world.guild.permissions &= ~CHANGE_NICKNAME
    async with keep_channel(await connected(world), tmp_path / "kept"):
        assert "permission to change my nickname" in world.general.texts[0]


async def test_without_a_notice_nothing_is_kept(world: World, tmp_path: Path) -> None:
    world.general.denied = SEND_MESSAGES
    voice = await connected(world)
    with pytest.raises(NotAnnounced, match="nothing is recorded: the bot needs the permissions"):
        async with keep_channel(voice, tmp_path / "kept"):
            raise AssertionError("it must not begin")
    assert not (tmp_path / "kept").exists()
    assert world.guild.nicknames.get(world.account("tape").id) is None


async def test_a_channel_it_is_moved_to_is_told_first(world: World, packets: list[bytes], tmp_path: Path) -> None:
    voice, berta = await connected(world), await world.speaker("berta", world.other)
    async with keep_channel(voice, tmp_path / "kept") as kept:
        await world.move("tape", world.other)
        await until(lambda: kept.gate.open and voice.is_connected() and voice.channel.id == world.other.id)
        assert "being recorded" in world.other.texts[0]
        assert "goes on in Other" in world.general.texts[-1]
        await until(lambda: voice.sources)
        await speak(berta, packets)
        await has(kept, len(packets))
        await kept.finish()
    assert payloads(tmp_path / "kept", "berta") == packets


async def test_a_channel_that_cannot_be_told_ends_it(world: World, packets: list[bytes], tmp_path: Path) -> None:
    voice, berta = await connected(world), await world.speaker("berta", world.other)
    world.other.denied = SEND_MESSAGES
    async with keep_channel(voice, tmp_path / "kept") as kept:
        await world.move("tape", world.other)
        await asyncio.gather(kept.failed(), speak(berta, packets))
        assert "Nobody in Other could be told" in kept.why_ended
        summary = await kept.finish()
    assert summary.people == []


async def test_who_said_no_is_not_written(world: World, packets: list[bytes], tmp_path: Path) -> None:
    """Not their packets, not their name, also not those packets that came before anyone said whose they are."""
    voice = await connected(world)
    world.lines["tape"].hold(5)
    anna, berta = await world.speaker("anna"), await world.speaker("berta")
    opt_outs = OptOuts()
    opt_outs.set(world.guild.id, str(anna.user.id), True)
    async with keep_channel(voice, tmp_path / "kept", opt_outs=opt_outs) as kept:
        await asyncio.gather(speak(anna, packets), speak(berta, packets))
        await until(lambda: voice.stats() and voice.stats().received_packets == 100)
        await world.lines["tape"].release()
        await has(kept, len(packets))
        await until(lambda: kept.gate.counts.opted_out == len(packets))
        summary = await kept.finish()
    assert [person.name for person in summary.people] == ["berta"]
    assert payloads(tmp_path / "kept", "berta") == packets
    written = b"".join(file.read_bytes() for file in (tmp_path / "kept").rglob("*") if file.is_file())
    assert b"anna" not in written and str(anna.user.id).encode() not in written


async def test_saying_no_holds_from_now_on(world: World, packets: list[bytes], tmp_path: Path) -> None:
    voice, anna = await connected(world), await world.speaker("anna")
    async with keep_channel(voice, tmp_path / "kept") as kept:
        await speak(anna, packets[:20])
        await has(kept, 20)
        kept.opt_out(str(anna.user.id), True)
        await speak(anna, packets[20:40])
        await until(lambda: kept.gate.counts.opted_out == 20)
        kept.opt_out(str(anna.user.id), False)
        await speak(anna, packets[40:])
        await has(kept, 30)
        await kept.finish()
    assert payloads(tmp_path / "kept", "anna") == packets[:20] + packets[40:]
    kinds = [type(event) for event in read_events(tmp_path / "kept" / "events.jsonl").events]
    assert kinds.count(rec.ConsentWithdrawn) == kinds.count(rec.ConsentGiven) == 1


async def test_comings_goings_and_mutes_are_events(world: World, tmp_path: Path) -> None:
    voice = await connected(world)
    async with keep_channel(voice, tmp_path / "kept") as kept:
        anna = await world.speaker("anna")
        await until(lambda: kept.people)
        await world.mute("anna", world.guild)
        await until(lambda: kept.people[0].muted)
        await anna.disconnect()
        await until(lambda: not kept.people)
        kept.note("a line")
        await kept.finish()
    happened = [type(event).__name__ for event in read_events(tmp_path / "kept" / "events.jsonl").events]
    assert [name for name in happened if name not in ("Source", "KeysChanged")] == [
        "Start", "MemberJoined", "Muted", "MemberLeft", "Note", "Stop",
    ]  # fmt: skip


async def test_the_code_of_the_encryption_is_that_of_the_others(world: World, tmp_path: Path) -> None:
    ears = await world.ears()
    async with keep_channel(ears.voice, tmp_path / "kept") as kept:
        _, berta = await world.speaker("anna"), await world.speaker("berta")
        await can_speak(berta)
        everyone = 3
        await until(
            lambda: any(isinstance(e, EncryptionChanged) and len(e.identities) == everyone for e in ears.events)
        )
        await kept.finish()
    changes = [e for e in read_events(tmp_path / "kept" / "events.jsonl").events if isinstance(e, rec.KeysChanged)]
    assert all(change.encrypted for change in changes)
    assert changes[-1].code.replace(" ", "") == berta.voice_privacy_code.replace(" ", "")


async def test_ghosts_are_an_alarm(world: World, tmp_path: Path) -> None:
    alarms: list[rec.Alarm] = []
    async with keep_channel(await connected(world), tmp_path / "kept", on_alarm=alarms.append) as kept:
        for user_ids in (("7",), ()):
            seen = len(alarms)
            kept.on_event(GhostsChanged(user_ids))
            await until(lambda: len(alarms) > seen)  # noqa: B023
    assert [(alarm.kind, alarm.ended) for alarm in alarms] == [("ghost", False), ("ghost", True)]


async def test_a_kick_ends_it_and_what_came_stays(world: World, packets: list[bytes], tmp_path: Path) -> None:
    voice, anna = await connected(world), await world.speaker("anna")
    async with keep_channel(voice, tmp_path / "kept") as kept:
        await speak(anna, packets)
        await has(kept, len(packets))
        await world.kick("tape", world.guild)
        await kept.failed()
        await kept.finish()
    assert "disconnected" in kept.why_ended
    assert payloads(tmp_path / "kept", "anna") == packets


async def test_a_deleted_channel_ends_it(world: World, tmp_path: Path) -> None:
    async with keep_channel(await connected(world), tmp_path / "kept") as kept:
        await world.delete_channel(world.general)
        await kept.failed()
        await kept.finish()
    assert kept.why_ended


async def test_two_recordings_at_once_are_refused(world: World, tmp_path: Path) -> None:
    voice = await connected(world)
    async with keep_channel(voice, tmp_path / "kept"):
        with pytest.raises(AlreadyRecording):
            async with keep_channel(voice, tmp_path / "again"):
                pass
        with pytest.raises(AlreadyRecording):
            await voice.record(record_time=1)
    assert not (tmp_path / "again").exists()


async def test_a_lost_connection_is_not_ready(world: World, tmp_path: Path) -> None:
    voice = await connected(world)
    await voice.disconnect()
    with pytest.raises(NotReady):
        await voice.record(record_time=1)


async def test_record_in_one_line(world: World, packets: list[bytes]) -> None:
    channel, anna = await tape(world), await world.speaker("anna")
    stop = asyncio.Event()
    recording = asyncio.create_task(record(channel, stop=stop, connect_with=world.voice_client()))
    await until(lambda: channel.guild.voice_client is not None and channel.guild.voice_client.kept is not None)
    kept = channel.guild.voice_client.kept
    await until(lambda: kept.gate.open)
    await speak(anna, packets, pace_s=0.02)
    await until(lambda: kept.recorder.counts.packets >= len(packets))
    stop.set()
    recorded = await recording
    assert [speaker.name for speaker in recorded.speakers] == ["anna"]
    assert [packet.payload for packet in recorded.packets("anna")] == packets
    assert channel.guild.voice_client is None


async def test_record_wants_to_know_when_to_stop(world: World) -> None:
    channel = await tape(world)
    with pytest.raises(InputError, match="when to stop"):
        await record(channel)
    with pytest.raises(InputError, match="more than 0"):
        await record(channel, seconds=0)


async def test_the_shape_of_the_2021_article(world: World, packets: list[bytes]) -> None:
    channel, anna = await tape(world), await world.speaker("anna")
    vc = await channel.connect(cls=world.voice_client())
    sound, _ = await asyncio.gather(vc.record(record_time=1.5), speak(anna, packets, pace_s=0.02))
    assert isinstance(sound, io.BytesIO) and vc.is_connected()
    with wave.open(sound) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 48_000)
        assert 1.4 < file.getnframes() / 48_000 < 2.5
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert np.abs(samples).max() > 1000 and np.array_equal(samples[:, 0], samples[:, 1])


async def test_nobody_spoke_is_a_valid_wav(world: World) -> None:
    vc = await connected(world)
    with wave.open(await vc.record(record_time=0.2)) as file:
        assert (file.getnchannels(), file.getnframes()) == (2, 0)
