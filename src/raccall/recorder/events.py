"""What happened besides packets: one JSON object a line in events.jsonl, its "event" naming the class.

`now` is the journal's monotonic clock in nanoseconds; Start says which UTC instant that was. Append-only and read
tolerantly: a line that is cut, damaged or not understood (a newer version's) is counted and skipped.

Each line ends with "crc": the CRC-32 of what stands before it, in hexadecimal. A flipped digit of `now` would otherwise
move an event by years, and make a recording as long. A line without it, written by hand, is believed.
"""

import io
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from raccall.recorder.append import AppendOnly, OpenFile


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=_snake):
    now: int


class Start(_Event, frozen=True, kw_only=True):
    """First line: the one instant known on both clocks."""

    wall_ns: int
    """UTC, nanoseconds since 1970."""
    wall: str
    """The same for people: ISO 8601."""
    room: str
    version: str


class MemberJoined(_Event, frozen=True, kw_only=True):
    """Someone is in the room; written for those who already were, too."""

    user_id: str
    name: str


class MemberLeft(_Event, frozen=True, kw_only=True):
    """Someone is not in the room any more."""

    user_id: str


class Source(_Event, frozen=True, kw_only=True):
    """Packets of this SSRC are this person's. May come after their first packets."""

    ssrc: int
    user_id: str
    name: str = ""


class Muted(_Event, frozen=True, kw_only=True):
    """A microphone was switched off or on, by its owner or by the server's."""

    user_id: str
    muted: bool


class ConsentGiven(_Event, frozen=True, kw_only=True):
    """From here on this person may be recorded. Of who agreed before the recording began, nothing is written."""

    user_id: str


class ConsentWithdrawn(_Event, frozen=True, kw_only=True):
    """From here on nothing of this person comes, until ConsentGiven."""

    user_id: str


class Gap(_Event, frozen=True, kw_only=True):
    """Packets that reached this machine and were lost on it."""

    packets: int
    where: str = "tap"
    """"tap" (our reader was too slow), "kernel" (the socket buffer was full), "connection" (lost; not counted)."""


class KeysChanged(_Event, frozen=True, kw_only=True):
    """The call's end-to-end encryption has new keys (each who comes or goes brings them), began or ended. No key and
    nobody's name is in it."""

    encrypted: bool
    """False: from here on the server could listen."""
    epoch: int = 0
    """Of the group; 0 without one."""
    transition_id: int = 0
    """Of the voice gateway."""
    code: str = ""
    """The verification code that everyone in the call could see."""


class Note(_Event, frozen=True, kw_only=True):
    """A line of text: typed in the room, or by the one who records."""

    text: str
    user_id: str = ""
    name: str = ""


class Alarm(_Event, frozen=True, kw_only=True):
    """Something is wrong while the recording goes on; with `ended`, the same kind is over."""

    kind: str
    """Stable; see `raccall.recorder.health`."""
    text: str
    """For people."""
    ended: bool = False


class Correction(_Event, frozen=True, kw_only=True):
    """A speaker's place in the recording was shifted, or sound left out. Rendering makes it: listed in summary.json."""

    user_id: str
    shift_ms: float
    """Later is positive."""
    left_out_ms: float = 0.0
    """Sound that was left out here."""
    reason: str
    """Moved: "drift_in_silence", "drift_in_speech" (a packet taken out of the track, or concealed sound put in),
    "clock_restarted" (timestamps that did not count a pause, or began anew) or "overlap" (behind the packet before).
    Left out: "excess" (sent faster than time passes), "late" (after its place was passed), "before_beginning" or
    "overlapping_source" (while a newer connection of the same person spoke)."""


class SomeoneForgotten(_Event, frozen=True, kw_only=True):
    """A speaker was removed afterwards, with everything that told of them; who it was is not said."""


class Stop(_Event, frozen=True, kw_only=True):
    """The last line of a recording that was ended; one that was killed has none."""

    reason: str
    """"stopped", a limit ("disk_full", "max_size"), or "error: " and what it was."""


Event = (
    Start
    | MemberJoined
    | MemberLeft
    | Source
    | Muted
    | ConsentGiven
    | ConsentWithdrawn
    | Gap
    | KeysChanged
    | Note
    | Alarm
    | Correction
    | SomeoneForgotten
    | Stop
)

_CHECK = re.compile(rb',"crc":"([0-9a-f]{8})"\}\r?\n?$')

_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Appends lines. Raises OSError."""

    def __init__(self, path: Path, *, open_file: OpenFile = AppendOnly) -> None:
        """Create the file. FileExistsError when there is one."""
        self._file = open_file(path)

    def append(self, event: Event) -> None:
        """Add one line."""
        line = _encode(event)[:-1]
        self._file.append(line + b',"crc":"%08x"}\n' % zlib.crc32(line))

    def sync(self) -> None:
        """Return when all that was appended is on the disk."""
        self._file.sync()

    def close(self) -> None:
        """Sync and close. May be called twice."""
        self._file.close()


class EventLog(msgspec.Struct, frozen=True):
    """A recording's events, in order, and how many lines could not be read."""

    events: list[Event]
    unread_lines: int

    def of(self, *kinds: type) -> Iterable[Event]:
        """Those of the given classes."""
        return (event for event in self.events if isinstance(event, kinds))


def read_events(path: Path) -> EventLog:
    """Read all lines; of a file that is gone, none: what was received is a recording without it, too.

    Raises OSError when the file cannot be read, nothing for what it holds.
    """
    events: list[Event] = []
    unread = 0
    with path.open("rb") if path.exists() else io.BytesIO() as file:
        for line in file:
            check = _CHECK.search(line)
            if check and int(check[1], 16) != zlib.crc32(line[: check.start()]):
                unread += 1
                continue
            try:
                events.append(_decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                unread += 1
    return EventLog(events, unread)
