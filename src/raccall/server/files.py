"""How many files this process may open: each connection is one."""

import sys

from raccall.errors import InputError
from raccall.server.binding import FILES_SHORT

NEEDED = 64
"""Database, sockets, threads' wake-ups, and some connections."""

if sys.platform == "win32":

    def raise_file_limit() -> None:
        """Windows has none that matters."""
else:
    import resource

    def raise_file_limit() -> None:
        """Take as many as this user may have; shells begin with 1024 of them. Raises InputError `files_short`."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= hard < NEEDED:
            raise InputError("files_short", FILES_SHORT)
        if soft != hard:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            except (ValueError, OSError):  # macOS tells more than it grants
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
