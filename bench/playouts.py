"""Other ways to play a trace: fixed buffers, aiortc's buffer, and the bound for all that cannot see the future.

Each gives the playout delay above the fastest packet and the part of sound that was missing. In doubt they are
favoured: any packet after a loss repairs the last lost one, pulls come exactly when they are needed, the bound may
stretch time without limit.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.links import LOST, PACKET_MS, Trace
from bench.report import CannotRun

PRICE_MS = 20.0
"""What 1 % of missing sound is worth: NetEQ's own trade."""


@dataclass(frozen=True, slots=True)
class Playout:
    mean_ms: float
    p95_ms: float
    concealed_pct: float

    @property
    def cost(self) -> float:
        """J: mean delay in ms + 20 × concealed in %."""
        return self.mean_ms + PRICE_MS * self.concealed_pct


def fixed(trace: Trace, buffer_ms: float) -> Playout:
    """Every packet is played so long after it was sent; lost ones from their successor's copy where that is in time."""
    deadline = buffer_ms + float(max(trace[0], 0.0))
    in_time = (trace != LOST) & (trace <= deadline)
    copied = np.append((trace[1:] != LOST) & (trace[1:] + PACKET_MS <= deadline), False)
    return Playout(deadline, deadline, 100 * float(np.mean(~in_time & ~copied)))


def aiortc(trace: Trace) -> Playout:
    """aiortc's JitterBuffer(16, 4) as its receiver drives it: a frame leaves at an arrival, or never.

    The delay is that of the release; whatever plays the frames adds its own.
    """
    module = _aiortc_module()
    buffer = module.JitterBuffer(capacity=16, prefetch=4)
    arrivals = sorted((number * PACKET_MS + delay, number) for number, delay in enumerate(trace) if delay != LOST)
    released: dict[int, float] = {}
    for now_ms, number in arrivals:
        _, frame = buffer.add(_RtpPacket(number & 0xFFFF, number, b""))
        if frame is not None:
            released.setdefault(frame.timestamp, now_ms - frame.timestamp * PACKET_MS)
    delays = np.array(list(released.values()))
    return Playout(float(delays.mean()), float(np.percentile(delays, 95)), 100 * (1 - len(released) / len(trace)))


@dataclass(slots=True)
class _RtpPacket:
    """What the buffer reads of one."""

    sequence_number: int
    timestamp: int
    _data: bytes


def _aiortc_module() -> Any:
    """The unmodified file of the installed package, without the package around it: that would load PyAV and OpenSSL."""
    spec = importlib.util.find_spec("aiortc")
    if spec is None or spec.origin is None:
        raise CannotRun("aiortc is not installed: pip install --no-deps aiortc==1.16.0")
    folder = Path(spec.origin).parent
    package, rtp = ModuleType("aiortc_alone"), ModuleType("aiortc_alone.rtp")
    package.__path__ = [str(folder)]
    rtp.RtpPacket = _RtpPacket  # type: ignore[attr-defined]
    sys.modules |= {"aiortc_alone": package, "aiortc_alone.rtp": rtp}
    return importlib.import_module("aiortc_alone.jitterbuffer")


STEP_MS = 4
JUMP = PACKET_MS // STEP_MS
LEVELS = 160
"""Delays from 0 to 636 ms; a multiple of JUMP."""


def clairvoyant(traces: Sequence[Trace]) -> list[Playout]:
    """For each trace the cheapest schedule of delays, by dynamic programming over a grid of 4 ms. All are equally long.

    From packet to packet the delay changes by at most one step (20 % of stretching); a jump up by 20 ms is one made-up
    frame. A packet that is late or lost is a made-up frame too, unless its successor's copy is in time. A bound, not a
    goal: it knows the future, and ignores frames and what is being said.
    """
    delays = STEP_MS * np.arange(LEVELS, dtype=float)
    price = PRICE_MS * 100  # of one made-up frame, in ms of delay of one packet: both are means over all packets
    links, packets = np.stack(traces), len(traces[0])
    after = np.column_stack((links[:, 1:], np.full(len(links), LOST)))
    total = np.zeros((len(links), LEVELS))
    wall = np.full((len(links), 1), np.inf)
    came_from = np.empty((packets, *total.shape), np.int16)
    made_up = np.empty((packets, *total.shape), np.int16)
    for k in range(packets):
        delay, next_delay = links[:, k, None], after[:, k, None]
        jumped, source = _with_jumps(total, price)
        choices = np.stack((jumped, np.hstack((jumped[:, 1:], wall)), np.hstack((wall, jumped[:, :-1]))))
        neighbour = np.arange(LEVELS) + np.array((0, 1, -1))[choices.argmin(axis=0)]
        in_time = (delay != LOST) & (delay <= delays)
        copied = (next_delay != LOST) & (next_delay + PACKET_MS <= delays)
        missing = ~(in_time | copied)
        came_from[k] = np.take_along_axis(source, neighbour, axis=1)
        made_up[k] = (neighbour - came_from[k]) // JUMP + missing
        total = choices.min(axis=0) + price * missing + delays
    return [
        _walk_back(int(best), came_from[:, i], made_up[:, i], delays) for i, best in enumerate(total.argmin(axis=1))
    ]


def _with_jumps(cost: Trace, price: float) -> tuple[Trace, NDArray[np.int64]]:
    """Cheapest way to every level with any number of jumps up before it, and the level it comes from."""
    jumps = np.arange(LEVELS // JUMP)[:, None]
    rows = cost.reshape(len(cost), -1, JUMP) - price * jumps
    lowest = np.minimum.accumulate(rows, axis=1)
    row = np.maximum.accumulate(np.where(rows == lowest, jumps, 0), axis=1)
    return (lowest + price * jumps).reshape(cost.shape), (row * JUMP + np.arange(JUMP)).reshape(cost.shape)


def _walk_back(level: int, came_from: NDArray[np.int16], made_up: NDArray[np.int16], delays: Trace) -> Playout:
    chosen, missing = np.empty(len(came_from)), 0
    for k in range(len(came_from) - 1, -1, -1):
        chosen[k] = delays[level]
        missing += int(made_up[k, level])
        level = int(came_from[k, level])
    return Playout(float(chosen.mean()), float(np.percentile(chosen, 95)), 100 * missing / len(came_from))
