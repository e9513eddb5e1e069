"""What `raccall join` shows: one line per happening, and on a terminal a status line below them that renews itself.

With `--json` each happening is one JSON object on a line of its own; nothing else is printed.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from typing import Any, TextIO

import msgspec

from raccall.client import events
from raccall.console import BottomRow
from raccall.voice.engine import EngineStats
from raccall.voice.events import EncryptionEvent
from raccall.wire.control import Consent, EncryptionPolicy, MemberInfo, RecordingPolicy

POLICIES = {
    RecordingPolicy.OFF: "This room may not be recorded, its owner decided.",
    RecordingPolicy.ASK: "Recorders may come to this room; they get the voices of those who agree.",
    RecordingPolicy.AUTOMATIC: "Calls in this room are recorded by its server from now on.",
}
ENCRYPTION = {
    EncryptionPolicy.OFF: "Calls in this room are not end-to-end encrypted, its owner decided.",
    EncryptionPolicy.PREFERRED: "Calls in this room are end-to-end encrypted unless somebody's client cannot do that.",
    EncryptionPolicy.REQUIRED: "Calls in this room are end-to-end encrypted.",
}
CLEAR_LINE = "\r\x1b[K"


class LossMeter:
    """Loss from the server to us, in percent, between two looks at the counters."""

    def __init__(self) -> None:
        self._received = 0
        self._lost = 0

    def look(self, stats: EngineStats) -> float:
        """Since the last look; 0 while nothing came."""
        received = sum(source.received for source in stats.sources)
        lost = sum(source.lost for source in stats.sources)
        came, missing = received - self._received, lost - self._lost
        self._received, self._lost = received, lost
        if came < 0 or missing <= 0:  # a new voice session, or a late packet that filled a gap
            return 0.0
        return 100.0 * missing / (came + missing)


class Screen:
    """Prints to one stream. Text from others is shown without control characters, so it cannot move the cursor.

    The status has the last row of the terminal to itself (the others scroll above it): it never meets what is typed.
    """

    def __init__(self, stream: TextIO = sys.stdout, *, as_json: bool = False) -> None:
        self._stream = stream
        self._as_json = as_json
        self._live = stream.isatty() and not as_json
        self._row = BottomRow(stream)

    def line(self, text: str) -> None:
        """A sentence; nothing with `--json`."""
        if not self._as_json:
            self._print(printable(text))

    def record(self, name: str, /, **fields: Any) -> None:
        """One JSON object; nothing without `--json`."""
        if self._as_json:
            self._print(json.dumps({"event": name, **fields}, ensure_ascii=False))

    def event(self, event: events.Event, own_id: str) -> None:
        """Something that happened in the session of the user `own_id`."""
        if (text := describe(event, own_id)) is not None:
            self.line(text)
        self.record(_snake(type(event).__name__), **_plain(event))

    def status(self, text: str) -> None:
        """Renew the row at the bottom; only on a terminal."""
        if self._live:
            self._row.show(printable(text))

    def close(self) -> None:
        """Give the last row back."""
        self._row.close()

    def _print(self, text: str) -> None:
        self._stream.write(f"{CLEAR_LINE if self._live else ''}{text}\n")
        self._stream.flush()


OWN_SILENCE = {
    True: "The server's owner has silenced you: nobody hears you now.",
    False: "The server's owner lets you be heard again.",
}


def describe(event: events.Event, own_id: str) -> str | None:
    """One line for people; None for what needs none, as what the user `own_id` did."""
    match event:
        case events.MemberChanged(before=before, member=member) if member.user_id == own_id:
            return OWN_SILENCE[member.silenced] if before.silenced != member.silenced else None
        case events.MemberJoined(member=member) if member.user_id == own_id:
            return None
        case events.TextReceived(user_id=user_id) if user_id == own_id:
            return None
        case events.MemberJoined(member=member):
            return f"{member.name} is here" + (" and RECORDS this call" if member.recording else "")
        case events.MemberLeft(member=member):
            return f"{member.name} has left" + (" and records no more" if member.recording else "")
        case events.ConsentChanged(before=before, member=member) if member.user_id != own_id:
            return _describe_consent(before, member)
        case events.RecordingPolicyChanged(recording=recording):
            return POLICIES[recording.policy]
        case events.MemberChanged(before=before, member=member):
            return _describe_change(before, member)
        case events.TextReceived(name=name, text=text):
            return f"<{name}> {text}"
        case events.Refused(sentence=sentence) | events.ConnectionLost(sentence=sentence, final=True):
            return sentence
        case events.ConnectionLost(sentence=sentence):
            return f"{sentence} Connecting again ..."
        case events.VoiceLost(sentence=sentence, final=final):
            return sentence if final else f"{sentence} Joining again ..."
        case events.Resumed():
            return "Connected again."
        case events.EncryptionPolicyChanged(policy=policy, without=without):
            return policy_sentence(policy, without)
        case events.EncryptionChanged() | events.GhostsChanged() | events.ClearRefused() | events.EncryptionBroken():
            return _describe_encryption(event)
    return None


def status_line(
    room: str,
    members: Iterable[MemberInfo],
    talking: Iterable[str],
    stats: EngineStats,
    loss_down_pct: float,
    muted: bool,
    lock: str = "",
) -> str:
    """Room, lock, who talks, loss of both hops, delay. `talking`: names."""
    people = list(members)
    loss_up = "?" if stats.uplink_loss_pct is None else f"{stats.uplink_loss_pct:.1f}"
    parts = [
        f"{room} ({len(people)})",
        lock,
        "muted" if muted else "",
        ", ".join(talking) + " talks" if talking else "",
    ]
    parts.append(f"loss you→server {loss_up} % server→you {loss_down_pct:.1f} %")
    if (delay := mouth_to_ear_ms(stats)) is not None:
        parts.append(f"delay {delay:.0f} ms")
    if recorders := [member.name for member in people if member.recording]:
        parts.append(f"● recorded by {', '.join(recorders)}")
    return " · ".join(part for part in parts if part)


def mouth_to_ear_ms(stats: EngineStats) -> float | None:
    """About how old the slowest voice is when it is played: half our way to the server and back, plus what waits here.

    The speaker's own way to the server is not known here. None before the server's first report.
    """
    if stats.round_trip_ms is None:
        return None
    waiting = [source.delay_ms for source in stats.sources if source.talking]
    return stats.round_trip_ms / 2 + max(waiting, default=0.0)


def printable(text: str) -> str:
    """Control characters (also the C1 ones, which some terminals obey) become a replacement mark."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _describe_change(before: MemberInfo, member: MemberInfo) -> str | None:
    if before.silenced != member.silenced:
        return f"{member.name} is {'silenced' if member.silenced else 'no longer silenced'} by the server's owner"
    if before.deafened != member.deafened:
        return f"{member.name} {'hears nobody' if member.deafened else 'hears the others again'}"
    if before.muted != member.muted:
        return f"{member.name} is {'muted' if member.muted else 'no longer muted'}"
    if before.name != member.name:
        return f"{before.name} is now called {member.name}"
    return None


