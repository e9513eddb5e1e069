"""Events as the page shows them: in seconds from the beginning of the tracks, and what lasts as spans."""

from collections.abc import Iterable

import msgspec

from raccall.recorder.events import (
    Alarm,
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


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the list of what happened."""

    at: float
    kind: str
    """"note", "joined", "left", "muted", "unmuted", "gap", "alarm", "shift", "forgotten" or "stopped"."""
    user_id: str = ""
    name: str = ""
    text: str = ""


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
    for event in events:
        match event:
            case MemberJoined(now=now, user_id=user_id, name=name):
                known, names[user_id] = user_id in names, name
                if known or seconds.of(now) > seconds.start + _ALREADY_HERE_S:
                    found.append(Happening(seconds.of(now), "joined", user_id, name))
            case MemberLeft(now=now, user_id=user_id):
                found.append(Happening(seconds.of(now), "left", user_id, names.get(user_id, user_id)))
            case Muted(now=now, user_id=user_id, muted=muted):
                kind = "muted" if muted else "unmuted"
                found.append(Happening(seconds.of(now), kind, user_id, names.get(user_id, user_id)))
            case Note(now=now, text=text, user_id=user_id, name=name):
                found.append(Happening(seconds.of(now), "note", user_id, name or names.get(user_id, ""), text))
            case Gap(now=now, packets=packets, where=where):
                found.append(Happening(seconds.of(now), "gap", text=_GAPS.get(where, where).format(packets=packets)))
            case Alarm(now=now, text=text, ended=ended):
                found.append(Happening(seconds.of(now), "alarm", text=f"Over: {text}" if ended else text))
            case SomeoneForgotten(now=now):
                found.append(Happening(seconds.of(now), "forgotten"))
            case Stop(now=now, reason=reason):
                found.append(Happening(seconds.of(now), "stopped", text=reason))
    for shift in summary.corrections:
        text = f"{shift.shift_ms:+.1f} ms: {_REASONS.get(shift.reason, shift.reason)}"
        name = names.get(shift.user_id, shift.user_id)
        found.append(Happening(seconds.of(shift.now), "shift", shift.user_id, name, text))
    return sorted(found, key=lambda happening: happening.at)


def presence(events: Iterable[Event], summary: Summary) -> dict[str, Presence]:
    """For each user id, when they were there and muted. A voice without an owner has none."""
    events = list(events)
    seconds = _Seconds(events, summary)
    since: dict[str, float] = {}
    muted_since: dict[str, float] = {}
    found: dict[str, Presence] = {}
    for event in events:
        match event:
            case MemberJoined(now=now, user_id=user_id):
                at = seconds.of(now)
                since.setdefault(user_id, 0.0 if at <= seconds.start + _ALREADY_HERE_S else at)
                found.setdefault(user_id, Presence())
            case Muted(now=now, user_id=user_id, muted=True):
                muted_since.setdefault(user_id, seconds.of(now))
            case Muted(now=now, user_id=user_id) if user_id in muted_since:
                _end(found, "muted", muted_since, user_id, seconds.of(now))
            case MemberLeft(now=now, user_id=user_id):
                for spans, begins in (("here", since), ("muted", muted_since)):
                    if user_id in begins:
                        _end(found, spans, begins, user_id, seconds.of(now))
    for spans, begins in (("here", since), ("muted", muted_since)):
        for user_id in list(begins):
            _end(found, spans, begins, user_id, summary.duration_s)
    return found


_ALREADY_HERE_S = 0.5
"""The recorder writes those it found in the room right after its start."""

_GAPS = {
    "tap": "{packets} packets lost on the recording machine: its reader was too slow",
    "kernel": "{packets} packets lost on the recording machine: its socket buffer was full",
    "connection": "the recorder's connection was lost",
}
_REASONS = {
    "drift_in_silence": "clock drift, corrected in a pause",
    "drift_in_speech": "clock drift, corrected in speech",
    "clock_restarted": "the sender's clock began anew",
}


class _Seconds:
    """From the journal's clock to seconds of the tracks."""

    def __init__(self, events: Iterable[Event], summary: Summary) -> None:
        events = list(events)
        begin = next((event.now for event in events if isinstance(event, Start)), None)
        self._begin = events[0].now if begin is None and events else begin or 0
        self.start = summary.lead_in_ms / 1000
        self._end = summary.duration_s

    def of(self, now: int) -> float:
        return round(min(max((now - self._begin) / NANOS_PER_SECOND + self.start, 0.0), self._end), 3)


def _end(found: dict[str, Presence], spans: str, begins: dict[str, float], user_id: str, at: float) -> None:
    getattr(found.setdefault(user_id, Presence()), spans).append((begins.pop(user_id), at))
