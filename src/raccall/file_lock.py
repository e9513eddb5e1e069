"""The system's lock on an open file: it keeps other processes out, and a kill releases it."""

import sys

if sys.platform == "win32":
    import msvcrt
    import os

    _LOCKED_BYTE = 1 << 62
    """Windows keeps others from reading what is locked; no file of ours grows to here."""

    def try_lock(descriptor: int) -> bool:
        """Hold it until the descriptor is closed. False: somebody else does."""
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

    def try_lock(descriptor: int) -> bool:
        """Hold it until the descriptor is closed. False: somebody else does.

        True as well on a file system without locks, where nothing can be promised.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True
