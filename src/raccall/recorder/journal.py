"""Everything received, append-only, as a standard capture (pcapng) that Wireshark opens as RTP streams without
settings. What stands in it and what protects it is told in crates/record/src/journal, which writes and reads the bytes.

Reading is tolerant: a cut or damaged place costs only the packets in it, and is counted.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from raccall._native import JournalBlocks, JournalError, JournalScan, PacketBatch
from raccall.errors import InputError
from raccall.recorder.append import AppendOnly, OpenFile
from raccall.recorder.lock import lock
from raccall.units import FRAME_MS, NANOS_PER_MS, NANOS_PER_SECOND, Nanos
from raccall.voice.tap import Packets, TappedPacket, Tick

_TICK: int = FRAME_MS * NANOS_PER_MS


@dataclass(frozen=True, slots=True)
class TimeBase:
    """One instant on both clocks: the start of the recording."""

    monotonic_ns: Nanos
    wall_ns: int

    def wall_of(self, now: Nanos) -> int:
        """UTC in nanoseconds since 1970."""
        return now - self.monotonic_ns + self.wall_ns

    def now_of(self, wall_ns: int) -> Nanos:
        """The inverse of `wall_of`."""
        return Nanos(wall_ns - self.wall_ns + self.monotonic_ns)


class JournalWriter:
    """Appends packets, and holds the recording's lock (see `lock`) until it is closed. Raises OSError."""

    def __init__(self, path: Path, base: TimeBase, *, application: str, open_file: OpenFile = AppendOnly) -> None:
        """Create the file. FileExistsError when there is one."""
        self._blocks = JournalBlocks(base.monotonic_ns, base.wall_ns)
        self._file = open_file(path)
        lock(self._file.fileno())
        self._file.append(self._blocks.head(application))

    def append(self, packets: PacketBatch) -> None:
        """Add packets: all of them or none."""
        self._file.append(self._blocks.packets(packets))

    def sync(self) -> None:
        """Return when all that was appended is on the disk."""
        self._file.sync()

    def close(self) -> None:
        """Sync and close. May be called twice."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Damage:
    """What could not be read."""

    places: int = 0
    """Where no whole block stood."""
    lost_bytes: int = 0
    """Skipped there."""
    lost_packets: int = 0
    """As their running numbers and checksums tell; of those behind the last readable one nothing is known."""


class JournalReader:
    """Packets of a journal in the order they arrived. Also a Tap: the same Ticks that the recorder saw."""

    def __init__(self, path: Path, base: TimeBase | None = None) -> None:
        """base: what events.jsonl says, for a journal whose head is damaged; without either, times count from 1970."""
        self.path = path
        self._base = base
        self._scan: JournalScan | None = None

    @property
    def base(self) -> TimeBase | None:
        """The head's once packets were read, else what was given."""
        if self._scan is None or self._scan.base is None:
            return self._base
        monotonic_ns, wall_ns = self._scan.base
        return TimeBase(Nanos(monotonic_ns), wall_ns)

    @property
    def damage(self) -> Damage:
        """Of the newest reading, as far as it came."""
        scan = self._scan
        return Damage(scan.places, scan.lost_bytes, max(scan.missing, scan.unreadable)) if scan else Damage()

    def batches(self, span_ns: int = NANOS_PER_SECOND) -> Iterator[PacketBatch]:
        """Read through once, in constant memory: batches of less than `span_ns` and at most 4096 packets.

        Raises InputError ("recording_too_new", "not_a_journal") or OSError; never for damage.
        """
        base = self._base
        scan = self._scan = JournalScan(
            self.path, base=(base.monotonic_ns, base.wall_ns) if base else None, span_ns=span_ns
        )
        try:
            while (batch := scan.read()) is not None:
                yield batch
        except JournalError as error:
            raise _input_error(self.path, str(error)) from error

    def packets(self) -> Iterator[TappedPacket]:
        """One by one. Raises as `batches` does."""
        for batch in self.batches():
            yield from Packets(batch)

    def ticks(self) -> Iterator[Tick]:
        """The packets in groups of 20 ms; a quiet time gives no Ticks. Raises as `batches` does."""
        for batch in self.batches(_TICK):
            packets = Packets(batch)
            yield Tick(packets[-1].arrival, packets)

    async def __aiter__(self) -> AsyncIterator[Tick]:
        for tick in self.ticks():
            yield tick


def too_new(folder: Path) -> InputError:
    """The recording was made by a later version, whose files must not be guessed at."""
    return InputError("recording_too_new", f"{folder} was recorded by a newer Raccall; update this one to read it.")


def _input_error(path: Path, reason: str) -> InputError:
    if reason == "too_new":
        return too_new(path.parent)
    return InputError("not_a_journal", f"{path} is a capture of another program, not a recording's journal.")
