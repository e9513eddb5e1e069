"""What `raccall join` prints."""

import dataclasses
import io
import json

import pytest

from raccall.cli.screen import LossMeter, Screen, describe, mouth_to_ear_ms, printable, status_line
from raccall.client import events
from raccall.voice.engine import EngineStats, SourceStats
from raccall.wire.control import Consent, MemberInfo, RecordingPolicy, RecordingState
from tests import figures
from tests.figures import CALM

ANNA = MemberInfo(user_id="1", name="anna")
BEN = MemberInfo(user_id="2", name="ben")
TAPE = MemberInfo(user_id="3", name="tape", recording=True)
QUIET = dataclasses.replace(CALM, uplink_loss_pct=None, round_trip_ms=None)


def source(received: int, lost: int, *, delay_ms: float = 0.0, talking: bool = False) -> SourceStats:
    numbers = {"received": received, "lost": lost, "jitter_ms": 0.0, "delay_ms": delay_ms, "talking": talking}
    return figures.source(5, **numbers)


def hearing(*sources: SourceStats, **others: float) -> EngineStats:
    return dataclasses.replace(QUIET, sources=sources, **others)


AGREED = MemberInfo(user_id="2", name="ben", consent=Consent.YES, kept=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (events.MemberJoined("9", BEN), "ben is here"),
        (events.MemberJoined("9", TAPE), "tape is here and RECORDS this call"),
        (events.MemberLeft("9", BEN), "ben has left"),
        (events.MemberLeft("9", TAPE), "tape has left and records no more"),
        (events.ConsentChanged("9", BEN, AGREED), "ben agreed to being recorded"),
        (events.ConsentChanged("9", AGREED, BEN), "ben is not recorded any more"),
        (
            events.ConsentChanged("9", BEN, MemberInfo(user_id="2", name="ben", consent=Consent.NO)),
            "ben does not want to be recorded",
        ),
        (events.ConsentChanged("9", ANNA, ANNA), None),
        (
            events.RecordingPolicyChanged("9", RecordingState(policy=RecordingPolicy.OFF)),
            "This room may not be recorded, its owner decided.",
        ),
        (events.MemberChanged("9", BEN, MemberInfo(user_id="2", name="ben", muted=True)), "ben is muted"),
        (events.MemberChanged("9", MemberInfo(user_id="2", name="ben", muted=True), BEN), "ben is no longer muted"),
        (events.MemberChanged("9", BEN, MemberInfo(user_id="2", name="benno")), "ben is now called benno"),
        (events.TextReceived("9", "2", "ben", "hi", "w", ""), "<ben> hi"),
        (events.ConnectionLost("broken", "The connection broke."), "The connection broke. Connecting again ..."),
        (events.ConnectionLost("gone", "It is over.", final=True), "It is over."),
        (events.VoiceLost(4006, "Not valid.", final=False), "Not valid. Joining again ..."),
        (events.VoiceLost(4014, "Removed.", final=True), "Removed."),
        (events.Resumed(), "Connected again."),
        (events.SourceKnown("2", 5), None),
        (events.MemberJoined("9", ANNA), None),
        (events.TextReceived("9", "1", "anna", "hi", "w", "n"), None),
    ],
)
def test_each_happening_is_one_line_and_own_deeds_are_none(event: events.Event, text: str | None) -> None:
    assert describe(event, own_id="1") == text


def test_the_status_line_says_who_talks_both_losses_the_delay_and_who_records() -> None:
    stats = hearing(source(10, 0, delay_ms=40, talking=True), uplink_loss_pct=1.25, round_trip_ms=30.0)
    line = status_line("lounge", [ANNA, TAPE], ["ben"], stats, 2.0, muted=True)
    assert line == (
        "lounge (2) · muted · ben talks · loss you→server 1.2 % server→you 2.0 % · delay 55 ms · ● recorded by tape"
    )
    assert status_line("lounge", [ANNA], [], QUIET, 0.0, muted=False) == (
        "lounge (1) · loss you→server ? % server→you 0.0 %"
    )
    assert mouth_to_ear_ms(QUIET) is None


def test_loss_is_of_the_time_since_the_last_look() -> None:
    meter = LossMeter()
    assert meter.look(hearing(source(90, 10))) == 10.0
    assert meter.look(hearing(source(190, 10))) == 0.0
    assert meter.look(hearing(source(240, 60))) == 50.0
    assert meter.look(hearing(source(5, 0))) == 0.0  # a new voice session counts from zero


def test_text_of_others_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\r\n\x9bc é ✓") == "a�[2Jb���c é ✓"
    stream = io.StringIO()
    Screen(stream).event(events.TextReceived("9", "2", "ben\x1b", "x\ny", "w", ""), own_id="1")
    assert stream.getvalue() == "<ben�> x�y\n"


def test_json_is_one_object_a_line_and_nothing_else() -> None:
    stream = io.StringIO()
    screen = Screen(stream, as_json=True)
    screen.line("for people")
    screen.status("for terminals")
    screen.event(events.MemberJoined("9", TAPE), own_id="1")
    screen.record("ended", name="anna")
    screen.close()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "event": "member_joined",
        "room_id": "9",
        "member": {
            "user_id": "3",
            "name": "tape",
            "recording": True,
            "bot": False,
            "muted": False,
            "deafened": False,
            "silenced": False,
            "consent": "undecided",
            "kept": False,
        },
    }
    assert second == {"event": "ended", "name": "anna"}


def test_on_a_terminal_the_status_has_the_last_row_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    screen = Screen(stream)
    screen.status("a long status that does not fit")
    assert "\x1b[1;23r" in stream.getvalue()  # rows 1 to 23 scroll
    assert stream.getvalue().endswith("\x1b[24;1H\x1b[Ka long status that \x1b8")
    screen.close()
    assert stream.getvalue().endswith("\x1b[r\x1b8")


def test_a_file_gets_no_status() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.status("x")
    screen.close()
    assert stream.getvalue() == ""
