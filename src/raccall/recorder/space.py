"""Room for a recording: what it has written, what rendering will need, what is left, and when to stop.

    space = Space(folder, Limits(max_bytes=...), now)
    disk = space.look(now, speakers=3, packets=1200)
    if disk.full: stop

`left` is what may still be recorded so that the tracks can be made afterwards: a disk that rendering fills is full too.
"""

import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from raccall.errors import StorageError
from raccall.units import NANOS_PER_SECOND, Nanos

MIN_FREE_BYTES = 500_000_000
"""Left to others on the disk by default: an operating system in want of the last megabytes fails in odd places."""

START_BYTES = 20_000_000
"""Room to record that must be there at the start: minutes, not seconds."""

RATE_OVER: int = 300 * NANOS_PER_SECOND
"""The present rate is that of the last five minutes: people take turns."""
RATE_AFTER: int = 10 * NANOS_PER_SECOND

MIX_BYTES_PER_S = 9_000
"""Of mix.opus where somebody speaks: 64 kbit/s, with a tenth for its pages and louder passages."""
SILENT_BYTES_PER_S = 500
"""Of the mix or one track, with its picture on the page, while nobody speaks: 50 packets of 4 bytes, and peaks."""


PAGE_BYTES = 100_000
"""Of index.html and what else is small, however short the recording."""

LONG_PACKET_S = 0.06
"""The longest packet in common use; most last a third of it."""


class Keep(StrEnum):
    """What stays of a recording."""

    BOTH = "both"
    JOURNAL = "journal"
    """Nothing is rendered."""
    TRACKS = "tracks"
    """What was received is deleted once the tracks are made."""


class Limit(StrEnum):
    """What can end a recording; also the reason in its Stop event."""

    DISK = "disk_full"
    SIZE = "max_size"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a recording may take."""

    max_bytes: int | None = None
    """Of the whole folder, rendering included."""
    min_free_bytes: int = MIN_FREE_BYTES
    """Left free on the disk, rendering included."""
    keep: Keep = Keep.BOTH


@dataclass(frozen=True, slots=True)
class Disk:
    """One look."""

    written_bytes: int
    """By the recording so far."""
    free_bytes: int
    """On the disk."""
    render_bytes: int
    """What the tracks, mix and page of it will take, about."""
    left_bytes: int
    """What the recording may still take before it stops, its rendering included; 0 or less: stop."""
    left_s: float | None
    """The same at the present rate; None before the rate is known, or while nothing is written."""
    limit: Limit
    """Which would be reached first."""

    @property
    def full(self) -> bool:
        return self.left_bytes <= 0


def free_bytes(folder: Path) -> int:
    """Free on the disk of `folder`, or of the nearest folder above that exists. Raises OSError."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(nearest).free


def render_bytes(written_bytes: int, seconds: float, speakers: int, spoken_s: float) -> int:
    """What rendering makes of a recording, about, and rather too much.

    A track holds its packets without the journal's frame of some 80 bytes each, so all tracks are smaller than it.
    spoken_s: the sum of all packets' lengths.
    """
    mix = min(spoken_s, seconds) * MIX_BYTES_PER_S
    return PAGE_BYTES + written_bytes + int(mix + seconds * SILENT_BYTES_PER_S * (speakers + 1))


class Space:
    """Watches one recording's room. Looks at the disk itself; `free` and `written` are given by tests."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        now: Nanos,
        *,
        free: Callable[[Path], int] | None = None,
        written: Callable[[Path], int] | None = None,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._began = now
        self._free = free or free_bytes
        self._written = written or _size_of
        self._takes: deque[tuple[Nanos, int]] = deque()

    def look(self, now: Nanos, *, speakers: int, packets: int) -> Disk:
        """Measure. speakers: how many tracks there will be; packets: received so far. Raises OSError."""
        written, free = self._written(self._folder), self._free(self._folder)
        rendering = 0
        if self._limits.keep is not Keep.JOURNAL:
            seconds = (now - self._began) / NANOS_PER_SECOND
            rendering = render_bytes(written, seconds, speakers, packets * LONG_PACKET_S)
        left, limit = free - self._limits.min_free_bytes - rendering, Limit.DISK
        if self._limits.max_bytes is not None and (room := self._limits.max_bytes - written - rendering) < left:
            left, limit = room, Limit.SIZE
        rate = self._rate(now, written + rendering)
        return Disk(
            written_bytes=written,
            free_bytes=free,
            render_bytes=rendering,
            left_bytes=left,
            left_s=max(left, 0) / rate if rate else None,
            limit=limit,
        )

    def _rate(self, now: Nanos, taken: int) -> float | None:
        """Bytes a second."""
        if not self._takes or now - self._takes[-1][0] >= NANOS_PER_SECOND:
            self._takes.append((now, taken))
        while len(self._takes) > 1 and self._takes[1][0] <= now - RATE_OVER:
            self._takes.popleft()
        since, before = self._takes[0]
        if now - since < RATE_AFTER or taken <= before:
            return None
        return (taken - before) * NANOS_PER_SECOND / (now - since)


def check_space(folder: Path, limits: Limits, *, free: Callable[[Path], int] | None = None) -> None:
    """See that there is room to begin. Raises StorageError "disk_nearly_full"."""
    there, wanted = (free or free_bytes)(folder), limits.min_free_bytes + START_BYTES
    if there < wanted:
        raise StorageError(
            "disk_nearly_full",
            f"Only {megabytes(there)} are free for {folder}, and {megabytes(limits.min_free_bytes)} of them are to stay"
            " free (--min-free).",
        )


def check_space_to_render(folder: Path, needed_bytes: int, *, free: Callable[[Path], int] | None = None) -> None:
    """See that tracks and mix will fit. Raises StorageError "no_space_to_render"."""
    there = (free or free_bytes)(folder)
    if there < needed_bytes:
        raise StorageError(
            "no_space_to_render",
            f"Tracks and mix of {folder} need about {megabytes(needed_bytes)}, and {megabytes(there)} are free.",
        )


def megabytes(count: int) -> str:
    """For people: "980 MB", "1.2 GB"; small ones with a decimal."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.1f} MB"


def _size_of(folder: Path) -> int:
    """Of the files right in the folder: journal and events."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
