"""What a recorder must do, the same in a room of ours and in a Discord channel through the adapter.

In the order of the list that these are from, with unmodified discord.py clients as speakers, encrypted end to end. What
takes hours or other clocks is shown in virtual time, for both at once, since both write by one recorder: a timeline of
six hours and skewed clocks (tests/recorder/test_timeline.py, test_clicks.py), memory over twelve hours (`make soak`),
kill -9 (test_a_killed_recorder_loses_less_than_a_second.py). Consent: test_nothing_is_kept_without_consent.py and
tests/discord/test_recording.py.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import discord
import numpy as np
import pytest

from raccall.bots.keep import keep_call
from raccall.client import Session
from raccall.discord.keep import keep_channel
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.recorder.events import KeysChanged
from raccall.recorder.keeper import Keeper
from raccall.recorder.recording import Recording
from raccall.testing.discord import Way
from raccall.testing.discord.decorated_network import DecoratedNetwork
from raccall.testing.network import NetworkConditions
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import PacketTap
from raccall.voice.gateway import binary, messages
from raccall.wire.control import EncryptionPolicy
from tests.discord.conftest import World, can_speak, packets, speak, until
from tests.interop.test_discord_py import Room, open_room
from tests.interop.test_encrypted_room import hold
from tests.recorder.calls import offset_ms

pytestmark = pytest.mark.realtime

__all__ = ["packets"]

CLEAN = NetworkConditions()
SHUFFLED = NetworkConditions(delay_ms=5, jitter_ms=30, duplicates=0.3)
LOSSY = NetworkConditions(loss=0.1)
SILENCE = b"\xf8\xff\xfe"
SPEAKING, EXECUTE_TRANSITION, WELCOME = 5, 22, 30
HELD_S = 0.6
REAL_TIME_S = 0.02


class Place(Protocol):
    """Where people speak and are recorded."""

    async def speaker(self, name: str) -> discord.VoiceClient: ...

    def kept(self, folder: Path, conditions: NetworkConditions = CLEAN) -> AbstractAsyncContextManager[Keeper]:
        """A recorder in it, behind a network that adds extensions and padding."""

    @property
    def network(self) -> DecoratedNetwork:
        """The recorder's, now."""

    def hold_keys(self, seconds: float) -> None:
        """From now on, for so long, the recorder is told neither who speaks nor of keys."""

    async def interrupt(self) -> None:
        """The recorder's voice gateway is gone; returns when it is back."""

    def tap(self, on_tap: Callable[[PacketTap], None]) -> None:
        """One more reader of what the recorder hears."""


class OurRoom:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._session: Session | None = None
        self.network: DecoratedNetwork

    async def speaker(self, name: str) -> discord.VoiceClient:
        return await self._room.discord_client(name)

    @asynccontextmanager
    async def kept(self, folder: Path, conditions: NetworkConditions = CLEAN) -> AsyncIterator[Keeper]:
        session = self._session = await self._room.session("tape", recorder=True)
        async with DecoratedNetwork(("127.0.0.1", self._room.server.port), conditions, seed=3) as self.network:
            session.join = partial(session.join, media_address=self.network.address)  # type: ignore[method-assign]
            async with keep_call(session, folder) as kept:
                described = self._call._description
                assert described is not None
                self.network.set_key(described.mode, described.key)
                yield kept

    def hold_keys(self, seconds: float) -> None:
        assert self._session is not None
        held = (messages.UserSpeaking, messages.ExecuteTransition, binary.Welcome, binary.AnnounceCommit)
        hold(self._session, lambda message: isinstance(message, held), seconds)

    async def interrupt(self) -> None:
        former = self._call._carrier._socket
        assert former is not None
        former.transport.abort()
        await until(lambda: self._call._carrier._socket not in (None, former))

    def tap(self, on_tap: Callable[[PacketTap], None]) -> None:
        assert self._call.engine is not None
        on_tap(self._call.engine.open_tap())

    @property
    def _call(self):  # type: ignore[no-untyped-def]
        assert self._session is not None and self._session._call is not None
        return self._session._call


