"""Events in seconds and sentences, and who was there when."""

from folders import at, people

from raccall.recorder import Event, Gap, MemberJoined, MemberLeft, Muted, Note, Stop, Summary
from raccall.recorder.events import Correction
from raccall.recorder.happenings import happenings, presence
from raccall.recorder.summary import Damage


def summary(*corrections: Correction) -> Summary:
    return Summary(
        room="lounge",
        started="",
        lead_in_ms=200.0,
        duration_s=60.0,
        complete=True,
        people=[],
        lost_in_network=0,
        lost_in_kernel=0,
        lost_in_tap=0,
        gaps=[],
        corrections=list(corrections),
        damage=Damage(),
        versions={},
    )


def test_sentences_in_order_of_time() -> None:
    events: list[Event] = [
        *people(),
        Note(now=at(5_000), text="hello", user_id="1"),
        MemberLeft(now=at(10_000), user_id="1"),
        MemberJoined(now=at(20_000), user_id="1", name="anna"),
        Muted(now=at(21_000), user_id="2", muted=True),
        Gap(now=at(30_000), packets=3, where="tap"),
        Stop(now=at(70_000), reason="stopped"),
    ]
    shift = Correction(now=at(7_000), user_id="2", shift_ms=-2.5, reason="drift_in_silence")
    left_out = Correction(now=at(8_000), user_id="1", shift_ms=0.0, left_out_ms=40.0, reason="excess")
    assert [(one.at, one.kind, one.text) for one in happenings(events, summary(shift, left_out))] == [
        (5.2, "note", "anna: hello"),
        (7.2, "shift", "ben: moved by -2.5 ms, clock drift in a pause"),
        (8.2, "shift", "anna: 40 ms left out, sent faster than time passes"),
        (10.2, "left", "anna left"),
        (20.2, "joined", "anna came"),
        (21.2, "muted", "ben is muted"),
        (30.2, "gap", "3 packets lost on the recording machine: its reader was too slow"),
        (60.0, "stopped", "The recording ended: stopped"),
    ]


def test_presence_is_spans_that_end_with_the_recording() -> None:
    events: list[Event] = [
        *people(),
        Muted(now=at(1_000), user_id="1", muted=True),
        MemberLeft(now=at(10_000), user_id="1"),
        MemberJoined(now=at(20_000), user_id="1", name="anna"),
        Muted(now=at(21_000), user_id="1", muted=True),
        Muted(now=at(22_000), user_id="1", muted=False),
        Muted(now=at(50_000), user_id="2", muted=True),
        MemberLeft(now=at(55_000), user_id="3"),
    ]
    found = presence(events, summary())
    assert found["1"].here == [(0.0, 10.2), (20.2, 60.0)]
    assert found["1"].muted == [(1.2, 10.2), (21.2, 22.2)]
    assert found["2"].here == [(0.0, 60.0)]
    assert found["2"].muted == [(50.2, 60.0)]


def test_without_any_event() -> None:
    assert happenings([], summary()) == []
    assert presence([], summary()) == {}
