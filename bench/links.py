"""Seeded imitations of access networks: one-way delay of each 20 ms packet above the fastest in ms, negative if lost.

A few simple processes added together look much like real links:

- jitter: every packet waits a gamma-distributed time;
- queue: an AR(1) random walk, a congested link whose queue breathes slowly (bufferbloat);
- backlog: a sudden stall that drains like a real queue: the next packets arrive in one burst, in order;
- loss: Gilbert-Elliott, a good state without loss and a bad one in which everything is lost.

Packets never overtake each other. The order of the random draws is part of the format: the same seed gives the traces
that NetEQ was measured on. They are models, shaped by what real Wi-Fi showed, not fitted; real tails are heavier.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PACKETS = 30_000
PACKET_MS = 20
LOST = -1.0

Trace = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Link:
    name: str
    jitter: tuple[float, float]
    """Gamma: shape, and scale in ms."""
    spikes_per_s: float = 0
    spike_ms: tuple[float, float] = (50, 200)
    outages_per_s: float = 0
    outage_ms: tuple[float, float] = (150, 400)
    queue: tuple[float, float, float] | None = None
    """Memory per packet, step in ms, largest queue in ms."""
    loss: tuple[float, float] = (0, 1)
    """Probabilities per packet: good to bad, bad to good."""


LINKS = (
    Link("lan", jitter=(2, 0.5)),
    Link("dsl_good", jitter=(2, 2), loss=(0.001, 0.8), spikes_per_s=1 / 30, spike_ms=(20, 60)),
    Link("wifi_spiky", jitter=(1.5, 4), loss=(0.002, 0.4), spikes_per_s=1 / 4, spike_ms=(40, 180)),
    Link(
        "wifi_bad",
        jitter=(1.5, 8),
        loss=(0.008, 0.35),
        spikes_per_s=1 / 2,
        spike_ms=(40, 300),
        outages_per_s=1 / 60,
        outage_ms=(500, 1100),
    ),
    Link(
        "lte_mobile",
        jitter=(4, 3.5),
        loss=(0.003, 0.5),
        spikes_per_s=1 / 8,
        spike_ms=(30, 120),
        outages_per_s=1 / 30,
        outage_ms=(150, 400),
    ),
    Link("bufferbloat", jitter=(2, 3), loss=(0.003, 0.5), queue=(0.9995, 6, 400)),
    Link("loss5_burst", jitter=(2, 2), loss=(0.0175, 0.33)),
    Link("loss20_burst", jitter=(2, 2), loss=(0.0833, 0.33)),
)


def make_trace(link: Link, seed: int) -> Trace:
    """Ten minutes of a link, rounded to 0.01 ms."""
    rng = np.random.default_rng(seed)
    delay = rng.gamma(*link.jitter, PACKETS)
    if link.queue:
        delay += _queue(rng, *link.queue)
    stall = np.zeros(PACKETS)
    if link.spikes_per_s:
        stall = _stalls(rng, link.spikes_per_s, link.spike_ms)
    if link.outages_per_s:
        stall = np.maximum(stall, _stalls(rng, link.outages_per_s, link.outage_ms))
    delay = _in_order(delay + _drained(stall))
    delay -= delay.min()
    delay[_lost(rng, *link.loss)] = LOST
    return np.round(delay, 2)


def _queue(rng: np.random.Generator, memory: float, step_ms: float, largest_ms: float) -> Trace:
    delay = np.zeros(PACKETS)
    level = 0.0
    for i in range(PACKETS):
        level = min(max(memory * level + rng.normal(0, step_ms), 0), largest_ms)
        delay[i] = level
    return delay


def _stalls(rng: np.random.Generator, per_second: float, length_ms: tuple[float, float]) -> Trace:
    begins = rng.random(PACKETS) < per_second * PACKET_MS / 1000
    stall = np.zeros(PACKETS)
    stall[begins] = rng.uniform(*length_ms, begins.sum())
    return stall


def _drained(stall: Trace) -> Trace:
    """A stalled packet waits the whole stall, the next one 20 ms less: they all arrive together."""
    delay = np.zeros(PACKETS)
    backlog = 0.0
    for i in range(PACKETS):
        backlog = max(backlog - PACKET_MS, 0, stall[i])
        delay[i] = backlog
    return delay


def _lost(rng: np.random.Generator, good_to_bad: float, bad_to_good: float) -> NDArray[np.bool_]:
    change = rng.random(PACKETS)
    rng.random(PACKETS)  # whether a packet in the bad state is lost: all are, but the draw belongs to the format
    lost = np.zeros(PACKETS, bool)
    bad = False
    for i in range(PACKETS):
        bad = bool(change[i] >= bad_to_good) if bad else bool(change[i] < good_to_bad)
        lost[i] = bad
    return lost


def _in_order(delay: Trace) -> Trace:
    sent = PACKET_MS * np.arange(PACKETS)
    return np.maximum.accumulate(delay + sent) - sent
