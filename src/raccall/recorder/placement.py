"""A recording's packets in their places: journal and events through attribution and timelines, in steps.

Read through twice: once to learn who speaks, in how many channels and how long it all lasts, which a file's head must
say; then for the packets. Memory does not grow with the length of the recording.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raccall.errors import InputError
from raccall.recorder.attribution import Attribution, Speaker
from raccall.recorder.events import ConsentWithdrawn, Start, read_events
from raccall.recorder.journal import JournalReader, TimeBase
from raccall.recorder.opus_packet import STEREO_FLAG
from raccall.recorder.replace import finish_replacing
from raccall.recorder.timeline import LOOK_AHEAD, PlacedBatch, Timeline
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos

JOURNAL = "journal.pcapng"
EVENTS = "events.jsonl"

SEALED = ".sealed"
"""Behind the names of both, when they are encrypted."""

Progress = Callable[[float], None]
"""Called with the share done, 0 to 1, never less than before."""

MAX_SAMPLES = 31 * 86_400 * SAMPLE_RATE_HZ
"""A month. What says that it lasts longer would fill any disk with silence."""

MAX_SPEAKERS = 500
"""Each needs a file, a decoder and a second of sound at a time. Of more, those with the most packets are rendered."""

_STEP: int = 4 * NANOS_PER_SECOND
_UNDER_WAY: int = 200 * NANOS_PER_MS
"""Packets may still be on their way when it is told that no more will come."""
_SETTLED_AFTER: int = LOOK_AHEAD + 8 * NANOS_PER_SECOND
"""A packet that a stalled network held back belongs some seconds before those that arrived with it."""
_AFTER_LAST: int = 400 * NANOS_PER_MS
"""A packet's sound may end this much after it arrived: 120 ms long, moved by 200 behind the one before."""


@dataclass(frozen=True, slots=True)
class Step:
    """What some seconds of the journal add."""

    placed: Mapping[Speaker, PlacedBatch]
    settled: int
    """Samples before this position are complete: a packet that comes for them still is too late."""
    share: float
    """Of the journal read so far, 0 to 1; 1 is the last step, after which all samples are complete."""


class Placement:
    """A recording, opened for reading; `steps` may be run any number of times.

    Raises InputError when the folder is no recording or "recording_too_long", OSError when it cannot be read.
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
        self._channels: dict[Speaker, int] = {}
        self._packets = 0
        packets_of: Counter[Speaker] = Counter()
        told = max((event.now for event in self.log.events), default=0)
        arrived = 0
        for batch in self.reader.batches(_STEP):
            self._packets += len(batch)
            arrived = max(arrived, int(batch.arrival.max()))
            toc = batch.toc
            for speaker, indices in self._attribution.split(batch):
                packets_of[speaker] += len(indices)
                stereo = bool(((toc[indices] & STEREO_FLAG != 0) & (toc[indices] >= 0)).any())
                self._channels[speaker] = max(self._channels.get(speaker, 1), 1 + stereo)
        start, base = self.start, self.reader.base
        self.begin = Nanos(start.now) if start else base.monotonic_ns if base else Nanos(0)
        heard = {speaker for speaker, _ in packets_of.most_common(MAX_SPEAKERS)}
        self.speakers = tuple(speaker for speaker in self._channels if speaker in heard)
        """In the order of their first packets."""
        self.speakers_left_out = len(self._channels) - len(self.speakers)
        """Beyond MAX_SPEAKERS; still in the journal."""
        length = max(Timeline(self.begin).position_of(Nanos(max(told, arrived))), FRAME_SAMPLES)
        if arrived + _AFTER_LAST > told:
            length = max(length, self._end_of_packets())
        if length > MAX_SAMPLES:
            days = length // SAMPLE_RATE_HZ // 86_400
            raise InputError("recording_too_long", f"{folder} says it lasts {days} days: its times are damaged.")
        self.length = length + -length % FRAME_SAMPLES
        """Of every track, in samples, whole frames."""

    def channels(self, speaker: Speaker) -> int:
        """1, or 2 when any of the speaker's packets has two."""
        return self._channels[speaker]

    def _end_of_packets(self) -> int:
        """Where the last of them ends; takes another reading."""
        for _ in self.steps():
            pass
        return max((timeline.end for timeline in self.timelines.values()), default=0)

    def _withdrawals(self) -> dict[str, list[int]]:
        """user id → when their last packets had come, each time they no longer agreed to being recorded."""
        withdrawn: dict[str, list[int]] = {}
        for event in self.log.events:
            if isinstance(event, ConsentWithdrawn):
                withdrawn.setdefault(event.user_id, []).append(event.now + _UNDER_WAY)
        return withdrawn

    def steps(self) -> Iterator[Step]:
        """All packets, each speaker's in order and without overlap."""
        clock = Timeline(self.begin)
        timelines = self.timelines = {speaker: Timeline(self.begin) for speaker in self.speakers}
        withdrawn = self._withdrawals()
        done = settled = 0
        for batch in self.reader.batches(_STEP):
            for speaker, indices in self._attribution.split(batch):
                if speaker not in timelines:
                    continue
                withdrawals = withdrawn.get(speaker.user_id, [])
                while withdrawals and batch.arrival[indices[-1]] >= withdrawals[0]:
                    before = batch.arrival[indices] < withdrawals.pop(0)
                    timelines[speaker].push(batch, indices[before])
                    timelines[speaker].begin_anew()
                    indices = indices[~before]
                timelines[speaker].push(batch, indices)
            now = Nanos(int(batch.arrival.max()))
            done += len(batch)
            placed = {speaker: timeline.pull(now) for speaker, timeline in timelines.items()}
            settled = max(settled, clock.position_of(Nanos(now - _SETTLED_AFTER)))
            yield Step(placed, settled, min(done / self._packets, 0.99))
        yield Step({speaker: timeline.finish() for speaker, timeline in timelines.items()}, settled, 1.0)


def check_recording(folder: Path) -> None:
    """See that there is a recording that can be read, and complete a replacement of its files that was cut short.

    Raises InputError "recording_sealed", "not_a_recording"; OSError.
    """
    finish_replacing(folder)
    if (folder / JOURNAL).is_file():
        return
    refuse_sealed(folder)
    raise InputError("not_a_recording", f"{folder} holds no recording: {JOURNAL} is missing.")


def has_begun(folder: Path) -> bool:
    """Whether a recording was begun there, in clear or encrypted."""
    return (folder / JOURNAL).exists() or (folder / (JOURNAL + SEALED)).exists()


def refuse_sealed(folder: Path) -> None:
    """Raises InputError "recording_sealed" for an encrypted recording."""
    if (folder / (JOURNAL + SEALED)).is_file():
        raise InputError("recording_sealed", f"{folder} is encrypted; `raccall decrypt` makes it readable.")
