"""A server that keeps its calls by itself: real server, clients and recordings on loopback."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from raccall.bots import automatic
from raccall.bots.automatic import AutomaticRecorder
from raccall.client import Session, connect
from raccall.clock import wall_now
from raccall.errors import RefusedError, StorageError
from raccall.recorder import read_summary
from raccall.recorder.events import EventWriter, Start, Stop
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ
from raccall.voice.engine import Sound
from raccall.wire.control import RecordingPolicy

pytestmark = pytest.mark.realtime

TONE = 0.1 * np.sin(np.arange(SAMPLE_RATE_HZ // 2) * 0.05).astype(np.float32)


class House:
    """A server whose first room is recorded, its recorder, and whoever is brought in."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self.folder = folder
        self.recordings = folder / "recordings"
        self._stack = stack

    async def start(self, **settings: object) -> None:
        wanted = {"host": "127.0.0.1", "port": 0, "data": self.folder / "data", "recording": RecordingPolicy.AUTOMATIC}
        self.server = await self._stack.enter_async_context(RunningServer(ServerSettings(**(wanted | settings))))  # type: ignore[arg-type]
        keeper = AutomaticRecorder(self.server, self.recordings, grace_s=0.2)
        self.keeper = await self._stack.enter_async_context(keeper)

    async def session(self, name: str, **more: bool) -> Session:
        link = self.server.own_link(self.server.service.first_room_id())
        return await self._stack.enter_async_context(connect(link, name=name, voice_by_link=True, **more))

    @property
    def folders(self) -> list[Path]:
        return sorted(self.recordings.iterdir()) if self.recordings.is_dir() else []

    @property
    def complete(self) -> list[Path]:
        return [folder for folder in self.folders if (folder / "summary.json").exists()]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        yield House(stack, tmp_path)
        await stack.aclose()


async def until(condition: Callable[[], object]) -> None:
    """A real server tells nobody when it is done: look often, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def speak(session: Session) -> None:
    """Join, wait for the recorder, say half a second."""
    sound = Sound.clocked(TONE, keep_playback=False)
    await session.join(None)
    await until(lambda: session.recording.recorders)
    await session.join(sound)
    await until(lambda: sound.capture_done)


async def test_a_call_is_kept_from_the_first_person_to_the_last_without_who_said_no(house: House) -> None:
    await house.start(public_address="voice.example:1", tls=True)
    anna, ben = await house.session("anna"), await house.session("ben")
    assert anna.recording.policy is RecordingPolicy.AUTOMATIC, "known before one joins"
    given = await ben.ask_for_voice()
    assert given.recording.policy is RecordingPolicy.AUTOMATIC
    ben.leave_room()
    await ben.consent(False)
    await asyncio.gather(speak(anna), speak(ben))
    assert anna.members[anna.user_id].kept and not anna.members[ben.user_id].kept
    (folder,) = house.folders
    assert folder.name.startswith("lounge-20")
    await anna.leave()
    await ben.leave()
    await until(lambda: house.complete)
    assert not house.server.service.rooms.all()[0].members
    assert [person.name for person in read_summary(folder).people] == ["anna"]
    await speak(anna)
    assert len(house.folders) == 2, "the next call has its own folder"


async def test_who_comes_back_within_the_grace_goes_on_in_the_same_recording(house: House) -> None:
    await house.start()
    anna = await house.session("anna")
    await speak(anna)
    await anna.leave()
    await speak(anna)
    assert len(house.folders) == 1


async def test_only_the_servers_own_recorder_comes_to_such_a_room_and_a_taken_name_does_not_stop_it(
    house: House,
) -> None:
    await house.start(room_capacity=1)
    person = await house.session("recorder")
    await speak(person)
    assert list(person.recording.recorders.values()) == ["recorder 2"]
    with pytest.raises(RefusedError) as refused:
        await house.session("spy", recorder=True)
    assert refused.value.code == "recording_reserved"


async def test_a_policy_that_changes_in_mid_call_starts_and_ends_a_recording(house: House) -> None:
    await house.start(recording=RecordingPolicy.ASK)
    room = house.server.service.rooms.all()[0]
    talker = await house.session("anna")
    sound = Sound.clocked(np.tile(TONE, 40), keep_playback=False)
    await talker.join(sound)
    assert house.folders == []
    house.server.service.hub.set_policy(room.id, RecordingPolicy.AUTOMATIC, 7)
    await until(lambda: talker.recording.recorders)
    assert not talker.members[talker.user_id].kept, "nobody told her when she joined"
    await talker.consent(True)
    await until(lambda: talker.members[talker.user_id].kept)
    (folder,) = house.folders
    await until(lambda: (folder / "journal.pcapng").stat().st_size > 2000)
    house.server.service.hub.set_policy(room.id, RecordingPolicy.OFF, None)
    await until(lambda: not talker.recording.recorders)
    await until(lambda: house.complete)
    assert not talker.members[talker.user_id].kept


async def test_a_stopped_server_ends_its_recording_and_renders_it_at_the_next_start(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        house = House(stack, tmp_path)
        await house.start()
        await speak(await house.session("anna"))
    (folder,) = house.folders
    assert house.complete == [] and b'"event":"stop"' in (folder / "events.jsonl").read_bytes()
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        house = House(stack, tmp_path)
        await house.start()
        await until(lambda: house.complete)


async def test_a_recording_that_fails_is_told_loudly_and_the_server_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("disk_full", "The disk is full.")

    monkeypatch.setattr(automatic, "keep_call", full)
    monkeypatch.setattr(automatic, "RETRY_S", 0.05)
    await house.start()
    anna = await house.session("anna")
    await anna.join(None)
    await until(lambda: caplog.text.count("NOT RECORDED") >= 2)
    assert "lounge is NOT RECORDED: The disk is full. [disk_full]" in caplog.text
    monkeypatch.undo()
    await speak(anna)
    assert len(house.folders) == 1


async def test_what_is_older_than_the_room_keeps_it_is_deleted_at_the_start(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name, room, days in (("old", "Lounge", 8), ("young", "lounge", 6), ("other", "attic", 800)):
        folder = house.recordings / name
        folder.mkdir(parents=True)
        wall = wall_now() - timedelta(days=days)
        writer = EventWriter(folder / "events.jsonl")
        wall_ns = int(wall.timestamp()) * NANOS_PER_SECOND
        writer.append(Start(now=0, wall_ns=wall_ns, wall=wall.isoformat(), room=room, version="0"))
        writer.append(Stop(now=1, reason="stopped"))
        writer.close()
        (folder / "summary.json").write_text("{}")
    await house.start(retention_days=7)
    await until(lambda: len(house.folders) == 2)
    assert [folder.name for folder in house.folders] == ["other", "young"]
    await until(lambda: "old: it was older" in caplog.text)
