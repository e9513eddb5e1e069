"""One server for one data folder: a second one would answer for rooms and sessions that the first one has.

The lock is the system's, so a kill releases it.
"""

import os
from pathlib import Path

from raccall.errors import StorageError
from raccall.file_lock import try_lock

NAME = "lock"


class FolderLock:
    """Held until `release`. Raises StorageError `data_in_use` or `data_not_writable`."""

    def __init__(self, folder: Path) -> None:
        try:
            descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError("data_not_writable", f"{folder / NAME} cannot be written: {error.strerror}.") from None
        if not try_lock(descriptor):
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
