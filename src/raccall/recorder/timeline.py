"""One speaker's place in the recording: for each packet, at which sample it belongs.

Policy
------
The recording has one clock, the recorder's. A packet's *relative delay* is arrival minus timestamp; the network only
adds to it. A speaker's *offset* is the least relative delay of many packets, on a 2.5 ms grid, and a packet belongs
at timestamp + offset. So jitter moves nothing: 30 ms of it shift a track by no more than the luckiest packet was
late.

- Packets wait two seconds before they are placed. In this look-ahead they are put in order by extended sequence,
  duplicates are dropped, and the least delay of what follows is known before its first packet is placed.
- Inside a talk spurt timestamps rule: packets in sequence are placed end to end.
- At a *boundary* (a packet missing, timestamps that jump, an arrival 40 ms later than the packet before allows, or a
  place 100 ms after the arrival) the least delay of what follows is compared with the offset. When it is more than 20
  ms away (100 ms when fewer than ten packets tell) the sender's timestamps have not counted the pause, or began anew:
  the offset is taken anew. A network that stalled does not look like this, for it drains and the least delay returns.
- A new SSRC, or sequence numbers that fall far back, is a sender that began anew: its offset is estimated from its own
  packets, and it goes on in the same track.
- Drift: a pause of 60 ms or more is made longer or shorter by what the least delay of the last 30 s has moved.
  Without a pause, once 10 ms are exceeded, one packet is dropped or one concealed frame is added at the quietest of
  the next two seconds (the smallest packet: Opus spends few bytes where there is little to hear). Each is reported as
  a Correction.
- A packet that would overlap the one before moves behind it, at most 200 ms; beyond that it is dropped and counted: a
  speaker who sends faster than time passes must not make everybody's recording longer.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from raccall.recorder.clock_estimate import ClockEstimate
from raccall.recorder.opus_packet import GRID_SAMPLES, packet_samples
from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos, Ssrc
from raccall.voice.tap import TappedPacket

LEAD_IN_SAMPLES = SAMPLE_RATE_HZ // 5
"""Tracks begin 200 ms before the recording: who talks already is placed before their first packet arrived."""

LOOK_AHEAD: int = 2 * NANOS_PER_SECOND
MAX_WAITING_PACKETS = 1000

_STALL_SAMPLES = 40 * 48
_RESTART_SAMPLES = 20 * 48
_RESTART_SAMPLES_FEW = 100 * 48
_ENOUGH_PACKETS = 10
_PAUSE_SAMPLES = 60 * 48
_MAX_DRIFT_SAMPLES = 10 * 48
_MAX_OVERLAP_SAMPLES = 200 * 48
_UNRELATED_SAMPLES = SAMPLE_RATE_HZ
_RESTARTED_SEQUENCE = 500
"""A packet ten seconds behind the newest is no late packet: the sender began anew."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A packet and its place."""

    position: int
    """First sample, from the beginning of the tracks. Never before the end of the packet placed before it."""
    samples: int
    payload: bytes
    lost: int
    """Packets missing directly before this one, by sequence number."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The offset moved at `position` by `samples` (later is positive)."""

    position: int
    samples: int
    reason: str


@dataclass(slots=True)
class TimelineCounts:
    """What became of the packets."""

    placed: int = 0
    lost: int = 0
    duplicates: int = 0
    late: int = 0
    malformed: int = 0
    excess: int = 0
    dropped_for_drift: int = 0
    sources: int = 0


@dataclass(slots=True, order=True)
class _Waiting:
    run: int
    sequence: int
    arrival: int = field(compare=False)
    timestamp: int = field(compare=False)
    samples: int = field(compare=False)
    payload: bytes = field(compare=False)

    @property
    def delay(self) -> int:
        return self.arrival - self.timestamp


