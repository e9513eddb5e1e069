"""Moments of a recording worth a mark in an editor: notes, and packets lost on the recorder's own machine."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from raccall.recorder.events import Gap, Note, Start, read_events
from raccall.recorder.placement import EVENTS
from raccall.recorder.timeline import LEAD_IN_SAMPLES
from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment."""

    at_s: float
    """From the beginning of the tracks."""
    name: str
    """Who wrote it; empty for a gap."""
    text: str

    @property
    def label(self) -> str:
        """On one line."""
        return f"{self.name}: {self.text}" if self.name else self.text


def read_marks(folder: Path) -> list[Mark]:
    """All of a recording, in order; none when the moment it began is lost. Raises OSError."""
    log = read_events(folder / EVENTS)
    start = next((event for event in log.events if isinstance(event, Start)), None)
    if start is None:
        return []
    lead_in_s = LEAD_IN_SAMPLES / SAMPLE_RATE_HZ
    marks = []
    for event in log.events:
        at_s = round((event.now - start.now) / NANOS_PER_SECOND + lead_in_s, 3)
        match event:
            case Note(text=text, name=name):
                marks.append(Mark(at_s, one_line(name), one_line(text)))
            case Gap(packets=packets, where=where):
                what = f"{packets} packets" if packets else "packets"
                marks.append(Mark(at_s, "", f"gap: {what} lost ({where})"))
    return sorted(marks, key=lambda mark: mark.at_s)


def marks_between(marks: list[Mark], begin_s: float, end_s: float) -> list[Mark]:
    """Those of a part, counted from its beginning."""
    return [Mark(round(mark.at_s - begin_s, 3), mark.name, mark.text) for mark in marks if begin_s <= mark.at_s < end_s]


def one_line(text: str) -> str:
    """What people typed, as every text format takes it: no line ends and no control characters."""
    return " ".join("".join(c if unicodedata.category(c) not in ("Cc", "Cs", "Cn") else " " for c in text).split())