class DiscordChannel:
    def __init__(self, world: World) -> None:
        self._world = world
        self._voice: RecordingVoiceClient | None = None

    async def speaker(self, name: str) -> discord.VoiceClient:
        return await self._world.speaker(name)

    @asynccontextmanager
    async def kept(self, folder: Path, conditions: NetworkConditions = CLEAN) -> AsyncIterator[Keeper]:
        self._world.ways["tape"] = Way(conditions, 3, decorated=True)
        ears = await self._world.ears()
        self._voice = ears.voice
        async with keep_channel(ears.voice, folder) as kept:
            yield kept

    @property
    def network(self) -> DecoratedNetwork:
        network = self._world.lines["tape"].network
        assert isinstance(network, DecoratedNetwork)
        return network

    def hold_keys(self, seconds: float) -> None:
        line = self._world.lines["tape"]
        line.hold(SPEAKING, EXECUTE_TRANSITION, WELCOME)

        async def release() -> None:
            await asyncio.sleep(seconds)
            await line.release()

        self._releasing = asyncio.create_task(release())

    async def interrupt(self) -> None:
        former = self._world.lines["tape"]
        await former.close(4015)
        await until(lambda: self._world.lines["tape"] is not former)

    def tap(self, on_tap: Callable[[PacketTap], None]) -> None:
        class Reader:
            def on_event(self, event: object) -> None:
                pass

        reader = Reader()
        reader.on_tap = on_tap  # type: ignore[attr-defined]
        assert self._voice is not None
        self._voice.add(reader)  # type: ignore[arg-type]


