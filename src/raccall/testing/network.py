"""A bad network, seeded and in virtual time: the same seed gives the same losses and delays on every machine.

One direction of one link. Each datagram's fate is decided when it is sent: lost, or due at `now` + delay + jitter,
perhaps twice. Due datagrams come out in the order of their due times, so jitter larger than the sending interval
reorders, as Wi-Fi retries and multipath do; `in_order=True` gives a queue instead (a DSL line, a bufferbloated router).

    network = EmulatedNetwork(NetworkConditions(loss=0.05, jitter_ms=30), seed=1)
    network.send(datagram, now)
    for datagram in network.receive(later): ...
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos

QUEUE_DATAGRAMS = 4096
"""Datagrams under way at once; the newest is dropped beyond that, as a router does, and counted in `overflowed`."""


IP_UDP_BYTES = 28
"""IPv4 and UDP headers: what a link carries besides each datagram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConditions:
    """What one direction of a link does to datagrams."""

    loss: float = 0.0
    """Share of datagrams lost in the long run, 0 to 1."""
    mean_burst: float = 1.0
    """Mean length of a run of losses in datagrams, at least 1 (1: independent losses; real calls: 1.5 to 2).
    Longer if so much is lost that shorter runs cannot hold it."""
    delay_ms: float = 0.0
    """Shortest time under way."""
    jitter_ms: float = 0.0
    """Added to it, drawn evenly from 0 to this."""
    duplicates: float = 0.0
    """Share of datagrams that arrive twice."""
    in_order: bool = False
    """True: no datagram overtakes another."""

    def __post_init__(self) -> None:
        if not (0 <= self.loss <= 1 and 0 <= self.duplicates <= 1):
            raise ValueError("loss and duplicates are shares from 0 to 1")
        if self.mean_burst < 1 or self.delay_ms < 0 or self.jitter_ms < 0:
            raise ValueError("mean_burst is at least 1, delay_ms and jitter_ms at least 0")


LAN = NetworkConditions(delay_ms=0.5, jitter_ms=0.5)
GOOD_DSL = NetworkConditions(loss=0.001, delay_ms=15, jitter_ms=6, in_order=True)
BAD_WIFI = NetworkConditions(loss=0.05, mean_burst=1.8, delay_ms=5, jitter_ms=30, duplicates=0.002)
TERRIBLE = NetworkConditions(loss=0.20, mean_burst=2.0, delay_ms=40, jitter_ms=60, duplicates=0.01)


class EmulatedNetwork:
    """One direction of a link. Pure: no socket, no clock."""

    def __init__(
        self, conditions: NetworkConditions, seed: int = 1, *, trace: Path | None = None, losses: Path | None = None
    ) -> None:
        """`trace`: a file with one delay in ms per line, -1 for lost, `#` for comments; it replaces loss and delay.
        `losses`: a file with one flag per line, 1 for lost; it replaces loss alone. Both are repeated when they end.

        Raises ValueError for both at once or a file without a line, OSError for one that cannot be read.
        """
        if trace and losses:
            raise ValueError("a trace says what is lost: give losses or a trace, not both")
        self.conditions = conditions
        self.sent = self.lost = self.duplicated = self.overflowed = 0
        self._random = random.Random(seed)
        self._in_burst = False
        self._last_due = 0
        self._order = count()
        self._under_way: list[tuple[int, int, bytes]] = []
        self._trace: Iterator[float] | None = cycle(_read_numbers(trace)) if trace else None
        self._losses: Iterator[float] | None = cycle(_read_numbers(losses)) if losses else None

    def send(self, datagram: bytes, now: Nanos) -> None:
        """Hand one datagram to the network."""
        self.sent += 1
        delay_ms = self._delay_ms()
        if delay_ms is None:
            self.lost += 1
            return
        self._enqueue(datagram, now + round(delay_ms * NANOS_PER_MS))
        if self._random.random() < self.conditions.duplicates:
            self.duplicated += 1
            self._enqueue(datagram, now + round((delay_ms + 1) * NANOS_PER_MS))

    def carry(self, datagram: bytes, now: Nanos) -> None:
        """Hand over one that is never lost nor doubled: it arrives after the least delay."""
        self._enqueue(datagram, now + round(self.conditions.delay_ms * NANOS_PER_MS))

    def receive(self, now: Nanos) -> list[bytes]:
        """What has arrived by `now`, in order of arrival."""
        return [datagram for _, datagram in self.receive_with_times(now)]

    def receive_with_times(self, now: Nanos) -> list[tuple[Nanos, bytes]]:
        """The same with the moment of each arrival."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            due, _, datagram = heapq.heappop(self._under_way)
            arrived.append((Nanos(due), datagram))
        return arrived

    def next_delivery(self) -> Nanos | None:
        """When the next datagram arrives; None if none is under way."""
        return Nanos(self._under_way[0][0]) if self._under_way else None

    def _delay_ms(self) -> float | None:
        if self._trace is not None:
            delay_ms = next(self._trace)
            return None if delay_ms < 0 else delay_ms
        conditions = self.conditions
        lost = bool(next(self._losses)) if self._losses is not None else self._is_lost()
        jitter_ms = self._random.uniform(0, conditions.jitter_ms)  # drawn always: a seed's delays do not depend on loss
        return None if lost else conditions.delay_ms + jitter_ms

    def _is_lost(self) -> bool:
        """Gilbert's two states: a burst ends with 1 / mean_burst, and begins so often that `loss` comes out."""
        conditions = self.conditions
        if conditions.loss >= 1:
            return True
        if conditions.mean_burst == 1:
            return self._random.random() < conditions.loss
        rarest = conditions.loss / (1 - conditions.loss)  # good runs last one datagram at least
        ends = 1 / max(conditions.mean_burst, rarest)
        self._in_burst = self._random.random() < (1 - ends if self._in_burst else ends * rarest)
        return self._in_burst

    def _enqueue(self, datagram: bytes, due: int) -> None:
        if len(self._under_way) >= QUEUE_DATAGRAMS:
            self.overflowed += 1
            return
        if self.conditions.in_order or self._trace is not None:
            due = self._last_due = max(due, self._last_due)
        heapq.heappush(self._under_way, (due, next(self._order), datagram))


