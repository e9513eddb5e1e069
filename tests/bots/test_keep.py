"""Keeping a call: what a session tells becomes a recording."""

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from raccall._native import PacketBatch
from raccall.bots.keep import keep_call
from raccall.client import connect
from raccall.client import events as told
from raccall.clock import monotonic_now
from raccall.errors import RefusedError, StorageError
from raccall.recorder import (
    Alarm,
    JournalReader,
    KeysChanged,
    MemberJoined,
    MemberLeft,
    Muted,
    Note,
    Source,
    Start,
    Stop,
    keeper,
    read_events,
    recorder,
)
from raccall.recorder import space as disk
from raccall.recorder.opus_packet import SILENCE_20_MS
from raccall.recorder.space import Limit, Limits
from raccall.server import announcements
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.bad_network import BadNetwork
from raccall.testing.network import NetworkConditions
from raccall.units import Ssrc
from raccall.voice.engine import Sound
from raccall.wire.control import MemberInfo

pytestmark = pytest.mark.realtime

ANNA = MemberInfo(user_id="1", name="anna", kept=True)
BEN = MemberInfo(user_id="2", name="ben", kept=True)
TAPE = MemberInfo(user_id="9", name="recorder", recording=True)
CONNECTED = told.VoiceConnected(Ssrc(9), "aead_aes256_gcm_rtpsize", ("127.0.0.1", 7420))


class FakePacketTap:
    """Hands out one batch, then waits until its engine closes."""

    def __init__(self, count: int, ssrc: int) -> None:
        self.dropped = 0
        self.closed = threading.Event()
        header = [struct.pack(">BBHII", 0x80, 120, index, index * 960, ssrc) for index in range(count)]
        now = monotonic_now()
        self._batch = [(now, ssrc, index, index * 960, rtp + SILENCE_20_MS) for index, rtp in enumerate(header)]

    def read(self, timeout_ms: int, gather_ms: int = 0) -> PacketBatch | None:
        batch, self._batch = self._batch, []
        if not batch:
            self.closed.wait(timeout_ms / 1000)
        return None if self.closed.is_set() and not batch else PacketBatch(batch)


class FakeSession:
    """A session in whose call a script of events happens, and then nothing more or the end."""

    user_id = TAPE.user_id
    room_name = "lounge"

    def __init__(self, *script: told.Event | Callable[["FakeSession"], None], ends: bool = False) -> None:
        self.members = {TAPE.user_id: TAPE, ANNA.user_id: ANNA}
        self.sources: dict[Ssrc, str] = {}
        self.uplink_loss_pct = {ANNA.user_id: 2.5}
        self.ghosts: tuple[str, ...] = ()
        self.taps: list[FakePacketTap] = []
        self.refusal: Exception | None = None
        self.done = asyncio.Event()
        self._script = script
        self._ends = ends

    async def events(self) -> AsyncIterator[told.Event]:
        for step in self._script:
            if callable(step):
                step(self)
            else:
                yield step
        self.done.set()
        if not self._ends:
            await asyncio.Event().wait()

    async def join(self, sound: None, *, on_tap: Callable[[FakePacketTap], None]) -> None:
        if self.refusal:
            raise self.refusal
        self._on_tap = on_tap
        self.voice_session()

    def voice_session(self) -> None:
        for tap in self.taps:
            tap.closed.set()
        self.taps.append(FakePacketTap(10, 0xA + len(self.taps)))
        self._on_tap(self.taps[-1])

    def stats(self) -> None:
        return None

    async def leave(self) -> None:
        for tap in self.taps:
            tap.closed.set()


async def test_what_the_session_tells_is_in_events_and_packets_are_in_the_journal(tmp_path: Path) -> None:
    muted = MemberInfo(user_id="2", name="ben", muted=True, kept=True)
    session = FakeSession(
        CONNECTED,
        told.SourceKnown("1", Ssrc(0xA)),
        told.MemberJoined("7", BEN),
        told.MemberChanged("7", BEN, muted),
        told.TextReceived("7", "2", "ben", "hi", "2026-11-21T12:00:00Z", ""),
        told.MemberLeft("7", muted),
    )
    async with keep_call(session, tmp_path / "call") as kept:  # type: ignore[arg-type]
        await session.done.wait()
        summary = await kept.finish()
    kinds = [Start, MemberJoined, MemberJoined, Source, MemberJoined, Muted, Note, MemberLeft, Stop]
    assert [type(event) for event in read_events(tmp_path / "call" / "events.jsonl").events] == kinds
    assert [(person.name, person.packets) for person in summary.people] == [("anna", 10)]


async def test_new_keys_are_in_the_events_and_nobodys_name_with_them(tmp_path: Path) -> None:
    def change(epoch: int, code: str = "", *, encrypted: bool = True) -> told.EncryptionChanged:
        return told.EncryptionChanged(encrypted, epoch, 7, code, {"1": "aa", "2": "bb"} if code else {})

    clear = change(0, encrypted=False)
    session = FakeSession(clear, change(0), change(3, "12345 67890"), clear)
    async with keep_call(session, tmp_path / "call"):  # type: ignore[arg-type]
        await session.done.wait()
    log = read_events(tmp_path / "call" / "events.jsonl")
    assert [(keys.encrypted, keys.epoch, keys.transition_id, keys.code) for keys in log.of(KeysChanged)] == [
        (True, 3, 7, "12345 67890"),
        (False, 0, 7, ""),
    ]