def policy_sentence(policy: EncryptionPolicy, without: tuple[str, ...]) -> str:
    """Of a room's encryption. without: names of those whose clients cannot do it."""
    if without:
        whose = f"{without[0]}'s client" if len(without) == 1 else f"the clients of {', '.join(without)}"
        return f"This call is not end-to-end encrypted because {whose} cannot do that."
    return ENCRYPTION[policy]


def _describe_encryption(event: EncryptionEvent) -> str | None:
    match event:
        case events.EncryptionChanged(encrypted=False):
            return "! This call is NOT encrypted end to end: its server can listen."
        case events.EncryptionChanged(code=code) if code:
            return f"Encrypted end to end, for {len(event.identities)} members. Code: {code}"
        case events.GhostsChanged(user_ids=[]):
            return "Nobody can listen any more who is not shown here."
        case events.GhostsChanged(user_ids=user_ids):
            who = f"user {', '.join(user_ids)}"
            return f"! GHOST: somebody who is not shown here can listen, or the server tried to let them ({who})."
        case events.ClearRefused():
            return "! The server wants this call without encryption, and this room requires it: you are not heard."
        case events.EncryptionBroken(reason=reason):
            return f"The keys of this call could not be used ({reason}); they are agreed on anew ..."
    return None


def _describe_consent(before: MemberInfo, member: MemberInfo) -> str | None:
    if before.kept != member.kept:
        return f"{member.name} {'agreed to being recorded' if member.kept else 'is not recorded any more'}"
    if member.consent is Consent.NO:
        return f"{member.name} does not want to be recorded"
    return None


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


def _plain(value: Any) -> dict[str, Any]:
    assert is_dataclass(value) and not isinstance(value, type)
    fields = asdict(value)
    return {
        name: msgspec.structs.asdict(field) if isinstance(field, msgspec.Struct) else field
        for name, field in fields.items()
        if name != "token"
    }
