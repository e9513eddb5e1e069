"""A Screen whose lines go into the terminal client's log, and wait until there is one."""

from collections import deque
from collections.abc import Callable

from raccall.cli.screen import Screen

MAX_WAITING = 1000


class LogScreen(Screen):
    """Lines written before `attach` wait, the oldest dropped beyond 1000."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=MAX_WAITING)
        self._write: Callable[[str], object] | None = None

    def attach(self, write: Callable[[str], object] | None) -> None:
        """Where lines go from now on; None: wait again."""
        self._write = write
        while write is not None and self._lines:
            write(self._lines.popleft())

    def leftover(self) -> list[str]:
        """Lines that nobody was shown, in order."""
        waiting = list(self._lines)
        self._lines.clear()
        return waiting

    def status(self, text: str) -> None:
        """The client shows the same in its own way."""

    def _print(self, text: str) -> None:
        if self._write is None:
            self._lines.append(text)
        else:
            self._write(text)