async def test_a_new_voice_session_is_recorded_into_the_same_folder(tmp_path: Path) -> None:
    session = FakeSession(
        told.VoiceLost(4015, "The voice server crashed.", False), FakeSession.voice_session, CONNECTED
    )
    async with keep_call(session, tmp_path / "call") as kept:  # type: ignore[arg-type]
        await session.done.wait()
        with pytest.raises(TimeoutError):  # the first tap's end is not the recording's
            await asyncio.wait_for(kept.failed(), 0.01)
    packets = list(JournalReader(tmp_path / "call" / "journal.pcapng").packets())
    assert sorted(packet.ssrc for packet in packets) == [0xA] * 10 + [0xB] * 10


async def test_a_disk_that_fails_is_told_to_who_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE_TICKS", 1)
    monkeypatch.setattr(recorder, "PATIENCE_S", 0.05)
    stuck = threading.Event()
    monkeypatch.setattr(recorder.JournalWriter, "append", lambda self, packets: stuck.wait())
    session = FakeSession(*(FakeSession.voice_session for _ in range(5)))
    with pytest.raises(StorageError, match="five seconds behind"):
        async with keep_call(session, tmp_path / "call") as kept:  # type: ignore[arg-type]
            try:
                await kept.failed()
            finally:
                stuck.set()


async def test_the_end_of_the_session_ends_the_wait(tmp_path: Path) -> None:
    session = FakeSession(told.ConnectionLost("kicked", "You were removed.", True), ends=True)
    async with keep_call(session, tmp_path / "call") as kept:  # type: ignore[arg-type]
        await kept.failed()


async def test_a_refused_join_leaves_nothing_behind(tmp_path: Path) -> None:
    session = FakeSession()
    session.refusal = RefusedError("room_full", "The room is full.")
    with pytest.raises(RefusedError):
        async with keep_call(session, tmp_path / "call"):  # type: ignore[arg-type]
            pass
    assert not (tmp_path / "call").exists()


async def test_what_goes_wrong_is_told_and_written_and_what_is_well_again_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_EVERY_S", 0.001)
    heard: asyncio.Queue[Alarm] = asyncio.Queue()

    async def alarm() -> tuple[str, str, bool]:
        told_alarm = await asyncio.wait_for(heard.get(), 5)
        return told_alarm.kind, told_alarm.text, told_alarm.ended

    session = FakeSession(CONNECTED, told.VoiceLost(None, "The voice server crashed.", False))
    async with keep_call(session, tmp_path / "call", on_alarm=heard.put_nowait) as kept:  # type: ignore[arg-type]
        assert await alarm() == ("connection", "The voice server crashed.", False)
        assert [active.kind for active in kept.health.alarms] == ["connection"]
        kept._observer.note(CONNECTED)
        assert await alarm() == ("connection", "The connection is back.", True)
        assert [(speaker.name, speaker.uplink_loss_pct) for speaker in kept.health.speakers] == [("anna", 2.5)]
    log = [event for event in read_events(tmp_path / "call" / "events.jsonl").events if isinstance(event, Alarm)]
    assert [event.ended for event in log] == [False, True]


async def test_what_is_lost_before_the_server_is_known_by_speaker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "UPLINKS_EVERY_MS", 200)
    tone = 0.1 * np.sin(np.arange(10 * 48_000) * 0.05).astype(np.float32)
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        link, relay = server.invite("lounge"), ("127.0.0.1", server.port)
        async with (
            BadNetwork(relay, NetworkConditions(loss=0.5), seed=1) as network,
            connect(link, name="anna") as anna,
            connect(link, name="recorder", recorder=True) as session,
            keep_call(session, tmp_path / "call") as kept,
        ):
            await anna.consent(True)
            await anna.join(Sound.clocked(tone, keep_playback=False), media_address=network.address)
            async with asyncio.timeout(10):
                while not any((speaker.uplink_loss_pct or 0) > 20 for speaker in kept.health.speakers):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            (speaker,) = kept.health.speakers
            assert speaker.level_db > -30 and speaker.talking


async def test_silence_is_an_alarm_after_as_long_as_was_chosen(tmp_path: Path) -> None:
    heard: asyncio.Queue[Alarm] = asyncio.Queue()
    async with keep_call(FakeSession(), tmp_path / "call", silence_s=0.001, on_alarm=heard.put_nowait):  # type: ignore[arg-type]
        assert (await asyncio.wait_for(heard.get(), 5)).kind == "no_sound"


@pytest.mark.parametrize(
    ("limits", "limit"),
    [(Limits(max_bytes=1), Limit.SIZE), (Limits(min_free_bytes=disk.MIN_FREE_BYTES), Limit.DISK)],
)
async def test_at_a_limit_the_recording_ends_whole_and_says_why(
    limits: Limits, limit: Limit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10**9, disk.MIN_FREE_BYTES]  # there was room at the start
    monkeypatch.setattr(disk, "free_bytes", lambda folder: free.pop(0) if len(free) > 1 else free[0])
    async with keep_call(FakeSession(), tmp_path / "call", limits=limits) as kept:  # type: ignore[arg-type]
        await asyncio.wait_for(kept.failed(), 5)
        assert kept.limit_reached is limit
        summary = await kept.finish()
    assert (summary.stopped, summary.complete) == (limit.value, True)


async def test_a_full_disk_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        async with keep_call(FakeSession(), tmp_path / "call", limits=Limits(min_free_bytes=10**18)):  # type: ignore[arg-type]
            pass
    assert caught.value.code == "disk_nearly_full"
    assert not (tmp_path / "call").exists()
