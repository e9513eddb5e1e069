"""The console while a command runs: the person types lines and interrupts; a row at the bottom shows how it goes."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import TextIO

KEEP_CURSOR, BACK_TO_CURSOR = "\x1b7", "\x1b8"
METER_COLUMNS = 8
METER_FLOOR_DB = -54.0
"""Quieter is an empty meter: breath and fans."""
_BLOCKS = " ▏▎▍▌▋▊▉█"


async def typed_lines() -> AsyncIterator[str]:
    """Lines of the standard input. Read by a thread of its own, since no platform-independent way waits for them."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def hand_over(line: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            loop.call_soon_threadsafe(lines.put_nowait, line)

    def read() -> None:
        # Not sys.stdin: a thread that waits inside its lock makes the interpreter abort at exit.
        pending = b""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no standard input: nobody types
            while data := os.read(sys.stdin.fileno(), 4096):
                *whole, pending = (pending + data).split(b"\n")
                for line in whole:
                    hand_over(line.decode(errors="replace"))
        if pending:
            hand_over(pending.decode(errors="replace"))
        hand_over(None)

    threading.Thread(target=read, name="typed-lines", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


def on_interrupt(stop: Callable[[], None]) -> None:
    """Ctrl-C and a polite kill leave the call like /quit does."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels the main task instead
            loop.add_signal_handler(number, stop)


class BottomRow:
    """The last row of a terminal, for a text that renews itself; all else scrolls above it, so it never meets what is
    typed. On a stream that is no terminal it shows nothing."""

    def __init__(self, stream: TextIO) -> None:
        self.live = stream.isatty()
        self._stream = stream
        self._rows = 0

    def show(self, text: str) -> None:
        """As much of the text as fits; without control characters."""
        if not self.live:
            return
        columns, rows = shutil.get_terminal_size()
        if rows != self._rows:
            # A first line break makes room if the cursor is in the last row; setting the rows that scroll moves it.
            self._stream.write(f"\n{KEEP_CURSOR}\x1b[1;{rows - 1}r{BACK_TO_CURSOR}\x1b[A")
            self._rows = rows
        self._stream.write(f"{KEEP_CURSOR}\x1b[{rows};1H\x1b[K{text[: columns - 1]}{BACK_TO_CURSOR}")
        self._stream.flush()

    def close(self) -> None:
        """Give the row back."""
        if self._rows:
            self._stream.write(f"{KEEP_CURSOR}\x1b[{self._rows};1H\x1b[K\x1b[r{BACK_TO_CURSOR}")
            self._stream.flush()
            self._rows = 0


def meter(level_db: float, columns: int = METER_COLUMNS) -> str:
    """A bar of `columns` characters, from -54 dB to full scale, in eighths of a character."""
    share = min(max(1 - level_db / METER_FLOOR_DB, 0.0), 1.0)
    eighths = round(share * columns * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BLOCKS[rest] if rest else "")).ljust(columns)
