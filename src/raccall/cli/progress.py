"""Progress on stderr, so that stdout stays for the result."""

import contextlib
import sys
from collections.abc import Iterator

from raccall.cli.screen import printable


class ProgressLine:
    """A line that renews itself on a terminal. `stay=True`: a line that is not written over."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __call__(self, line: str, *, stay: bool = False) -> None:
        if self._live:
            _write(f"\r\x1b[K{printable(line)}" + ("\n" if stay else ""))
        elif stay:
            _write(printable(line) + "\n")


@contextlib.contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A status line that is gone at the end."""
    show = ProgressLine()
    try:
        yield show
    finally:
        show("")


def say(text: str) -> None:
    """One sentence on stderr."""
    _write(printable(text) + "\n")


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal was closed: no reason to stop working
        sys.stderr.write(text)
        sys.stderr.flush()
