"""One server for one data folder: a second one would answer for rooms and sessions that the first one has.

The lock is the system's, so a kill releases it.
"""

import os
import sys
from pathlib import Path

from raccall.errors import StorageError

NAME = "lock"

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks, where nothing can be promised
            return True
        return True


class FolderLock:
    """Held until `release`. Raises StorageError `data_in_use` or `data_not_writable`."""

    def __init__(self, folder: Path) -> None:
        try:
            descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError("data_not_writable", f"{folder / NAME} cannot be written: {error.strerror}.") from None
        if not _try_lock(descriptor):
            os.close(descriptor)
            raise StorageError(
                "data_in_use", f"Another server uses the data folder {folder}; stop it, or choose a folder with --data."
            )
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Again: no effect."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
