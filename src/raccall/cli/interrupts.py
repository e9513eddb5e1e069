"""Ctrl-C, a polite kill and a closed terminal, as a recording takes them.

The first Ctrl-C or SIGTERM ends the call, the second one the rendering. SIGHUP (the terminal was closed, the line
broke) ends nothing: a meeting is not lost with an ssh connection.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """One command's. Made and used in the main thread."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        """Set by the first SIGINT or SIGTERM."""
        self.hung_up = asyncio.Event()
        """Set by SIGHUP."""
        self._presses = 0

    def catch(self) -> None:
        """Take the signals for the running event loop."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels the main task instead
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._press)
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(signal.SIGHUP, self.hung_up.set)

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """From here on SIGINT and SIGTERM raise KeyboardInterrupt, and SIGHUP is ignored; at once if one came twice.

        A loop that ended has put the signals back to what the system does with them.
        """
        if self._presses > 1:
            raise KeyboardInterrupt
        before = {number: signal.signal(number, _raise) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _press(self) -> None:
        self._presses += 1
        self.stop.set()


def _raise(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
