"""Our voice connection behind discord.py's VoiceProtocol, on a stand-in that unmodified clients log in to."""

import asyncio

import pytest

from raccall.discord.errors import VoiceRefused
from raccall.discord.events import Moved, VoiceLost
from raccall.testing.discord.world import CONNECT
from raccall.voice.events import VoiceConnected
from tests.discord.conftest import World, speak, until

pytestmark = pytest.mark.realtime

IDENTIFY, SELECT_PROTOCOL, SPEAKING, RESUME = 0, 1, 5, 7
RESUMABLE = 4015


async def test_an_unmodified_client_is_heard_bit_by_bit(world: World, packets: list[bytes]) -> None:
    ears = await world.ears()
    anna = await world.speaker("anna")
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets
    assert ears.voice.sources == {anna.ssrc: str(anna.user.id)}


async def test_it_tells_its_source_before_it_is_sent_anything(world: World) -> None:
    await world.ears()
    said = world.lines["tape"].heard
    await until(lambda: len(said) == 3)
    assert [message["op"] for message in said] == [IDENTIFY, SELECT_PROTOCOL, SPEAKING]


@pytest.mark.parametrize("code", [4006, 4009, 4015])
async def test_it_comes_back_after_the_server_closed(world: World, packets: list[bytes], code: int) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    await speak(anna, packets[:20])
    await ears.payloads(20)
    former = world.lines["tape"]
    ears.events.clear()
    await former.close(code)
    await until(lambda: world.lines["tape"] is not former)
    if code != RESUMABLE:
        await ears.until(VoiceConnected)
    await speak(anna, packets[20:])
    assert await ears.payloads(len(packets)) == packets
    assert ears.voice.is_connected()
    assert any(message["op"] == RESUME for message in world.lines["tape"].heard) is (code == RESUMABLE)


async def test_a_resumed_session_never_stopped_hearing(world: World, packets: list[bytes]) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    await speak(anna, packets[:10])
    await ears.payloads(10)
    await world.lines["tape"].close(RESUMABLE)
    await speak(anna, packets[10:])
    assert await ears.payloads(len(packets)) == packets
    assert not [event for event in ears.events if isinstance(event, VoiceLost)]


async def test_it_follows_a_move(world: World, packets: list[bytes]) -> None:
    ears, berta = await world.ears(), await world.speaker("berta", world.other)
    ears.events.clear()
    await world.move("tape", world.other)
    await ears.until(VoiceConnected)
    await speak(berta, packets)
    assert await ears.payloads(len(packets)) == packets
    assert Moved(world.other.id) in ears.events
    assert ears.voice.channel.id == world.other.id


async def test_a_new_voice_server_of_the_same_channel_is_used(world: World, packets: list[bytes]) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    ears.events.clear()
    await world.renew_voice_server("tape", world.guild)
    await ears.until(VoiceConnected)
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets


async def test_a_kick_is_the_end(world: World) -> None:
    ears = await world.ears()
    await world.kick("tape", world.guild)
    await until(lambda: ears.voice.ended)
    assert (await ears.until(VoiceLost)).final and not ears.voice.is_connected()
    assert ears.voice.guild.voice_client is None


@pytest.mark.parametrize("code", [1000, 4017, 4021, 4022])
async def test_it_stops_when_it_is_not_wanted(world: World, code: int) -> None:
    ears = await world.ears()
    await world.lines["tape"].close(code)
    await until(lambda: ears.voice.ended)
    lost = await ears.until(VoiceLost)
    assert (lost.final, lost.code) == (True, code)


async def test_a_4014_without_a_new_server_is_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raccall.discord.voice_client.MOVE_WITHIN_S", 0.1)
    ears = await world.ears()
    await world.lines["tape"].close(4014)
    await until(lambda: ears.voice.ended)
    identified = [message for message in world.lines["tape"].heard if message["op"] == IDENTIFY]
    assert len(identified) == 1  # it did not blindly connect again


async def test_it_waits_for_an_endpoint(world: World, packets: list[bytes]) -> None:
    world.announces_voice = False
    waiting = asyncio.create_task(world.ears())
    await until(lambda: world.general.present)
    await asyncio.sleep(0.1)
    assert not waiting.done()
    world.announces_voice = True
    await world.renew_voice_server("tape", world.guild)
    ears, anna = await waiting, await world.speaker("anna")
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets


async def test_a_main_gateway_session_that_was_lost_is_no_end(world: World, packets: list[bytes]) -> None:
    ears, anna = await world.ears(), await world.speaker("anna")
    ears.events.clear()
    await world.break_gateway("tape")
    await ears.until(VoiceConnected)
    assert ears.voice.guild.voice_client is ears.voice
    await speak(anna, packets)
    assert await ears.payloads(len(packets)) == packets


async def test_a_full_channel_is_told(world: World) -> None:
    world.general.user_limit = 1
    await world.speaker("anna")
    with pytest.raises(VoiceRefused, match="General is full: 1 people") as refused:
        await world.ears()
    assert refused.value.code == "channel_full"


async def test_a_missing_permission_is_told(world: World) -> None:
    world.general.denied = CONNECT
    with pytest.raises(VoiceRefused, match="give it View Channel and Connect") as refused:
        await world.ears()
    assert refused.value.code == "missing_permission"


async def test_leaving_frees_the_place(world: World) -> None:
    ears = await world.ears()
    await ears.voice.disconnect()
    await ears.voice.disconnect()
    await until(lambda: not world.general.present)
    again = await ears.voice.channel.connect(cls=world.voice_client())
    assert again.is_connected()
