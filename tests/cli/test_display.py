"""Panel, plain lines and JSON lines, as they reach a stream."""

import io
import json
import os
import shutil

import pytest

from raccall.cli.display import JsonLines, Panel, PlainLines
from raccall.recorder import Alarm
from raccall.recorder.health import HealthReport

BEGIN = Alarm(now=0, kind="connection", text="The connection broke.")
END = Alarm(now=0, kind="connection", text="The connection is back.", ended=True)


class Terminal(io.StringIO):
    """As much of a terminal as the panel uses: lines, up, clear to the end of the line, clear what is below."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self.row = 0
        self.bells = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        while text:
            if text.startswith("\x1b["):
                end = next(index for index in range(2, len(text)) if text[index].isalpha())
                self._obey(text[2:end], text[end])
                text = text[end + 1 :]
            else:
                self._letter(text[0])
                text = text[1:]
        return 0

    def _letter(self, letter: str) -> None:
        if letter == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        elif letter == "\a":
            self.bells += 1
        elif letter != "\r":
            self.lines[self.row] += letter

    def _obey(self, number: str, letter: str) -> None:
        match letter:
            case "A":
                self.row -= int(number)
            case "K":
                self.lines[self.row] = ""
            case "J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = ""


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))


def test_the_panel_is_drawn_in_place_and_what_is_said_stays_above() -> None:
    terminal = Terminal()
    panel = Panel("lounge", terminal)
    panel.show(HealthReport(1.0))
    panel.say("anna is here\x1b[2J")
    panel.show(HealthReport(2.0))
    assert terminal.lines == ["anna is here�[2J", "● REC 0:00:02  lounge  nobody here  Ctrl-C ends", ""]
    panel.show(HealthReport(3.0, alarms=(BEGIN,)))
    assert terminal.lines[1:] == [
        "● REC 0:00:03  lounge  nobody here  Ctrl-C ends",
        "  ALARM  The connection broke.",
        "",
    ]
    panel.show(HealthReport(4.0))
    panel.close()
    assert terminal.lines == ["anna is here�[2J", ""]


def test_an_alarm_rings_once_and_its_end_does_not() -> None:
    terminal = Terminal()
    panel = Panel("lounge", terminal)
    panel.alarm(BEGIN, 62.0)
    panel.show(HealthReport(62.0, alarms=(BEGIN,)))
    panel.show(HealthReport(63.0, alarms=(BEGIN,)))
    panel.alarm(END, 65.0)
    assert terminal.bells == 1
    assert terminal.lines[:2] == ["0:01:02  ALARM: The connection broke.", "0:01:05  over: The connection is back."]


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in (True, False):
        stream = io.StringIO()
        monkeypatch.delenv("NO_COLOR", raising=False) if wanted else monkeypatch.setenv("NO_COLOR", "1")
        Panel("lounge", stream).alarm(BEGIN, 1.0)
        assert ("\x1b[1;31m" in stream.getvalue()) is wanted


def test_plain_lines_come_every_ten_seconds_and_alarms_at_once() -> None:
    stream = io.StringIO()
    lines = PlainLines("lounge", stream)
    for half in range(60):
        lines.show(HealthReport(half / 2))
    lines.alarm(BEGIN, 30.0)
    said = stream.getvalue().splitlines()
    assert [line[:7] for line in said] == ["0:00:10", "0:00:20", "0:00:30"]
    assert said[-1] == "0:00:30  ALARM: The connection broke."
    assert "\x1b" not in stream.getvalue() and "\a" not in stream.getvalue()


def test_json_lines_can_be_read_by_a_script() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    for half in range(4):
        lines.show(HealthReport(half / 2, alarms=(BEGIN,)))
    lines.alarm(BEGIN, 2.0)
    lines.say("小林 is here")
    read = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in read] == ["health", "health", "alarm", "said"]
    assert (read[0]["seconds"], read[0]["alarms"], read[0]["lost"]) == (
        0.0,
        ["connection"],
        {"network": 0, "kernel": 0, "reader": 0},
    )
    assert read[2] == {
        "event": "alarm",
        "kind": "connection",
        "text": BEGIN.text,
        "ended": False,
        "seconds": 2.0,
    }


@pytest.mark.parametrize(
    "make", [lambda stream: Panel("lounge", stream), lambda stream: PlainLines("lounge", stream), JsonLines]
)
def test_a_terminal_that_is_gone_ends_nothing(make: object) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    display = make(Gone())  # type: ignore[operator]
    display.say("anna is here")
    display.show(HealthReport(20.0))
    display.alarm(BEGIN, 1.0)
    display.close()