class Timeline:
    """Packets of one speaker in, placed packets out. Pure; memory is bounded by the look-ahead."""

    def __init__(self, start: Nanos) -> None:
        self._start = start
        self._waiting: list[_Waiting] = []
        self._runs: dict[Ssrc, tuple[int, int]] = {}  # SSRC: number of its run, newest sequence
        self._runs_begun = 0
        self._estimate = ClockEstimate()
        self._offset = 0
        self._before: _Waiting | None = None
        self._quiet: _Waiting | None = None
        self.end = 0
        """One past the last placed sample."""
        self.counts = TimelineCounts()
        self.shifts: list[Shift] = []

    def position_of(self, now: Nanos) -> int:
        """The sample that sounds at `now`."""
        return (now - self._start) * SAMPLE_RATE_HZ // NANOS_PER_SECOND + LEAD_IN_SAMPLES

    def push(self, packet: TappedPacket) -> None:
        """Hand over a packet of any of this speaker's sources, in order of arrival."""
        payload = packet.payload
        samples = packet_samples(payload)
        if samples is None:
            self.counts.malformed += 1
            return
        run = self._run_of(packet)
        item = _Waiting(run, packet.sequence, self.position_of(packet.arrival), packet.timestamp, samples, payload)
        if self._before and (run, packet.sequence) <= (self._before.run, self._before.sequence):
            self._count_old(item)
            return
        place = bisect_left(self._waiting, item)
        if place < len(self._waiting) and self._waiting[place] == item:
            self.counts.duplicates += 1
            return
        self._waiting.insert(place, item)
        # Timestamps that jumped ahead are for the boundary to judge: they say nothing about the packets before it.
        if self._before and run == self._before.run and item.delay >= self._offset - _RESTART_SAMPLES_FEW:
            self._estimate.add(item.arrival, item.delay)

    def pull(self, now: Nanos) -> Iterator[Placed]:
        """Everything whose look-ahead has passed at `now`."""
        due = self.position_of(Nanos(now - LOOK_AHEAD))
        while self._waiting and (self._waiting[0].arrival <= due or len(self._waiting) > MAX_WAITING_PACKETS):
            yield from self._place(self._waiting.pop(0))

    def finish(self) -> Iterator[Placed]:
        """The rest."""
        while self._waiting:
            yield from self._place(self._waiting.pop(0))

    def drift_ppm(self) -> float | None:
        """See ClockEstimate.drift_ppm."""
        return self._estimate.drift_ppm()

    def _run_of(self, packet: TappedPacket) -> int:
        """Number of the uninterrupted numbering that a packet belongs to."""
        known = self._runs.get(packet.ssrc)
        if known is None or packet.sequence < known[1] - _RESTARTED_SEQUENCE:
            self._runs_begun += 1
            self.counts.sources += known is None
            known = (self._runs_begun, packet.sequence)
        self._runs[packet.ssrc] = (known[0], max(known[1], packet.sequence))
        return known[0]

    def _count_old(self, item: _Waiting) -> None:
        before = self._before
        if before and (item.run, item.sequence) == (before.run, before.sequence):
            self.counts.duplicates += 1
        else:
            self.counts.late += 1

    def _place(self, item: _Waiting) -> Iterator[Placed]:
        before = self._before
        lost = 0
        if before is None or item.run != before.run:
            self._begin_clock(item)
        else:
            lost = item.sequence - before.sequence - 1
            if self._is_boundary(before, item):
                self._check_clock(item)
        position = self._on_grid(item.timestamp + self._offset)
        if before and item.run == before.run:
            position = self._correct_drift(item, position)
        self._before = item
        if item is self._quiet:
            self._quiet = None
            if self._drift() < 0:
                self._move(-item.samples, "drift_in_speech")
                self.counts.dropped_for_drift += 1
                return
            self._move(item.samples, "drift_in_speech")
            position += item.samples
        if position < 0:
            self.counts.late += 1
            return
        if self.end - position > _MAX_OVERLAP_SAMPLES:
            self.counts.excess += 1
            return
        position = max(position, self.end)
        self.end = position + item.samples
        self.counts.placed += 1
        self.counts.lost += lost
        yield Placed(position, item.samples, item.payload, lost)

    @staticmethod
    def _on_grid(position: int) -> int:
        return (position + GRID_SAMPLES // 2) // GRID_SAMPLES * GRID_SAMPLES

    def _is_boundary(self, before: _Waiting, item: _Waiting) -> bool:
        if item.delay < self._offset - _RESTART_SAMPLES_FEW:  # its place is long after it arrived
            return True
        in_sequence = item.sequence == before.sequence + 1 and item.timestamp == before.timestamp + before.samples
        return not in_sequence or item.arrival - before.arrival > before.samples + _STALL_SAMPLES

    def _upcoming(self, item: _Waiting) -> list[_Waiting]:
        """`item` and what follows it in the look-ahead, up to a timestamp unrelated to the one before."""
        upcoming = [item]
        for later in self._waiting:
            if later.run != item.run or abs(later.delay - upcoming[-1].delay) > _UNRELATED_SAMPLES:
                break
            upcoming.append(later)
        return upcoming

    def _begin_clock(self, item: _Waiting) -> None:
        upcoming = self._upcoming(item)
        self._estimate = ClockEstimate()
        for packet in upcoming:
            self._estimate.add(packet.arrival, packet.delay)
        self._offset = self._on_grid(min(packet.delay for packet in upcoming))
        self._quiet = None

    def _check_clock(self, item: _Waiting) -> None:
        upcoming = self._upcoming(item)
        away = min(packet.delay for packet in upcoming) - self._offset
        limit = _RESTART_SAMPLES if len(upcoming) >= _ENOUGH_PACKETS else _RESTART_SAMPLES_FEW
        if away > limit or away < -_RESTART_SAMPLES_FEW:
            self._begin_clock(item)
            position = self._on_grid(item.timestamp + self._offset)
            self.shifts.append(Shift(position, self._on_grid(away), "clock_restarted"))

    def _drift(self) -> int:
        """How far the least delay is from the offset in use."""
        least = self._estimate.least_delay
        return 0 if least is None else least - self._offset

    def _correct_drift(self, item: _Waiting, position: int) -> int:
        drift = self._drift()
        pause = position - self.end
        if pause >= _PAUSE_SAMPLES and abs(drift) >= GRID_SAMPLES:
            # A pause may vanish, but the packet must not overlap the one before.
            step = max(self._on_grid(drift), -pause)
            self._move(step, "drift_in_silence")
            self._quiet = None
            return position + step
        if self._quiet is None and abs(drift) > _MAX_DRIFT_SAMPLES:
            self._quiet = min(self._upcoming(item), key=lambda packet: len(packet.payload))
        return position

    def _move(self, step: int, reason: str) -> None:
        self._offset += step
        self.shifts.append(Shift(self.end, step, reason))
