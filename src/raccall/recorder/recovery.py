"""What is left of a recording: read all of it, change nothing."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from raccall.errors import InputError
from raccall.recorder.attribution import Attribution, Speaker
from raccall.recorder.events import EventWriter, Start, Stop, read_events
from raccall.recorder.journal import JournalReader, TimeBase
from raccall.recorder.lock import is_locked
from raccall.recorder.placement import EVENTS, JOURNAL, refuse_sealed
from raccall.recorder.render import PRODUCTS
from raccall.recorder.replace import finish_replacing
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.recorder.summary import Damage, read_summary
from raccall.units import NANOS_PER_SECOND, Nanos
from raccall.voice.tap import Packets


class FoundSpeaker(msgspec.Struct, kw_only=True, frozen=True):
    """One voice, as far as the journal tells."""

    user_id: str
    """Empty when nothing says whose voice it is."""
    name: str
    packets: int
    lost: int
    """Between the first and the last packet, by sequence number: on the way, or to damage."""
    last_heard_s: float
    """After the recording's begin."""


class Findings(msgspec.Struct, kw_only=True, frozen=True):
    """What a recording's folder holds."""

    recording: str
    room: str
    started: str
    """UTC, ISO 8601; empty when both files lost it."""
    complete: bool
    """False when the recorder was killed, and could not write its end."""
    packets: int
    duration_s: float
    """From the begin to the last packet."""
    speakers: list[FoundSpeaker]
    damage: Damage
    events_missing: bool
    """events.jsonl is gone: nothing says whose voices they are."""
    rendered: str
    """"whole"; "outdated" when journal or events changed since, or its files are not all there; "missing"."""

    @property
    def is_damaged(self) -> bool:
        return self.damage != Damage()


def examine(folder: Path) -> Findings:
    """Read journal and events through once.

    Raises InputError ("not_a_recording", "recording_sealed", "still_recording", "recording_too_new", "not_a_journal")
    or OSError.
    """
    finish_replacing(folder)
    journal, events = folder / JOURNAL, folder / EVENTS
    if not journal.is_file():
        refuse_sealed(folder)
        raise InputError("not_a_recording", f"{folder} holds no recording: {JOURNAL} is missing.")
    if is_locked(journal):
        raise InputError("still_recording", f"A call is being recorded into {folder}; stop that first.")
    log = read_events(events)
    start = next((event for event in log.events if isinstance(event, Start)), None)
    reader = JournalReader(journal, TimeBase(Nanos(start.now), start.wall_ns) if start else None)
    voices = _Voices(Attribution(log.events))
    for batch in reader.batches():
        voices.add(Packets(batch))
    base, damage = reader.base, reader.damage
    begin = base.monotonic_ns if base else Nanos(0)
    return Findings(
        recording=str(folder),
        room=start.room if start else "",
        started=datetime.fromtimestamp(base.wall_ns / NANOS_PER_SECOND, UTC).isoformat() if base else "",
        complete=any(isinstance(event, Stop) for event in log.events),
        packets=voices.packets,
        duration_s=_seconds(max(voices.last_arrival, begin), begin),
        speakers=voices.found(begin),
        damage=Damage(
            journal_places=damage.places,
            journal_bytes=damage.lost_bytes,
            journal_packets=damage.lost_packets,
            event_lines=log.unread_lines,
        ),
        events_missing=not events.is_file(),
        rendered=_rendered(folder),
    )


def restore_events(folder: Path) -> None:
    """Write the events.jsonl that is missing: its first line, from the journal's head. Raises OSError."""
    reader = JournalReader(folder / JOURNAL)
    next(reader.batches(), None)
    base = reader.base or TimeBase(Nanos(0), 0)
    wall = datetime.fromtimestamp(base.wall_ns / NANOS_PER_SECOND, UTC).isoformat()
    writer = EventWriter(folder / EVENTS)
    try:
        writer.append(Start(now=base.monotonic_ns, wall_ns=base.wall_ns, wall=wall, room="", version=""))
    finally:
        writer.close()


class _Voices:
    """Counts packets by speaker."""

    def __init__(self, attribution: Attribution) -> None:
        self.packets = 0
        self.last_arrival = Nanos(0)
        self._attribution = attribution
        self._sources: dict[int, tuple[Speaker, list[int]]] = {}
        """SSRC → whose, and first sequence, last sequence, packets, last arrival."""

    def add(self, packets: Packets) -> None:
        for packet in packets:
            self.packets += 1
            self.last_arrival = max(self.last_arrival, packet.arrival)
            if packet.ssrc not in self._sources:
                speaker = self._attribution.speaker_of(packet.ssrc, packet.arrival)
                self._sources[packet.ssrc] = speaker, [packet.sequence, packet.sequence, 0, packet.arrival]
            counts = self._sources[packet.ssrc][1]
            counts[0] = min(counts[0], packet.sequence)
            counts[1] = max(counts[1], packet.sequence)
            counts[2] += 1
            counts[3] = max(counts[3], packet.arrival)

    def found(self, begin: Nanos) -> list[FoundSpeaker]:
        """In the order of their first packets."""
        by_speaker: dict[Speaker, list[list[int]]] = {}
        for speaker, counts in self._sources.values():
            by_speaker.setdefault(speaker, []).append(counts)
        return [
            FoundSpeaker(
                user_id=speaker.user_id,
                name=speaker.name,
                packets=sum(packets for _, _, packets, _ in sources),
                lost=sum(max(last - first + 1 - packets, 0) for first, last, packets, _ in sources),
                last_heard_s=_seconds(Nanos(max(arrival for *_, arrival in sources)), begin),
            )
            for speaker, sources in by_speaker.items()
        ]


def _seconds(now: Nanos, begin: Nanos) -> float:
    return round((now - begin) / NANOS_PER_SECOND, 3)


def _rendered(folder: Path) -> str:
    try:
        summary = read_summary(folder)
    except FileNotFoundError:
        return "missing"
    except msgspec.DecodeError:
        return "outdated"
    made = (folder / SUMMARY).stat().st_mtime_ns
    sources = [path for path in (folder / JOURNAL, folder / EVENTS) if path.is_file()]
    there = [folder / name for name in PRODUCTS] + [folder / person.track for person in summary.people]
    whole = all(path.exists() for path in there) and all(path.stat().st_mtime_ns <= made for path in sources)
    return "whole" if whole else "outdated"
