"""Delete recordings that are older than they should be, and nothing else.

A recording is a folder right below the given one, no link, with an events.jsonl that begins with Start and a journal or
a summary beside it; or with both encrypted, and then no more is known of it than when it was last written to. It is as
old as its last event. One without an end was killed, or is running: then its journal is locked or grew lately, and it
stays. Everything in the folder goes, also what people exported there: a deleted voice should not live on beside its
journal.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from raccall.recorder.events import Start, Stop, read_events
from raccall.recorder.lock import is_locked
from raccall.recorder.placement import EVENTS, JOURNAL, SEALED
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.units import NANOS_PER_SECOND

RUNNING_WITHIN = timedelta(hours=1)
"""A journal without an end that was written to this lately belongs to a running recording, not to a killed one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One recording."""

    path: Path
    room: str
    """Empty for an encrypted one."""
    ended: datetime
    """Of its last event, UTC."""
    bytes: int
    rendered: bool


@dataclass(frozen=True, slots=True)
class Pruned:
    """One recording that was too old."""

    kept: Kept
    error: str | None
    """Why it is still there, wholly or in part; None if it is gone (or would be: `dry_run`)."""


def recordings_in(folder: Path, now: datetime) -> Iterator[Kept]:
    """The recordings below a folder that are not running, the oldest first. Raises OSError when it cannot be read."""
    found = (_look(path, now) for path in folder.iterdir()) if folder.is_dir() else ()
    yield from sorted((kept for kept in found if kept is not None), key=lambda kept: kept.ended)


def prune(
    folder: Path, days_of: Callable[[str], int | None], now: datetime, *, dry_run: bool = False
) -> Iterator[Pruned]:
    """Delete what is too old, one by one. Raises OSError when the folder cannot be read.

    days_of: of a room's name, how many days its recordings are kept; None: for ever. now: UTC.
    """
    for kept in recordings_in(folder, now):
        days = days_of(kept.room)
        if days is None or now - kept.ended <= timedelta(days=days):
            continue
        yield Pruned(kept, None if dry_run else _delete(kept.path))


def _look(path: Path, now: datetime) -> Kept | None:
    journal, events, summary = path / JOURNAL, path / EVENTS, path / SUMMARY
    if path.is_symlink() or is_locked(journal):
        return None
    if (path / (JOURNAL + SEALED)).is_file() and (path / (EVENTS + SEALED)).is_file():
        return _look_at_sealed(path, now)
    if not events.is_file() or not (journal.is_file() or summary.is_file()):
        return None
    try:
        log = read_events(events).events
        if not log or not isinstance(start := log[0], Start):
            return None
        seconds = (max(event.now for event in log) - start.now) / NANOS_PER_SECOND
        ended = datetime.fromtimestamp(start.wall_ns / NANOS_PER_SECOND, UTC) + timedelta(seconds=seconds)
        stopped = any(isinstance(event, Stop) for event in log) or not journal.is_file()
        if not stopped:
            written = datetime.fromtimestamp(journal.stat().st_mtime, UTC)
            if now - written < RUNNING_WITHIN:
                return None
            ended = max(ended, written)
        size = _size(path)
    except (OSError, ValueError, OverflowError):  # unreadable, or a time no calendar has: not ours to judge
        return None
    return Kept(path, start.room, ended, size, summary.is_file())


def _look_at_sealed(path: Path, now: datetime) -> Kept | None:
    journal = path / (JOURNAL + SEALED)
    try:
        written = datetime.fromtimestamp(journal.stat().st_mtime, UTC)
        if is_locked(journal) or now - written < RUNNING_WITHIN:
            return None
        return Kept(path, "", written, _size(path), (path / SUMMARY).is_file())
    except OSError:
        return None


def _size(path: Path) -> int:
    return sum(child.lstat().st_size for child in path.rglob("*"))


def _delete(path: Path) -> str | None:
    """What makes it a recording goes last, so that a kill leaves something that is found again."""
    last = (SUMMARY, JOURNAL, JOURNAL + SEALED, EVENTS, EVENTS + SEALED)
    try:
        for child in path.iterdir():
            if child.name in last:
                continue
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
        for name in last:
            (path / name).unlink(missing_ok=True)
        path.rmdir()
    except OSError as error:
        return error.strerror or str(error)
    return None
