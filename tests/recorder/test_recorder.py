"""The live side: everything a Tap hands out is in the folder, and trouble is told in one sentence."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from calls import Sender, over_network

from raccall._native import PacketBatch
from raccall.clock import monotonic_now
from raccall.errors import InputError, StorageError
from raccall.recorder import Gap, JournalReader, MemberJoined, Recorder, Start, Stop, check_folder, read_events
from raccall.recorder import recorder as module
from raccall.recorder.lock import is_locked
from raccall.voice.tap import TappedPacket, Tick


class TickTap:
    """A Tap of given Ticks."""

    def __init__(self, *ticks: Tick) -> None:
        self.ticks = ticks

    async def __aiter__(self) -> AsyncIterator[Tick]:
        for tick in self.ticks:
            yield tick


def some_packets(count: int = 100) -> list[TappedPacket]:
    return over_network([Sender(1, [b"\x78" + index.to_bytes(2, "big") for index in range(count)])], seed=1)


def ticks(packets: list[TappedPacket]) -> list[Tick]:
    return [Tick(packet.arrival, (packet,)) for packet in packets]


async def test_everything_the_tap_hands_out_is_in_the_folder(tmp_path: Path) -> None:
    packets = some_packets()
    folder = tmp_path / "new" / "call"
    async with Recorder(folder, room="lounge") as recorder:
        recorder.event(MemberJoined(now=recorder.now, user_id="1", name="anna"))
        await recorder.run(TickTap(*ticks(packets[:60])))
        await recorder.run(TickTap(Tick(monotonic_now(), (), 7), *ticks(packets[60:])))
    assert list(JournalReader(folder / "journal.pcapng").packets()) == packets
    assert recorder.counts.packets == len(packets)
    assert recorder.counts.lost_here == 7
    log = read_events(folder / "events.jsonl")
    assert [type(event) for event in log.events] == [Start, MemberJoined, Gap, Stop]
    start = log.events[0]
    assert isinstance(start, Start)
    assert (start.room, log.unread_lines) == ("lounge", 0)


async def test_a_slow_disk_stops_the_recording_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    write = module.JournalWriter.append

    def slow(self: module.JournalWriter, packets: PacketBatch) -> None:
        release.wait()
        write(self, packets)

    monkeypatch.setattr(module.JournalWriter, "append", slow)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    recorder = Recorder(tmp_path / "call")
    with pytest.raises(StorageError) as caught:
        await recorder.run(TickTap(*ticks(some_packets(module.QUEUE_TICKS + 20))))
    assert caught.value.code == "recording_overflow"
    assert recorder.backlog > 0.9  # the thread may have taken one meanwhile
    release.set()
    await recorder.close("overflow")
    assert recorder.backlog == 0.0
    log = read_events(tmp_path / "call" / "events.jsonl")
    assert log.events[-1] == Stop(now=log.events[-1].now, reason="overflow")
    assert (
        len(list(JournalReader(tmp_path / "call" / "journal.pcapng").packets())) >= module.QUEUE_TICKS - 1
    )  # and Start


async def test_a_replay_faster_than_the_disk_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_TICKS", 2)
    packets = some_packets(300)
    async with Recorder(tmp_path / "call") as recorder:
        await recorder.run(TickTap(*ticks(packets)))
    assert list(JournalReader(tmp_path / "call" / "journal.pcapng").packets()) == packets


async def test_a_disk_that_fails_while_nobody_talks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYNC_EVERY_S", 0.001)
    failed = threading.Event()

    def failing(self: module.JournalWriter) -> None:
        failed.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.JournalWriter, "sync", failing)
    recorder = Recorder(tmp_path / "call")
    await asyncio.to_thread(failed.wait)
    await asyncio.to_thread(recorder._syncer.join)
    with pytest.raises(StorageError, match="Input/output error"):
        await recorder.run(TickTap(Tick(monotonic_now(), ())))
    with pytest.raises(StorageError):
        await recorder.close()


async def test_two_recorders_do_not_share_a_folder(tmp_path: Path) -> None:
    async with Recorder(tmp_path / "call"):
        with pytest.raises(InputError, match="is being recorded into") as caught:
            Recorder(tmp_path / "call")
        assert caught.value.code == "folder_in_use"
    assert not is_locked(tmp_path / "call" / "journal.pcapng")
    with pytest.raises(InputError) as caught:
        Recorder(tmp_path / "call")
    assert caught.value.code == "folder_not_empty"
    assert isinstance(read_events(tmp_path / "call" / "events.jsonl").events[-1], Stop)


async def test_of_two_recorders_that_begin_together_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "check_folder", lambda folder: None)  # both looked before either began
    async with Recorder(tmp_path / "call"):
        with pytest.raises(InputError) as caught:
            Recorder(tmp_path / "call")
        assert caught.value.code == "folder_in_use"
    assert len(read_events(tmp_path / "call" / "events.jsonl").events) == 2


async def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: module.JournalWriter, packets: PacketBatch) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.JournalWriter, "append", full)
    recorder = Recorder(tmp_path / "call")
    await recorder.run(TickTap(*ticks(some_packets(1))))
    with pytest.raises(StorageError, match="No space left on device") as caught:
        await recorder.close()
    assert caught.value.code == "recording_failed"


async def test_cancelling_keeps_what_was_received(tmp_path: Path) -> None:
    packets = some_packets(5)
    received = asyncio.Event()

    class Endless:
        async def __aiter__(self) -> AsyncIterator[Tick]:
            for tick in ticks(packets):
                yield tick
            received.set()
            await asyncio.Event().wait()

    async with Recorder(tmp_path / "call") as recorder:
        task = asyncio.create_task(recorder.run(Endless()))
        await received.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert list(JournalReader(tmp_path / "call" / "journal.pcapng").packets()) == packets


def test_a_folder_that_cannot_be_used_is_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("")

    def code(folder: Path) -> str:
        with pytest.raises((InputError, StorageError)) as caught:
            check_folder(folder)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
        return caught.value.code

    assert code(tmp_path / "full") == "folder_not_empty"
    assert code(tmp_path / "file") == "not_a_folder"
    assert code(tmp_path / "file" / "below") == "not_a_folder"
    check_folder(tmp_path / "new" / "deep")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a test may run as root, who may write anywhere
    assert code(tmp_path / "locked") == "folder_unwritable"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
