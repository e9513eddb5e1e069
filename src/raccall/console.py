"""What the person at the console does while a command runs: type lines, and interrupt it."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable


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
