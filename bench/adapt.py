"""A sender behind a link whose capacity falls from 128 to 16 kb/s and comes back: how long packets wait, what is sent.

All in virtual time: a SendChain with real speech, a bottleneck with a queue of 16 000 bytes (8 s at 16 kb/s: a home
router's), 20 ms to the relay's core and 20 ms back, reports as the Engine sends them. Capacity and bitrates count
everything on the wire: Opus, RTP, seal, reports, and 28 bytes of IPv4 and UDP a datagram. A sender that keeps 32 kb/s
and packets of 20 ms goes over the same link for comparison.

The fall comes twice, at once and over ten seconds, as when one walks away from an access point. At once no sender of
32 kb/s can stay below 150 ms, and the row that asks for it does not hold: two packets and a report need 190 ms of a
link of 16 kb/s. What those wait that are sent before any word of the fall could be back (the first packet's way, and
40 ms) is told as the least that is possible. One or two more are sent until the relay's alarm is back: it waits for 25
ms, for one that waited for less than a packet would take each lost one for a slower link. Beside it stands what 19 of
20 packets wait, and what any waits from three seconds after the fall.

Alarms are in vain where links stall and do not become slower. There, on links of bench/links.py, the part of sound that
goes out in packets of 20 ms, as on a good link, is told beside that with a relay that raises no alarm.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.client import talkers_voices
from bench.links import LINKS, LOST, PACKET_MS, Link, Trace, make_trace
from bench.report import Report, Row
from raccall._native import RelayCore
from raccall.testing.network import IP_UDP_BYTES, BottleneckLink
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, NANOS_PER_SECOND, Nanos
from raccall.voice.chains import ReceiveChain, SendChain

CLAIM = (
    "A sender follows a link from 128 to 16 kb/s and back: in 3 s down, in 15 s up, packets waiting less than 150 ms"
)
HIGH_BPS, LOW_BPS = 128_000, 16_000
FALL_S, RISE_S, END_S = 20, 60, 90
SLOW_FALL_S = 10
FIXED_BPS = 32_000
BITRATES_BPS = (32_000, 64_000)
QUICK_BITRATES_BPS = (32_000,)
QUEUE_BYTES = 16_000
WAY_MS = 20
MOST_WAIT_MS = 150.0
MOST_OFF_PCT = 20.0
DOWN_S, UP_S = 3.0, 15.0
MOST_OF_LEAST = 1.75
"""Longest wait, of what no sender can help."""
STALLING = ("wifi_spiky", "wifi_bad", "lte_mobile")
STALLING_SEED = 11
LEAST_SHORT = 0.95
FULL = 0.95
"""Of what is sent of the same speech where nothing fell: back up."""
AVERAGE_S = 2.0
"""Bitrates are over so long: a few of the longest packets, two reports."""

MODE = "aead_aes256_gcm_rtpsize"
KEYS = {1: b"\1" * 32, 2: b"\2" * 32}
SENDER, LISTENER = ("192.0.2.1", 40001), ("192.0.2.2", 40002)
STEP = 5 * NANOS_PER_MS
START = 1_000 * NANOS_PER_SECOND

Capacity = Callable[[float], float]
"""Bits a second that the link carries, so many seconds after the beginning."""


@dataclass
class Sent:
    """What happened to one sender."""

    at_s: list[float] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    waited_ms: list[float] = field(default_factory=list)
    dropped: int = 0
    held_frames: int = 0
    short_frames: int = 0
    """Sent in packets of 20 ms."""

    def bps(self, from_s: float, to_s: float) -> float:
        inside = [bits for at_s, bits in zip(self.at_s, self.bits, strict=True) if from_s <= at_s < to_s]
        return sum(inside) / (to_s - from_s)

    def bits_at(self, second: float) -> int:
        """Of the first datagram since then."""
        return next(bits for at_s, bits in zip(self.at_s, self.bits, strict=True) if at_s >= second)

    def waits_ms(self, from_s: float, to_s: float) -> list[float]:
        return [ms for at_s, ms in zip(self.at_s, self.waited_ms, strict=True) if from_s <= at_s < to_s]


def measure(quick: bool) -> Report:
    rows: list[Row] = []
    for bitrate_bps in QUICK_BITRATES_BPS if quick else BITRATES_BPS:
        at_once, slowly, free = [
            run(capacity, bitrate_bps, adapting=True) for capacity in (fall_at_once, fall_slowly, never_fall)
        ]
        fixed = run(fall_at_once, FIXED_BPS, adapting=False)
        rows += rows_of(f"{bitrate_bps // 1000} kb/s", at_once, slowly, free, fixed)
    rows += [short_of(link) for link in LINKS if link.name in STALLING]
    return Report(claim=CLAIM, unit="see names", rows=rows)


def fall_at_once(seconds: float) -> float:
    return LOW_BPS if FALL_S <= seconds < RISE_S else HIGH_BPS


def fall_slowly(seconds: float) -> float:
    part = min(max((seconds - FALL_S) / SLOW_FALL_S, 0.0), 1.0)
    return HIGH_BPS + part * (LOW_BPS - HIGH_BPS) if seconds < RISE_S else HIGH_BPS


def never_fall(_seconds: float) -> float:
    return HIGH_BPS


def short_of(link: Link) -> Row:
    """How little a link that stalls, and does not become slower, is taken for one that does."""
    trace = make_trace(link, STALLING_SEED)
    alarmed, never_alarmed = [
        run(never_fall, FIXED_BPS, adapting=True, uplink=TracedLink(trace), alarms=alarms) for alarms in (True, False)
    ]
    short_pct, usual_pct = [100 * sent.short_frames / (END_S * 50) for sent in (alarmed, never_alarmed)]
    name = f"{link.name}: sent in packets of 20 ms (%)"
    return Row(name=name, value=short_pct, against=usual_pct, kind="limit", limit=LEAST_SHORT, better="higher")


def rows_of(name: str, at_once: Sent, slowly: Sent, free: Sent, fixed: Sent) -> list[Row]:
    low = at_once.bps(FALL_S + DOWN_S, FALL_S + DOWN_S + AVERAGE_S)
    off_pct = 100 * abs(low / LOW_BPS - 1)
    long_off_pct = 100 * abs(at_once.bps(FALL_S + DOWN_S, RISE_S) / LOW_BPS - 1)
    up_again, never_down = (sent.bps(RISE_S + UP_S, END_S) for sent in (at_once, free))
    budget = {"kind": "budget", "limit": 1.0}
    waits = {
        "longest wait, fall at once (ms)": max(at_once.waits_ms(0, END_S)),
        "p95 wait, fall at once (ms)": float(np.percentile(at_once.waits_ms(0, END_S), 95)),
        "longest wait from 3 s after it (ms)": max(at_once.waits_ms(FALL_S + DOWN_S, END_S)),
        "longest wait, fall over 10 s (ms)": max(slowly.waits_ms(0, END_S)),
    }
    rows = [
        Row(name=f"{name}: {what}", value=wait_ms, against=MOST_WAIT_MS, **budget) for what, wait_ms in waits.items()
    ]
    for what, pct in {
        "off capacity 3 s after the fall (%)": off_pct,
        "off it until the rise (%)": long_off_pct,
    }.items():
        rows.append(Row(name=f"{name}: {what}", value=pct, against=MOST_OFF_PCT, **budget))
    rows.append(
        Row(
            name=f"{name}: sent 15 s after the rise, beside a link that never fell (kb/s)",
            value=up_again / 1000,
            against=never_down / 1000,
            kind="limit",
            limit=FULL,
            better="higher",
        )
    )
    first_missed_s = FALL_S + 2 * WAY_MS / 1000 + free.bits_at(FALL_S) / HIGH_BPS
    rows.append(
        Row(
            name=f"{name}: longest wait, fall at once, beside the least that is possible (ms)",
            value=max(at_once.waits_ms(0, END_S)),
            against=max(at_once.waits_ms(0, first_missed_s)),
            kind="limit",
            limit=MOST_OF_LEAST,
        )
    )
    rows.append(
        Row(
            name=f"{name}: longest wait, fall at once, beside fixed 32 kb/s (ms)",
            value=max(at_once.waits_ms(0, END_S)),
            against=max(fixed.waits_ms(0, END_S)),
            kind="peer",
            limit=1.0,
        )
    )
    return rows


class TracedLink:
    """A link of bench/links.py: each packet is as late as the trace says for the moment it is sent. In order."""

    wait_ms = 0.0
    dropped = 0

    def __init__(self, delays_ms: Trace) -> None:
        self._delays_ms = delays_ms
        self._under_way: deque[tuple[Nanos, bytes]] = deque()

    def set_capacity(self, _capacity_bps: float, _now: Nanos) -> None: ...

    def send(self, datagram: bytes, now: Nanos) -> None:
        delay_ms = self._delays_ms[(now - START) // (PACKET_MS * NANOS_PER_MS)]
        if delay_ms != LOST:
            arrival = now + round((WAY_MS + delay_ms) * NANOS_PER_MS)
            before = self._under_way[-1][0] if self._under_way else 0
            self._under_way.append((Nanos(max(arrival, before)), datagram))

    def receive_with_times(self, now: Nanos) -> list[tuple[Nanos, bytes]]:
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(self._under_way.popleft())
        return arrived


def run(
    capacity: Capacity,
    bitrate_bps: int,
    *,
    adapting: bool,
    uplink: BottleneckLink | TracedLink | None = None,
    alarms: bool = True,
) -> Sent:
    """One call of one talker and one listener, whose own link is good."""
    voice = np.tile(talkers_voices()[0], 20)
    relay = RelayCore()
    for number, address in ((1, SENDER), (2, LISTENER)):
        relay.add_session(number, number, MODE, KEYS[number])
        relay.forward(START, number.to_bytes(4, "big").join([b"\0\1\0\x46", bytes(66)]), address)
        relay.set_address(number, address, proven=True)
    relay.set_route(1, [2])
    send = SendChain(1, MODE, KEYS[1], bitrate_bps=bitrate_bps, complexity=5)
    own, listener, listening = (ReceiveChain(MODE, KEYS[1]), ReceiveChain(MODE, KEYS[2]), SendChain(2, MODE, KEYS[2]))
    listener.set_decoding(False)
    uplink = uplink or BottleneckLink(HIGH_BPS, queue_bytes=QUEUE_BYTES, delay_ms=WAY_MS)
    back: list[tuple[Nanos, bytes]] = []
    sent = Sent()

    def transmit(datagram: bytes | None, now: Nanos) -> None:
        if datagram is None:
            return
        sent.at_s.append((now - START) / NANOS_PER_SECOND)
        sent.bits.append(8 * (len(datagram) + IP_UDP_BYTES))
        sent.waited_ms.append(uplink.wait_ms)
        uplink.send(datagram, now)

    def deliver(datagrams: list[tuple[bytes, tuple[str, int]]], arrival: Nanos) -> None:
        for datagram, address in datagrams:
            if address == LISTENER:
                listener.push(datagram, arrival)
            else:
                back.append((Nanos(arrival + WAY_MS * NANOS_PER_MS), datagram))

    for step in range(END_S * NANOS_PER_SECOND // STEP):
        now = Nanos(START + step * STEP)
        elapsed_ms = step * STEP // NANOS_PER_MS
        uplink.set_capacity(capacity(elapsed_ms / 1000), now)
        for arrival, datagram in uplink.receive_with_times(now):
            deliver(relay.forward(arrival, datagram, SENDER), arrival)
        if alarms:
            deliver(relay.alarm(now), now)
        while back and back[0][0] <= now:
            arrival, datagram = back.pop(0)
            own.push(datagram, arrival)
            for rtcp in own.take_rtcp():
                if adapting:
                    send.take_rtcp(rtcp, arrival)
        if elapsed_ms % 20 == 0:
            frame = elapsed_ms // 20
            transmit(send.push(voice[frame * FRAME_SAMPLES :][:FRAME_SAMPLES], now), now)
            sent.short_frames += send.frame_ms == PACKET_MS
        if elapsed_ms % 1000 == 0:
            transmit(send.report_datagram(own.report_blocks(), now), now)
            report = listening.report_datagram(listener.report_blocks(), now)
            deliver(relay.forward(now, report or b"", LISTENER), now)
    sent.dropped, sent.held_frames = uplink.dropped, send.held_frames
    return sent
