"""A file that only grows, one whole piece at a time."""

import os
from collections.abc import Callable
from pathlib import Path


class AppendOnly:
    """Each piece goes to the system at once, so that a killed process loses none; `sync` makes sure of the disk.

    Made for one thread that appends; another may sync. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        """Create the file. FileExistsError when there is one."""
        self._file = path.open("xb", buffering=0)
        self._size = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def append(self, piece: bytes) -> None:
        """All of it or, when the disk is full, nothing: the file ends with a whole piece."""
        written = 0
        try:
            while written < len(piece):
                written += self._file.write(piece[written:] if written else piece)
        except OSError:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise
        self._size += len(piece)

    def sync(self) -> None:
        """Return when all that was appended is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close. May be called twice."""
        if not self._file.closed:
            try:
                self.sync()
            finally:
                self._file.close()


OpenFile = Callable[[Path], AppendOnly]
"""How journal and events come to their files: AppendOnly itself, or `Sealer.open`, which encrypts each piece."""
