"""One speaker's place in the recording: for each packet, at which sample it belongs.

The policy is told at the top of crates/record/src/timeline.rs, which does the work. In short: a sender's clock is the
lower envelope of arrival minus timestamp; packets belong at timestamp + that; tracks follow on a 2.5 ms grid with
corrections in silences, rendered sound follows continuously.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raccall._native import (
    TIMELINE_LEAD_IN_SAMPLES,
    TIMELINE_LOOK_AHEAD_NS,
    PacketBatch,
    Placed,
    PlacedBatch,
)
from raccall._native import Timeline as _Timeline
from raccall.units import Nanos

__all__ = ["LEAD_IN_SAMPLES", "LOOK_AHEAD", "Placed", "PlacedBatch", "Shift", "Timeline", "TimelineCounts"]

LEAD_IN_SAMPLES: int = TIMELINE_LEAD_IN_SAMPLES
"""Tracks begin 200 ms before the recording: who talks already is placed before their first packet arrived."""

LOOK_AHEAD: int = TIMELINE_LOOK_AHEAD_NS
"""How long packets wait before they are placed: their clock is known from what follows, too."""


@dataclass(frozen=True, slots=True)
class Shift:
    """From `position` on the track lies `samples` later than before (earlier if negative), or sound was left out."""

    position: int
    samples: int
    left_out: int
    """Samples of sound."""
    reason: str
    """See `raccall.recorder.events.Correction`."""


@dataclass(frozen=True, slots=True)
class TimelineCounts:
    """What became of the packets."""

    placed: int
    lost: int
    """By sequence number."""
    duplicates: int
    late: int
    """Came after their place was passed, or belong before the beginning."""
    malformed: int
    excess: int
    """Sent faster than time passes."""
    overlapping: int
    """Of an older source, while a newer one of the same person spoke."""
    dropped_for_drift: int
    """Taken out of the track, still in rendered sound; part of `placed`."""
    sources: int
    """SSRCs."""
    shifts_unlisted: int
    """Corrections beyond the first 4000."""


class Timeline:
    """Packets of one speaker in, placed packets out. Pure; memory is bounded by the look-ahead."""

    def __init__(self, start: Nanos) -> None:
        self._native = _Timeline(start)

    def push(self, packets: PacketBatch, indices: NDArray[np.int64] | None = None) -> None:
        """Take packets of any of this speaker's sources, in order of arrival: all, or those of `indices`."""
        self._native.push(packets, indices)

    def begin_anew(self) -> None:
        """What is sent until the next packet is not for us: nothing of it counts as lost, nor is concealed."""
        self._native.begin_anew()

    def pull(self, now: Nanos) -> PlacedBatch:
        """Everything whose look-ahead has passed at `now`."""
        return self._native.pull(now)

    def finish(self) -> PlacedBatch:
        """The rest."""
        return self._native.finish()

    @property
    def end(self) -> int:
        """One past the last placed sample of the track."""
        return self._native.end

    def position_of(self, now: Nanos) -> int:
        """The sample that sounds at `now`."""
        return self._native.position_of(now)

    def drift_ppm(self) -> float | None:
        """How much slower the sender's clock runs than ours (negative: faster); None before a minute has passed."""
        return self._native.drift_ppm()

    @property
    def counts(self) -> TimelineCounts:
        """So far."""
        return TimelineCounts(**self._native.counts())

    @property
    def shifts(self) -> list[Shift]:
        """Every correction so far."""
        return [Shift(*shift) for shift in self._native.shifts()]
