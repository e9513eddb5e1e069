"""A recording's packets in their places: journal and events through attribution and timelines, in steps.

Read through twice: once to learn who speaks, in how many channels and how long it all lasts, which a file's head must
say; then for the packets. Memory does not grow with the length of the recording.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raccall.errors import InputError
from raccall.recorder.attribution import Attribution, Speaker
from raccall.recorder.events import Start, read_events
from raccall.recorder.journal import JournalReader, TimeBase
from raccall.recorder.opus_packet import is_stereo
from raccall.recorder.replace import finish_replacing
from raccall.recorder.timeline import LOOK_AHEAD, Placed, Timeline
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, NANOS_PER_SECOND, Nanos
from raccall.voice.tap import Packets

JOURNAL = "journal.pcapng"
EVENTS = "events.jsonl"

SEALED = ".sealed"
"""Behind the names of both, when they are encrypted."""

Progress = Callable[[float], None]
"""Called with the share done, 0 to 1, never less than before."""

_STEP: int = 100 * NANOS_PER_MS
_SETTLED_AFTER: int = LOOK_AHEAD + 8 * NANOS_PER_SECOND
"""A packet that a stalled network held back belongs up to ten seconds in the past."""


@dataclass(frozen=True, slots=True)
class Step:
    """What some 100 ms of the journal add."""

    placed: Mapping[Speaker, list[Placed]]
    settled: int
    """Samples before this position are complete: a packet that comes for them still is too late."""
    share: float
    """Of the journal read so far, 0 to 1."""


class Placement:
    """A recording, opened for reading; `steps` may be run any number of times.

    Raises InputError when the folder is no recording, OSError when it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        check_recording(folder)
        self.log = read_events(folder / EVENTS)
        self.start = next((event for event in self.log.events if isinstance(event, Start)), None)
        self.reader = JournalReader(
            folder / JOURNAL, TimeBase(Nanos(self.start.now), self.start.wall_ns) if self.start else None
        )
        self.timelines: dict[Speaker, Timeline] = {}
        """Of the newest run through `steps`: complete after it."""
        self._attribution = Attribution(self.log.events)
        self._stereo: set[Speaker] = set()
        self._packets = 0
        end = max((event.now for event in self.log.events), default=0)
        for packet in self.reader.packets():
            self._packets += 1
            end = max(end, packet.arrival)
            if is_stereo(packet.payload):
                self._stereo.add(self._attribution.speaker_of(packet.ssrc, packet.arrival))
        start, base = self.start, self.reader.base
        self.begin = Nanos(start.now) if start else base.monotonic_ns if base else Nanos(0)
        for _ in self.steps():
            pass
        ends = [timeline.end for timeline in self.timelines.values()]
        length = max(Timeline(self.begin).position_of(Nanos(end)), FRAME_SAMPLES, *ends)
        self.length = length + -length % FRAME_SAMPLES
        """Of every track, in samples, whole frames."""
        self.speakers = tuple(self.timelines)
        """In the order of their first packets."""

    def channels(self, speaker: Speaker) -> int:
        """1, or 2 when any of the speaker's packets has two."""
        return 2 if speaker in self._stereo else 1

    def steps(self) -> Iterator[Step]:
        """All packets, each speaker's in order and without overlap."""
        clock = Timeline(self.begin)
        timelines = self.timelines = {}
        step_end = Nanos(self.begin + _STEP)
        for done, packet in enumerate(self.reader.packets()):
            if packet.arrival >= step_end:
                placed = {speaker: list(timeline.pull(packet.arrival)) for speaker, timeline in timelines.items()}
                settled = clock.position_of(Nanos(packet.arrival - _SETTLED_AFTER))
                yield Step(placed, max(settled, 0), done / self._packets if self._packets else 0.0)
                step_end = Nanos(packet.arrival + _STEP)
            speaker = self._attribution.speaker_of(packet.ssrc, packet.arrival)
            if speaker not in timelines:
                timelines[speaker] = Timeline(self.begin)
            timelines[speaker].push(Packets.of([packet]).batch)
        rest = {speaker: list(timeline.finish()) for speaker, timeline in timelines.items()}
        yield Step(rest, max([timeline.end for timeline in timelines.values()], default=0), 1.0)


def check_recording(folder: Path) -> None:
    """See that there is a recording that can be read, and complete a replacement of its files that was cut short.

    Raises InputError "recording_sealed", "not_a_recording"; OSError.
    """
    finish_replacing(folder)
    if (folder / JOURNAL).is_file() and (folder / EVENTS).is_file():
        return
    if (folder / (JOURNAL + SEALED)).is_file():
        raise InputError("recording_sealed", f"{folder} is encrypted; `raccall decrypt` makes it readable.")
    raise InputError("not_a_recording", f"{folder} holds no recording: {JOURNAL} or {EVENTS} is missing.")