class BottleneckLink:
    """One direction of a link that carries so many bits a second, with a queue in front: a router's uplink. Pure.

    A datagram leaves when those before it have left and it has been sent itself; `header_bytes` are sent with each. One
    that finds the queue full is dropped, as a router's tail drop does. The capacity may change at any time; what waits
    is then sent at the new one.

        link = BottleneckLink(128_000, queue_bytes=16_000)
        link.send(datagram, now)
        link.set_capacity(16_000, now)
        for arrival, datagram in link.receive_with_times(later): ...
    """

    def __init__(
        self, capacity_bps: float, *, queue_bytes: int, delay_ms: float = 0.0, header_bytes: int = IP_UDP_BYTES
    ) -> None:
        """delay_ms: under way behind the queue. Raises ValueError for a capacity that is not above 0."""
        self.dropped = 0
        self._delay = round(delay_ms * NANOS_PER_MS)
        self._queue_bytes = queue_bytes
        self._header_bytes = header_bytes
        self._waiting: deque[bytes] = deque()
        self._left_bits = 0.0  # of the one being sent
        self._now = 0
        self._under_way: deque[tuple[Nanos, bytes]] = deque()
        self.set_capacity(capacity_bps, Nanos(0))

    @property
    def waiting_bytes(self) -> int:
        """In the queue with their headers, the one that is being sent included."""
        return sum(map(self._size, self._waiting))

    @property
    def wait_ms(self) -> float:
        """How long a datagram sent now would wait before its own first bit leaves."""
        behind = sum(map(self._size, list(self._waiting)[1:])) * 8
        return (self._left_bits + behind) / self._capacity_bps * 1000

    def set_capacity(self, capacity_bps: float, now: Nanos) -> None:
        """From `now` on."""
        if not capacity_bps > 0:
            raise ValueError("a link's capacity is above 0 bits a second")
        self._pass(now)
        self._capacity_bps = capacity_bps

    def send(self, datagram: bytes, now: Nanos) -> None:
        """Hand one datagram to the link."""
        self._pass(now)
        if self._waiting and self.waiting_bytes + self._size(datagram) > self._queue_bytes:
            self.dropped += 1
            return
        self._waiting.append(datagram)
        if len(self._waiting) == 1:
            self._left_bits = 8.0 * self._size(datagram)

    def receive_with_times(self, now: Nanos) -> list[tuple[Nanos, bytes]]:
        """What has arrived by `now`, with the moment of each arrival."""
        self._pass(now)
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(self._under_way.popleft())
        return arrived

    def _pass(self, now: Nanos) -> None:
        """Send what could be sent until `now`."""
        while self._waiting:
            sent_by = self._now + round(self._left_bits / self._capacity_bps * NANOS_PER_SECOND)
            if sent_by > now:
                self._left_bits -= (now - self._now) * self._capacity_bps / NANOS_PER_SECOND
                break
            self._under_way.append((Nanos(sent_by + self._delay), self._waiting.popleft()))
            self._now = sent_by
            self._left_bits = 8.0 * self._size(self._waiting[0]) if self._waiting else 0.0
        self._now = max(self._now, now)

    def _size(self, datagram: bytes) -> int:
        return len(datagram) + self._header_bytes


def _read_numbers(file: Path) -> list[float]:
    lines = file.read_text(encoding="utf-8").splitlines()
    numbers = [float(line) for line in lines if line.strip() and not line.startswith("#")]
    if not numbers:
        raise ValueError(f"{file} holds no numbers")
    return numbers
