"""Who records into a folder holds a lock on its journal; who changes a recording, one on a file made for that. Both are
the system's, so a kill releases them.

Two who change the same recording would delete each other's half-made files; and a rendering that was begun before
somebody was forgotten would bring their voice back.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raccall.errors import InputError
from raccall.file_lock import try_lock

CHANGING = ".changing"


def lock(descriptor: int) -> None:
    """Lock a journal that was just created, until it is closed."""
    try_lock(descriptor)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Change a recording alone. Raises InputError "folder_in_use", OSError."""
    path = folder / CHANGING
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Who held the lock until just now has deleted the file that was opened here.
        if not try_lock(descriptor) or not _is(path, descriptor):
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
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)
