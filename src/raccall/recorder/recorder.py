"""Writes a recording's journal and events while the call goes on. Knows no network: it reads a Tap.

    async with Recorder(folder, room="lounge") as recorder:
        recorder.event(MemberJoined(now=recorder.now, user_id="1", name="anna"))
        await recorder.run(tap)
    summary = render(folder)

One thread does all the writing, so that a slow disk delays nobody, and hands each Tick to the system at once: a kill
costs what was not handed over yet, some 150 ms. Another makes sure of the disk every ten seconds. Between the event
loop and the writer stand five seconds of Ticks; when they are full, `run` waits five more and then stops the recording
with a StorageError: a recording with holes would look like a whole one.
"""

import asyncio
import os
import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from raccall import __version__
from raccall._native import PacketBatch
from raccall.clock import monotonic_now, wall_now
from raccall.errors import InputError, StorageError
from raccall.recorder.append import AppendOnly, OpenFile
from raccall.recorder.events import Event, EventWriter, Gap, Start, Stop
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.lock import is_locked
from raccall.recorder.placement import EVENTS, JOURNAL, SEALED
from raccall.units import NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import Packets, Tap

TICK_MS = 100
"""What a recorder likes to get at a time: waking three threads for each 20 ms costs more than all the rest."""
QUEUE_TICKS = 50
"""Five seconds between event loop and disk."""
QUEUE_EVENTS = 5_000
"""More items than that wait only when the disk hangs: then the events that cannot wait for room stop the recording."""
PATIENCE_S = 5.0
"""How long `run` waits for room."""
SYNC_EVERY_S = 10.0

_LOOK_AGAIN_S = 0.005


@dataclass(slots=True)
class RecorderCounts:
    """So far."""

    packets: int = 0
    payload_bytes: int = 0
    lost_here: int = 0
    """Received by this machine and lost on it: the recording has a gap."""


