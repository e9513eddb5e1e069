"""What a voice server or a member may do wrong without harm to anybody else. Wrong tokens, permissions, full channels,
kicks and deleted channels: test_bot.py, test_voice_client.py, test_recording.py."""

import time
from pathlib import Path

import pytest

from raccall.discord.keep import keep_channel
from raccall.recorder.recording import Recording
from raccall.testing.discord import Way
from raccall.testing.discord.voice import VoiceLine
from raccall.testing.network import NetworkConditions
from raccall.voice.events import EncryptionBroken
from tests.discord.conftest import World, speak, until

pytestmark = pytest.mark.realtime

COMMIT_WELCOME, TRANSITION_READY = 28, 23
EXTERNAL_SENDER, PROPOSALS, ANNOUNCE_COMMIT, WELCOME = 25, 27, 29, 30


async def say(line: VoiceLine, message: bytes) -> None:
    """A binary message with the number that is due: one with a former number would be passed over."""
    passage = line._passage
    assert passage is not None
    await line.inject(line._numbered(passage.told[-1].to_bytes(2, "big") + message))


async def test_unknown_opcodes_and_noise_are_ignored(world: World, packets: list[bytes]) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    line = world.lines["tape"]
    for noise in (
        '{"op":99,"d":{}}',
        '{"op":15,"d":null}',
        '{"op":5,"d":7}',
        "{",
        "",
        b"",
        b"\x00",
        b"\x00\x00\xff123",
    ):
        await line.inject(noise)
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets
    assert world.lines["tape"] is line


async def test_oversized_binary_messages_are_ignored(world: World, packets: list[bytes]) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    for opcode in (PROPOSALS, WELCOME, 99):
        await say(world.lines["tape"], bytes([opcode]) + bytes(500_000))
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets


async def test_a_message_beyond_every_limit_costs_one_connection(world: World, packets: list[bytes]) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    former = world.lines["tape"]
    await former.inject(bytes([0, 0, PROPOSALS]) + bytes(3_000_000))
    await until(lambda: world.lines["tape"] is not former)
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets


@pytest.mark.parametrize(
    ("forged", "told"),
    [(EXTERNAL_SENDER, ""), (PROPOSALS, ""), (ANNOUNCE_COMMIT, "not_proposed"), (WELCOME, "in_group")],
)
async def test_forged_messages_of_the_group_cost_no_later_frame(
    world: World, packets: list[bytes], forged: int, told: str
) -> None:
    """After a commit or welcome that cannot be used the group is entered anew."""
    ears, anna = await world.ears(), await world.speaker("anna")
    await speak(anna, packets[:20])
    await ears.payloads(20)
    line, code = world.lines["tape"], anna.voice_privacy_code
    await say(line, bytes([forged, 0, 9]) + b"no message of MLS" * 10)
    if told:
        assert (await ears.until(EncryptionBroken)).reason == told
        await until(lambda: anna.voice_privacy_code not in (code, None))
    await speak(anna, packets[20:])
    assert await ears.payloads(len(packets)) == packets
    assert world.lines["tape"] is line


async def test_a_member_who_never_answers_holds_up_nobody_for_long(world: World, packets: list[bytes]) -> None:
    ears, _ = await world.ears(), await world.speaker("anna")
    world.lines["anna"].swallow(COMMIT_WELCOME, TRANSITION_READY)
    berta = await world.speaker("berta")
    await speak(berta, packets)
    assert await ears.payloads(len(packets)) == packets


async def test_replayed_datagrams_are_kept_once(world: World, packets: list[bytes]) -> None:
    world.ways["tape"] = Way(NetworkConditions(duplicates=1.0))
    ears, anna = await world.ears(), await world.speaker("anna")
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets
    await until(lambda: (stats := ears.voice.stats()) and sum(stats.refused.values()) >= len(packets))
    assert len(ears.packets) == len(packets)


async def test_a_clock_set_back_changes_nothing(
    world: World, packets: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    real = time.time
    async with keep_channel(ears.voice, tmp_path / "kept") as kept:
        await speak(anna, packets[:25], pace_s=0.02)
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        await speak(anna, packets[25:], pace_s=0.02)
        await until(lambda: kept.recorder.counts.packets == len(packets))
        summary = await kept.finish()
    assert 0.9 < summary.duration_s < 5
    assert [packet.payload for packet in Recording.open(tmp_path / "kept").packets("anna")] == packets
