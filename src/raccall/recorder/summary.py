"""summary.json: what a recording holds and how well it was received."""

import re
from pathlib import Path

import msgspec

from raccall.recorder.events import Alarm, Correction, Gap

FILE_NAME = "summary.json"
FORMAT_VERSION = 1

_TRACK = re.compile(r"tracks/[^/\\:\0]+\.opus")


class Person(msgspec.Struct, kw_only=True, frozen=True):
    """One speaker."""

    user_id: str
    """Empty for a voice whose owner was never told."""
    name: str
    track: str
    """Path in the recording's folder."""
    packets: int
    lost: int
    """By sequence number, wherever they were lost."""
    loss_pct: float
    duplicates: int
    late: int
    """Came more than half a minute after their place, or belong before the beginning."""
    malformed: int
    excess: int
    """Sent faster than time passes, and left out."""
    overlapping: int = 0
    """Sent while a newer connection of the same person spoke, and left out."""
    corrections_unlisted: int = 0
    """Corrections beyond the first 4000, which the summary lists."""
    refused: int = 0
    """Whole in their framing, but no decoder took what was inside."""
    sources: int
    """SSRCs used: more than one after a reconnection."""
    sounding_s: float
    """Length of the packets received, coded silence left out."""
    concealed_s: float
    """Made up in the mix."""
    recovered_s: float
    """Lost packets in the mix that were asked for in the packet after them."""
    drift_ppm: float | None
    """How much slower than ours the sender's clock runs; None for less than a minute."""

    def __post_init__(self) -> None:
        """Raises ValueError for a track elsewhere: a summary may come from anybody, and tracks are deleted, too."""
        if not _TRACK.fullmatch(self.track):
            raise ValueError(f"{self.track!r} is no track of this recording")


class Damage(msgspec.Struct, kw_only=True, frozen=True):
    """What could not be read."""

    journal_places: int = 0
    journal_bytes: int = 0
    journal_packets: int = 0
    event_lines: int = 0


class Summary(msgspec.Struct, kw_only=True, frozen=True):
    """The whole recording."""

    room: str
    started: str
    """UTC, ISO 8601. The tracks begin `lead_in_ms` before it."""
    lead_in_ms: float
    duration_s: float
    """Of every track and the mix."""
    complete: bool
    """False when the recorder was killed before it could write its end."""
    people: list[Person]
    lost_in_network: int
    lost_in_kernel: int
    lost_in_tap: int
    gaps: list[Gap]
    corrections: list[Correction]
    alarms: list[Alarm] = []
    """What was wrong while it was made, and when each was over."""
    speakers_left_out: int = 0
    """Voices beyond the 500 with the most packets: in the journal only."""
    stopped: str = ""
    """Why it ended: "stopped", a limit ("max_size", "disk_nearly_full") or an error; empty when it was killed."""
    damage: Damage
    versions: dict[str, str]
    format: int = FORMAT_VERSION

    def write(self, folder: Path) -> None:
        """Write summary.json, indented for people."""
        (folder / FILE_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def read_summary(folder: Path) -> Summary:
    """Read summary.json. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=Summary)
