"""Writes a recording's journal and events while the call goes on. Knows no network: it reads a Tap.

    async with Recorder(folder, room="lounge") as recorder:
        recorder.event(MemberJoined(now=recorder.now, user_id="1", name="anna"))
        await recorder.run(tap)
    summary = render(folder)

One writer thread does all the writing, so that a slow disk delays nobody; between it and the event loop stand five
seconds of Ticks. When they are full the recording stops with a StorageError: a recording with holes would look like a
whole one.
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
from raccall.recorder.events import Event, EventWriter, Gap, Start, Stop
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.placement import EVENTS, JOURNAL
from raccall.units import NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import Packets, Tap

QUEUE_TICKS = 250
"""Five seconds of Ticks of 20 ms between event loop and disk; full means stop, loudly."""


@dataclass(slots=True)
class RecorderCounts:
    """So far."""

    packets: int = 0
    payload_bytes: int = 0
    lost_here: int = 0
    """Received by this machine and lost on it: the recording has a gap."""


class Recorder:
    """One recording folder, from its first event to its last. Made for one event loop; `close` may be called twice."""

    def __init__(self, folder: Path, *, room: str = "") -> None:
        """Create the folder and its two files. Raises as `check_folder` does."""
        check_folder(folder)
        self.folder = folder
        self._made_folder = not folder.exists()
        self.counts = RecorderCounts()
        self.last_arrival: dict[Ssrc, Nanos] = {}
        """SSRC → when its newest packet arrived: who talks."""
        self._queue: queue.Queue[PacketBatch | Event | None] = queue.Queue(QUEUE_TICKS)
        self._failure: Exception | None = None
        self._closed = False
        wall = wall_now()
        start = monotonic_now()
        base = TimeBase(start, int(wall.timestamp() * NANOS_PER_SECOND))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = JournalWriter(folder / JOURNAL, base, application=f"Raccall {__version__}")
            self._events = EventWriter(folder / EVENTS)
        except OSError as error:
            raise StorageError("folder_unwritable", f"{folder} cannot be written: {error.strerror}.") from error
        self._thread = threading.Thread(target=self._write_all, name="raccall-recorder", daemon=True)
        self._thread.start()
        self.event(Start(now=start, wall_ns=base.wall_ns, wall=wall.isoformat(), room=room, version=__version__))

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
        """How much of what may wait for the disk does, 0 to 1; at 1 the recording stops."""
        return self._queue.qsize() / QUEUE_TICKS

    async def run(self, tap: Tap) -> None:
        """Write everything until the Tap ends; with another Tap (after a reconnection) it may be called again.

        Raises StorageError when the disk fails or is too slow.
        """
        async for tick in tap:
            if tick.gap_packets:
                self.counts.lost_here += tick.gap_packets
                self.event(Gap(now=tick.now, packets=tick.gap_packets))
            if tick.packets:
                batch = Packets.of(tick.packets).batch
                self.counts.packets += len(batch)
                self.counts.payload_bytes += batch.rtp_bytes
                self.last_arrival.update((Ssrc(ssrc), Nanos(now)) for ssrc, now in batch.newest_arrivals().items())
                self._put(batch)

    def event(self, event: Event) -> None:
        """Add one line to events.jsonl. Raises StorageError as `run` does."""
        self._put(event)

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
        (self.folder / JOURNAL).unlink(missing_ok=True)
        (self.folder / EVENTS).unlink(missing_ok=True)
        if self._made_folder:
            self.folder.rmdir()

    def _put(self, item: PacketBatch | Event) -> None:
        if self._failure:
            raise self._storage_error(self._failure)
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            raise StorageError(
                "recording_overflow", f"The disk of {self.folder} is more than five seconds behind; recording stopped."
            ) from None

    def _storage_error(self, error: Exception) -> StorageError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return StorageError("recording_failed", f"The recording in {self.folder} failed: {why}.")

    # ---- the writer thread ----

    def _finish(self, stop: Stop) -> None:
        self._queue.put(stop)
        self._queue.put(None)
        self._thread.join()

    def _write_all(self) -> None:
        try:
            try:
                while self._write_next():
                    pass
            finally:
                self._events.close()
                self._journal.close()
        except Exception as error:  # whatever ended the writing, the one who records must hear of it
            self._failure = error
            while self._queue.get() is not None:  # so that nobody waits for room in the queue
                pass

    def _write_next(self) -> bool:
        """Write what comes next, flush what is due. False at the end."""
        try:
            item = self._queue.get(timeout=1.0)
        except queue.Empty:
            pass
        else:
            if item is None:
                return False
            if isinstance(item, PacketBatch):
                self._journal.append(item)
            else:
                self._events.append(item)
        now = monotonic_now()
        self._journal.flush_if_due(now)
        self._events.flush_if_due(now)
        return True


def check_folder(folder: Path) -> None:
    """See that a recording may be made there, without making anything.

    Raises InputError ("folder_not_empty", "not_a_folder") or StorageError ("folder_unwritable").
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError("not_a_folder", f"{nearest} is not a folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError("folder_unwritable", f"{folder} cannot be written: no permission in {nearest}.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError("folder_not_empty", f"{folder} is not empty; a recording needs a new or empty folder.")