@pytest.fixture(params=["our room", "discord"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "discord":
        async with World(tmp_path / "world") as world:
            yield DiscordChannel(world)
    else:
        async with open_room(tmp_path / "data", EncryptionPolicy.REQUIRED) as room:
            yield OurRoom(room)


async def say(voice: discord.VoiceClient, payloads: list[bytes]) -> None:
    """As a microphone does: by the clock, whatever else the machine does."""
    await can_speak(voice)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number, payload in enumerate(payloads, start=1):
        voice.send_audio_packet(payload, encode=False)
        await asyncio.sleep(begun + REAL_TIME_S * number - loop.time())


async def has(kept: Keeper, count: int) -> None:
    await until(lambda: kept.recorder.counts.packets >= count)


def recorded(folder: Path, name: str) -> list[bytes]:
    """A person's payloads in the order they were sent."""
    found = Recording.open(folder).packets(name)
    return [packet.payload for packet in sorted(found, key=lambda packet: packet.sequence)]


async def test_1_whatever_surrounds_a_frame_it_is_opened(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    """0 to 4 words of extension, 0 to 15 bytes of padding, both seals around it."""
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        await speak(anna, packets)
        await has(kept, len(packets))
        assert len(place.network.delivered) == len(packets)
    assert recorded(tmp_path / "kept", "anna") == packets


async def test_2_what_comes_before_its_key_is_kept(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        await place.speaker("anna")
        place.hold_keys(HELD_S)
        berta = await place.speaker("berta")
        await speak(berta, packets)
        await has(kept, len(packets))
    assert recorded(tmp_path / "kept", "berta") == packets


async def test_3_all_tracks_have_one_timeline(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna, berta = await place.speaker("anna"), await place.speaker("berta")
        for voice in (anna, berta):
            await speak(voice, [SILENCE])

        async def later() -> None:
            await asyncio.sleep(0.3)
            await say(berta, packets)

        await asyncio.gather(say(anna, packets), later())
        await has(kept, 2 * len(packets) + 2)
        await kept.finish()
    recording = Recording.open(tmp_path / "kept")
    first, second = (recording.frames(name)[:, 0] for name in ("anna", "berta"))
    assert len(first) == len(second)
    said = first[np.flatnonzero(np.abs(first) > 1e-3)[0] :][: SAMPLE_RATE_HZ // 2]
    apart_ms = offset_ms(second, said)[0] - offset_ms(first, said)[0]
    assert abs(apart_ms - 300) <= 20


async def test_4_what_a_crash_leaves_is_a_recording(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept"):
        await say(await place.speaker("anna"), packets)
        await asyncio.sleep(1.0)
        shutil.copytree(tmp_path / "kept", tmp_path / "crashed")
    crashed = Recording.open(tmp_path / "crashed")
    assert recorded(tmp_path / "crashed", "anna") == packets
    assert [person.packets for person in crashed.render().people] == [len(packets)]


async def test_5_damaged_and_foreign_packets_cost_nobody_else(
    place: Place, packets: list[bytes], tmp_path: Path
) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        network = place.network
        through = network._outer.deliver

        def harm(datagram: bytes) -> None:
            whole = network._decorate(datagram)
            at = len(whole) // 2
            for harmful in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], b"\xff" * 1400, b"\x80"):
                super(DecoratedNetwork, network)._to_client(harmful)
            through(datagram)

        network._outer.deliver = harm  # type: ignore[method-assign]
        await speak(anna, packets)
        await has(kept, len(packets))
    assert recorded(tmp_path / "kept", "anna") == packets


async def test_6_a_broken_connection_is_a_gap_in_one_recording(
    place: Place, packets: list[bytes], tmp_path: Path
) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        await speak(anna, packets[:10])
        await has(kept, 10)
        await place.interrupt()
        await say(anna, packets[10:20])
        await has(kept, 20)
        await place.network.rebind()
        await say(anna, packets * 2)
        count = len(place.network.delivered)
        await has(kept, count)
        summary = await kept.finish()
    assert 20 < count <= 20 + 2 * len(packets)
    assert [(person.name, person.packets) for person in summary.people] == [("anna", count)]
    assert recorded(tmp_path / "kept", "anna")[:20] == packets[:20]


async def test_7_order_repetitions_and_wraps(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept", SHUFFLED) as kept:
        anna = await place.speaker("anna")
        anna.sequence, anna.timestamp = 65_530, (1 << 32) - 7 * 960
        await speak(anna, packets)
        await has(kept, len(packets))
    assert recorded(tmp_path / "kept", "anna") == packets


async def test_9_whose_voice_it_is_when_nobody_says(
    place: Place, packets: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without op 5 the keys of the call's members tell."""

    async def say_nothing(*_: object) -> None: ...

    async with place.kept(tmp_path / "kept") as kept:
        monkeypatch.setattr(discord.gateway.DiscordVoiceWebSocket, "speak", say_nothing)
        for name, payloads in (("anna", packets), ("berta", packets[::-1])):
            await speak(await place.speaker(name), payloads)
        await has(kept, 2 * len(packets))
        await asyncio.sleep(0.6)  # a recorder looks twice a second
    assert recorded(tmp_path / "kept", "anna") == packets
    assert recorded(tmp_path / "kept", "berta") == packets[::-1]


async def test_11_stored_as_it_came_and_exported(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        anna.sequence, anna.timestamp = 1000, 5000
        await speak(anna, packets)
        await has(kept, len(packets))
    recording = Recording.open(tmp_path / "kept")
    found = list(recording.packets("anna"))
    assert [packet.payload for packet in found] == packets
    assert [packet.sequence & 0xFFFF for packet in found] == list(range(1001, 1001 + len(packets)))
    assert [packet.timestamp & 0xFFFFFFFF for packet in found] == [5000 + 960 * i for i in range(len(packets))]
    recording.render()
    for format in ("flac", "wav", "opus", "mp3"):
        recording.export(tmp_path / format, format=format)
        assert any(file.suffix == f".{format}" for file in (tmp_path / format).rglob("*"))


async def test_12_silence_is_silent(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    """After five frames of it as well as when somebody just stops, and no click on either side."""
    said = [*packets[10:25], *[SILENCE] * 5]
    async with place.kept(tmp_path / "kept") as kept:
        anna = await place.speaker("anna")
        await say(anna, said)
        await asyncio.sleep(0.4)
        anna.timestamp += 20 * 960
        await say(anna, packets[10:25])
        await has(kept, len(said) + 15)
        await kept.finish()
    assert recorded(tmp_path / "kept", "anna") == said + packets[10:25]
    track = Recording.open(tmp_path / "kept").frames("anna")[:, 0]
    blocks = np.abs(track[: len(track) // 480 * 480].reshape(-1, 480)).max(axis=1)
    quiet = np.flatnonzero(blocks < 1e-3)
    spans = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
    assert max(len(span) for span in spans) * 10 >= 300
    assert np.abs(np.diff(track)).max() < 0.3


async def test_13_losses_and_keys_are_told(place: Place, packets: list[bytes], tmp_path: Path) -> None:
    async with place.kept(tmp_path / "kept", LOSSY) as kept:
        anna = await place.speaker("anna")
        await say(anna, packets)
        await asyncio.sleep(0.3)
        sequences = [sequence for _, sequence in place.network.delivered]
        await has(kept, len(sequences))
        code = anna.voice_privacy_code
        summary = await kept.finish()
    (person,) = summary.people
    assert person.packets == len(sequences)
    assert person.lost == max(sequences) - min(sequences) + 1 - len(sequences) > 0
    told = [event.code for event in Recording.open(tmp_path / "kept").events if isinstance(event, KeysChanged)]
    assert code is not None and code in [one.replace(" ", "") for one in told]


async def test_15_a_reader_who_does_not_read_stalls_no_recording(
    place: Place, packets: list[bytes], tmp_path: Path
) -> None:
    async with place.kept(tmp_path / "kept") as kept:
        taps: list[PacketTap] = []
        place.tap(taps.append)
        anna = await place.speaker("anna")
        await speak(anna, packets * 4)
        await has(kept, 4 * len(packets))
        assert len(taps) == 1
    assert recorded(tmp_path / "kept", "anna") == packets * 4