class Recorder:
    """One recording folder, from its first event to its last. Made for one event loop; `close` may be called twice."""

    def __init__(self, folder: Path, *, room: str = "", open_file: OpenFile = AppendOnly) -> None:
        """Create the folder and its two files. Raises as `check_folder` does.

        open_file: makes the files; `Sealer.open` encrypts them.
        """
        check_folder(folder)
        self.folder = folder
        self._made_folder = not folder.exists()
        self.counts = RecorderCounts()
        self.last_arrival: dict[Ssrc, Nanos] = {}
        """SSRC → when its newest packet arrived: who talks."""
        self._queue: queue.SimpleQueue[PacketBatch | Event | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._closed = False
        wall = wall_now()
        start = monotonic_now()
        base = TimeBase(start, int(wall.timestamp() * NANOS_PER_SECOND))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Events first, so that a journal never stands alone, whenever a kill comes.
            self._events = EventWriter(folder / EVENTS, open_file=open_file)
            try:
                iso, version = wall.isoformat(), __version__
                self._events.append(Start(now=start, wall_ns=base.wall_ns, wall=iso, room=room, version=version))
                application = f"Raccall {version}"
                self._journal = JournalWriter(folder / JOURNAL, base, application=application, open_file=open_file)
            except OSError:
                self._events.close()
                raise
        except FileExistsError as error:
            raise InputError("folder_in_use", f"Another recording has just begun in {folder}.") from error
        except OSError as error:
            raise StorageError("folder_unwritable", f"{folder} cannot be written: {error.strerror}.") from error
        self._written = threading.Event()
        self._writer = threading.Thread(target=self._write_all, name="raccall-recorder", daemon=True)
        self._syncer = threading.Thread(target=self._sync_all, name="raccall-sync", daemon=True)
        self._writer.start()
        self._syncer.start()

    async def __aenter__(self) -> "Recorder":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = kind is None or kind is asyncio.CancelledError
        await self.close("stopped" if stopped else f"error: {error}")

    @property
    def now(self) -> Nanos:
        """The recording's clock, for events."""
        return monotonic_now()

    @property
    def backlog(self) -> float:
        """How much of what may wait for the disk does, 0 to 1; at 1 the recording will soon stop."""
        return min(self._queue.qsize() / QUEUE_TICKS, 1.0)

    async def run(self, tap: Tap) -> None:
        """Write everything until the Tap ends; with another Tap (after a reconnection) it may be called again.

        Raises StorageError when the disk fails or is too slow.
        """
        async for tick in tap:
            self._check()
            if tick.gap_packets:
                self.counts.lost_here += tick.gap_packets
                self.event(Gap(now=tick.now, packets=tick.gap_packets))
            if tick.packets:
                batch = Packets.of(tick.packets).batch
                self.counts.packets += len(batch)
                self.counts.payload_bytes += batch.rtp_bytes
                self.last_arrival.update((Ssrc(ssrc), Nanos(now)) for ssrc, now in batch.newest_arrivals().items())
                await self._room()
                self._queue.put(batch)

    def event(self, event: Event) -> None:
        """Add one line to events.jsonl. Raises StorageError as `run` does."""
        self._check()
        if self._queue.qsize() >= QUEUE_EVENTS:
            raise self._overflow()
        self._queue.put(event)

    async def close(self, reason: str = "stopped") -> None:
        """Write what waits, then the end. Raises StorageError when the disk failed."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._finish, Stop(now=monotonic_now(), reason=reason))
        if self._failure:
            raise self._storage_error(self._failure)

    def discard(self) -> None:
        """Remove the files of a closed recording that never began, and the folder if it was made for them."""
        for name in (JOURNAL, EVENTS, JOURNAL + SEALED, EVENTS + SEALED):
            (self.folder / name).unlink(missing_ok=True)
        if self._made_folder:
            self.folder.rmdir()

    async def _room(self) -> None:
        """Wait until a Tick may be put into the queue: a replayed recording comes faster than any disk."""
        waited_s = 0.0
        while self._queue.qsize() >= QUEUE_TICKS:
            if waited_s >= PATIENCE_S:
                raise self._overflow()
            await asyncio.sleep(_LOOK_AGAIN_S)
            waited_s += _LOOK_AGAIN_S
            self._check()

    def _check(self) -> None:
        if self._failure:
            raise self._storage_error(self._failure)

    def _overflow(self) -> StorageError:
        return StorageError(
            "recording_overflow", f"The disk of {self.folder} is more than five seconds behind; recording stopped."
        )

    def _storage_error(self, error: Exception) -> StorageError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return StorageError("recording_failed", f"The recording in {self.folder} failed: {why}.")

    def _finish(self, stop: Stop) -> None:
        self._queue.put(stop)
        self._queue.put(None)
        self._writer.join()

    # ---- the writer thread ----

    def _write_all(self) -> None:
        try:
            try:
                while (item := self._queue.get()) is not None:
                    if isinstance(item, PacketBatch):
                        self._journal.append(item)
                    else:
                        self._events.append(item)
            finally:
                self._written.set()
                self._syncer.join()
                self._events.close()
                self._journal.close()
        except Exception as error:  # whatever ended the writing, the one who records must hear of it
            self._failure = error
            while self._queue.get() is not None:  # so that nothing is kept for nobody
                pass

    # ---- the sync thread ----

    def _sync_all(self) -> None:
        """Syncing takes seconds on a busy disk, and the writer must not wait: what it holds dies with the process."""
        try:
            while not self._written.wait(SYNC_EVERY_S):
                self._events.sync()
                self._journal.sync()
        except OSError as error:
            self._failure = error


def check_folder(folder: Path) -> None:
    """See that a recording may be made there, without making anything.

    Raises InputError ("folder_in_use", "folder_not_empty", "not_a_folder") or StorageError ("folder_unwritable").
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError("not_a_folder", f"{nearest} is not a folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError("folder_unwritable", f"{folder} cannot be written: no permission in {nearest}.")
    if is_locked(folder / JOURNAL) or is_locked(folder / (JOURNAL + SEALED)):
        raise InputError("folder_in_use", f"A call is being recorded into {folder} already.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError("folder_not_empty", f"{folder} is not empty; a recording needs a new or empty folder.")
