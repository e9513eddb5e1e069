"""Sequence numbers and timestamps that go on past their wrap, as the engine counts them."""

from dataclasses import dataclass


@dataclass(slots=True)
class Extended:
    """A counter of `bits` bits made endless: each value is read as the one nearest to the newest so far."""

    bits: int
    newest: int | None = None

    def extend(self, value: int) -> int:
        """The first value maps to itself plus one wrap, so that an earlier one does not go below zero."""
        span = 1 << self.bits
        if self.newest is None:
            self.newest = value + span
            return self.newest
        distance = (value - self.newest + span // 2) % span - span // 2
        extended = self.newest + distance
        self.newest = max(self.newest, extended)
        return extended


class SourceCounters:
    """Both counters of one Source."""

    def __init__(self) -> None:
        self._sequence = Extended(16)
        self._timestamp = Extended(32)

    def extend(self, sequence: int, timestamp: int) -> tuple[int, int]:
        """Extended sequence and extended timestamp of the packet that has these."""
        return self._sequence.extend(sequence), self._timestamp.extend(timestamp)
