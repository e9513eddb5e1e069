"""Where a running recording shows itself: a panel that renews itself, plain lines, or JSON lines for scripts.

All go on when nobody looks any more: a terminal that was closed must not end a recording.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from raccall.cli.amounts import clock
from raccall.cli.panel import Row, paint, summed_up, width
from raccall.cli.screen import printable
from raccall.recorder import Alarm
from raccall.recorder.health import HealthReport

PLAIN_EVERY_S = 10.0
JSON_EVERY_S = 1.0
LARGEST_ROWS = 40

_BELL, _RED, _NORMAL = "\a", "\x1b[1;31m", "\x1b[0m"


class Display(Protocol):
    """What a recording is shown on."""

    def say(self, text: str) -> None:
        """A sentence that stays."""

    def alarm(self, alarm: Alarm, seconds: float) -> None:
        """One that begins or ends, so many seconds after the beginning of the recording."""

    def show(self, report: HealthReport) -> None:
        """How it goes; called a few times a second."""

    def close(self) -> None:
        """Show nothing any more; what was said stays."""


class Panel:
    """Rows at the lower end of a terminal, drawn anew in place; what is said scrolls away above them."""

    def __init__(self, room: str, stream: TextIO | None = None) -> None:
        self._room = room
        self._stream = stream or sys.stderr
        self._blocks = "utf" in (self._stream.encoding or "").lower()
        self._colour = "NO_COLOR" not in os.environ
        self._drawn: list[Row] = []

    def say(self, text: str) -> None:
        self._draw(printable(text))

    def alarm(self, alarm: Alarm, seconds: float) -> None:
        line = _alarm_line(alarm, seconds)
        self._draw(line if alarm.ended else _BELL + self._red(line))

    def show(self, report: HealthReport) -> None:
        columns, rows = shutil.get_terminal_size()
        # The last column stays empty: some terminals wrap when it is written to.
        self._draw(rows=paint(report, self._room, columns - 1, min(rows - 2, LARGEST_ROWS), blocks=self._blocks))

    def close(self) -> None:
        self._draw(rows=[])

    def _draw(self, said: str | None = None, rows: list[Row] | None = None) -> None:
        """What was said, then the rows: the same again if none are given. Over the old ones, so nothing flickers."""
        columns = shutil.get_terminal_size().columns
        # A terminal made narrower has wrapped the rows.
        height = sum(max(-(-width(row.text) // columns), 1) for row in self._drawn)
        self._drawn = self._drawn if rows is None else rows
        lines = [] if said is None else [said]
        lines += [self._red(row.text) if row.loud else row.text for row in self._drawn]
        up = f"\x1b[{height}A" if height else ""
        # Cleared before, not after it is written: only so terminals forget that a row was a wrapped one.
        _write(self._stream, up + "\r" + "".join(f"\x1b[K{line}\n" for line in lines) + "\x1b[J")

    def _red(self, text: str) -> str:
        return f"{_RED}{text}{_NORMAL}" if self._colour else text


class PlainLines:
    """One line every ten seconds, for logs and screen readers. Alarms at once."""

    def __init__(self, room: str, stream: TextIO | None = None) -> None:
        self._room = room
        self._stream = stream or sys.stderr
        self._next_s = PLAIN_EVERY_S

    def say(self, text: str) -> None:
        _write(self._stream, printable(text) + "\n")

    def alarm(self, alarm: Alarm, seconds: float) -> None:
        bell = _BELL if self._stream.isatty() and not alarm.ended else ""
        _write(self._stream, bell + _alarm_line(alarm, seconds) + "\n")

    def show(self, report: HealthReport) -> None:
        if report.seconds >= self._next_s:
            self._next_s = report.seconds + PLAIN_EVERY_S
            self.say(summed_up(report, self._room))

    def close(self) -> None:
        pass


class JsonLines:
    """One JSON object a line: "health" every second, "alarm" and "said" at once."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._next_s = 0.0

    def say(self, text: str) -> None:
        self._record("said", text=text)

    def alarm(self, alarm: Alarm, seconds: float) -> None:
        self._record("alarm", kind=alarm.kind, text=alarm.text, ended=alarm.ended, seconds=seconds)

    def show(self, report: HealthReport) -> None:
        if report.seconds >= self._next_s:
            self._next_s = report.seconds + JSON_EVERY_S
            alarms = [alarm.kind for alarm in report.alarms]
            self._record("health", **(asdict(report) | {"alarms": alarms}))

    def close(self) -> None:
        pass

    def _record(self, name: str, /, **fields: Any) -> None:
        _write(self._stream, json.dumps({"event": name, **fields}, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def open_display(room: str, *, plain: bool, json_lines: bool) -> Iterator[Display]:
    """The one that fits where the program runs. On a terminal, keys are not echoed while the panel is shown."""
    if json_lines:
        yield JsonLines()
    elif plain or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainLines(room)
    else:
        panel = Panel(room)
        with _no_echo():
            try:
                yield panel
            finally:
                panel.close()


@contextlib.contextmanager
def _no_echo() -> Iterator[None]:
    """Typed letters would tear the panel apart. Put back at the end, and what was typed is forgotten."""
    try:
        import termios  # not on Windows
    except ImportError:
        yield
        return
    try:
        terminal = sys.stdin.fileno()
        if os.tcgetpgrp(terminal) != os.getpgrp():  # in the background, a change would stop the program
            raise OSError
        before = termios.tcgetattr(terminal)
        changed = termios.tcgetattr(terminal)
    except (OSError, ValueError, termios.error):
        yield
        return
    changed[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # closed meanwhile
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _alarm_line(alarm: Alarm, seconds: float) -> str:
    return f"{clock(seconds)}  {'over' if alarm.ended else 'ALARM'}: {printable(alarm.text)}"


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # the terminal is gone
        stream.write(text)
        stream.flush()
