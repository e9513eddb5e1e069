"""Who records into a folder holds a lock on its journal. It is the system's, so a kill releases it."""

import os
import sys
from pathlib import Path

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
