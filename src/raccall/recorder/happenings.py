"""Events as people read them: in seconds from the beginning of the tracks, each with a sentence; what lasts, as spans.

For the page and the report.
"""

from collections.abc import Iterable

import msgspec

from raccall.recorder.events import (
    Alarm,
    ConsentGiven,
    ConsentWithdrawn,
    Event,
    Gap,
    MemberJoined,
    MemberLeft,
    Muted,
    Note,
    SomeoneForgotten,
    Start,
    Stop,
)
from raccall.recorder.summary import Summary
from raccall.units import NANOS_PER_SECOND

Span = tuple[float, float]
"""Begin and end in seconds."""

ALREADY_HERE_S = 0.5
"""The recorder writes those it found in the room right after its start."""

_GAPS = {
    "tap": "{packets} packets lost on the recording machine: its reader was too slow",
    "kernel": "{packets} packets lost on the recording machine: its socket buffer was full",
    "connection": "The recorder's connection was lost",
}
_SHIFTS = {
    "drift_in_silence": "clock drift in a pause",
    "drift_in_speech": "clock drift in speech",
    "clock_restarted": "the sender's clock began anew",
    "overlap": "behind the packet before",
}
_LEFT_OUT = {
    "excess": "sent faster than time passes",
    "late": "came after its place was passed",
    "before_beginning": "belongs before the beginning",
    "overlapping_source": "a newer connection of the same person spoke",
}


class Happening(msgspec.Struct, frozen=True):
    """One line of the list of what happened."""

    at: float
    kind: str
    """"note", "joined", "left", "muted", "unmuted", "agreed", "withdrew", "gap", "alarm", "shift", "forgotten" or
    "stopped"."""
    user_id: str
    """Whom it is about; empty for nobody in particular."""
    text: str
    """What people typed stands in it as it was typed."""


class Presence(msgspec.Struct):
    """When a person was in the room, and when they were muted."""

    here: list[Span] = msgspec.field(default_factory=list)
    muted: list[Span] = msgspec.field(default_factory=list)


def happenings(events: Iterable[Event], summary: Summary) -> list[Happening]:
    """Everything but packets, in order of time. Who was there when the recording began has not "joined"."""
    events = list(events)
    seconds = _Seconds(events, summary)
    names: dict[str, str] = {}
    found: list[Happening] = []

    def add(now: int, kind: str, user_id: str, text: str) -> None:
        found.append(Happening(seconds.of(now), kind, user_id, text))

    for event in events:
        match event:
            case MemberJoined(now=now, user_id=user_id, name=name):
                known, names[user_id] = user_id in names, name
                if known or not seconds.is_beginning(now):
                    add(now, "joined", user_id, f"{name} came")
            case MemberLeft(now=now, user_id=user_id):
                add(now, "left", user_id, f"{names.get(user_id, user_id)} left")
            case Muted(now=now, user_id=user_id, muted=True):
                add(now, "muted", user_id, f"{names.get(user_id, user_id)} is muted")
            case Muted(now=now, user_id=user_id):
                add(now, "unmuted", user_id, f"{names.get(user_id, user_id)} is no longer muted")
            case ConsentGiven(now=now, user_id=user_id):
                add(now, "agreed", user_id, f"{names.get(user_id, user_id)} agreed to be recorded")
            case ConsentWithdrawn(now=now, user_id=user_id):
                add(now, "withdrew", user_id, f"{names.get(user_id, user_id)} is not recorded from here on")
            case Note(now=now, text=text, user_id=user_id, name=name):
                who = name or names.get(user_id, "")
                add(now, "note", user_id, f"{who}: {text}" if who else text)
            case Gap(now=now, packets=packets, where=where):
                add(now, "gap", "", _GAPS.get(where, f"{{packets}} packets lost: {where}").format(packets=packets))
            case Alarm(now=now, text=text):
                add(now, "alarm", "", text)
            case SomeoneForgotten(now=now):
                add(now, "forgotten", "", "Someone was removed from this recording afterwards")
            case Stop(now=now, reason=reason):
                add(now, "stopped", "", f"The recording ended: {reason}")
    for shift in summary.corrections:
        name = names.get(shift.user_id, shift.user_id) or "a voice"
        if shift.left_out_ms:
            did, why = f"{shift.left_out_ms:.0f} ms left out", _LEFT_OUT.get(shift.reason, shift.reason)
        else:
            did, why = f"moved by {shift.shift_ms:+.1f} ms", _SHIFTS.get(shift.reason, shift.reason)
        add(shift.now, "shift", shift.user_id, f"{name}: {did}, {why}")
    return sorted(found, key=lambda happening: happening.at)


def presence(events: Iterable[Event], summary: Summary) -> dict[str, Presence]:
    """For each user id, when they were there and muted. A voice without an owner has none."""
    events = list(events)
    seconds = _Seconds(events, summary)
    here_since: dict[str, float] = {}
    muted_since: dict[str, float] = {}
    found: dict[str, Presence] = {}

    def end_here(user_id: str, at: float) -> None:
        if user_id in here_since:
            found[user_id].here.append((here_since.pop(user_id), at))

    def end_muted(user_id: str, at: float) -> None:
        if user_id in muted_since:
            found.setdefault(user_id, Presence()).muted.append((muted_since.pop(user_id), at))

    for event in events:
        match event:
            case MemberJoined(now=now, user_id=user_id):
                found.setdefault(user_id, Presence())
                here_since.setdefault(user_id, 0.0 if seconds.is_beginning(now) else seconds.of(now))
            case Muted(now=now, user_id=user_id, muted=True):
                muted_since.setdefault(user_id, seconds.of(now))
            case Muted(now=now, user_id=user_id):
                end_muted(user_id, seconds.of(now))
            case MemberLeft(now=now, user_id=user_id):
                end_here(user_id, seconds.of(now))
                end_muted(user_id, seconds.of(now))
    for user_id in list(here_since):
        end_here(user_id, summary.duration_s)
    for user_id in list(muted_since):
        end_muted(user_id, summary.duration_s)
    return found


class _Seconds:
    """From the journal's clock to seconds of the tracks."""

    def __init__(self, events: list[Event], summary: Summary) -> None:
        start = next((event for event in events if isinstance(event, Start)), None)
        first = start or (events[0] if events else None)
        self._begin = first.now if first else 0
        self._lead_in = summary.lead_in_ms / 1000
        self._end = summary.duration_s

    def of(self, now: int) -> float:
        return round(min(max((now - self._begin) / NANOS_PER_SECOND + self._lead_in, 0.0), self._end), 3)

    def is_beginning(self, now: int) -> bool:
        return (now - self._begin) / NANOS_PER_SECOND <= ALREADY_HERE_S
