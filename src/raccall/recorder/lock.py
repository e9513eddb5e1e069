"""Who records into a folder holds a lock on its journal; who changes a recording, one on a file made for that. Both are
the system's, so a kill releases them.

Two who change the same recording would delete each other's half-made files; and a rendering that was begun before
somebody was forgotten would bring their voice back.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raccall.errors import InputError

CHANGING = ".changing"

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 62
    """Windows keeps others from reading what is locked; no journal grows to here."""

    def _try_lock(descriptor: int) -> bool:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: there the exclusive creation of the files has to do
            return True
        return True


def lock(descriptor: int) -> None:
    """Lock a journal that was just created, until it is closed."""
    _try_lock(descriptor)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Change a recording alone. Raises InputError "folder_in_use", OSError."""
    path = folder / CHANGING
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Who held the lock until just now has deleted the file that was opened here.
        if not _try_lock(descriptor) or not _is(path, descriptor):
            raise InputError("folder_in_use", f"Another command changes {folder} now; wait for its end.")
        try:
            yield
        finally:
            with suppress(OSError):  # Windows deletes no open file; an empty one may stay there
                path.unlink()
    finally:
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether the file opened there is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_locked(journal: Path) -> bool:
    """Whether somebody records into this journal now."""
    try:
        descriptor = os.open(journal, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)
