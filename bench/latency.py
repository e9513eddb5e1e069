"""Click to click: how long after one client's microphone hears a click the other client's loudspeaker gives it.

Two Engines, a relay, loopback. Each client's sound card is a thread that does nothing else: every 10 ms it calls the
native callbacks that miniaudio would call, hands over the last 10 ms of microphone and takes the next 10 ms to play.
Nothing processes the sound. A click counts from the moment it sounds to the moment it is played: waiting for the
period's end, for the packet's end, encoder, network, jitter buffer, and what is kept ahead of the card are in it; a
card's own buffers and converters are not. Clicks come at random moments, so every phase of all the periods occurs.

By reckoning, the same for every sample of a packet, because the one that waits least to be sent waits longest to be
played:

    20 ms    until the packet is full
    1        the engine's work and the relay's
    6.5      look-ahead of Opus
    10-12.5  jitter buffer: its least target is 10, and what is up to 2.5 above is left alone
    10       kept ahead of the card; 20 more at first, until 3 s and then 6 have shown that it never needs that

That is 48 to 50 ms in a quiet moment, 58 to 60 while the machine is busy. Before, it was 70 to 82, and 141 on a busy
machine. What was won: the card's callbacks wake the engine, which used to look by a timer of its own (5 ms at the
microphone, 5 at the loudspeaker); a card that never needed the frames kept ahead of it does without them (20); a frame
is due when the card made room for it, so that looking late is no longer taken for jitter and waited for (up to 60).
Left: a least target of 5 ms would win 2.5, and make up sound whenever a thread is some ms late.

The same is shown, without a limit, behind the emulator's presets on both ways of one client.
"""

import asyncio
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.report import Report, Row, note
from raccall._native import Relay
from raccall.testing.bad_network import BadNetwork
from raccall.testing.network import BAD_WIFI, GOOD_DSL, LAN, NetworkConditions
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Engine, Sound

CLAIM = "A click is heard by the other client at most 55 ms later, half of the time, over loopback with cards of 10 ms"
MEDIAN_MS, P95_MS = 55.0, 75.0
PERIOD = SAMPLE_RATE_HZ // 100
PERIOD_S = 0.01
SETTLE_S = 4.0
SECONDS, QUICK_SECONDS = 60, 14
PRESETS = {"LAN": LAN, "GOOD_DSL": GOOD_DSL, "BAD_WIFI": BAD_WIFI}
CLICK_EVERY_S = (0.35, 0.45)
"""At random in between; further apart than a click can be late."""
CLICK = (0.9 * np.sin(2 * np.pi * 1000 * np.arange(240) / SAMPLE_RATE_HZ)).astype(np.float32)
"""5 ms: long enough for the encoder to keep it."""
HEARD = 0.25
"""Of full scale: reached within the first millisecond of a click."""
ROOM_NOISE = 0.001
MODE = "aead_aes256_gcm_rtpsize"
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)


class Card:
    """A sound card for one Engine: clicks into its microphone, and when the other's clicks come out."""

    def __init__(self, seed: int) -> None:
        self.sound = Sound.device()
        self.clicked_s: list[float] = []
        self.heard_s: list[float] = []
        self._random = np.random.default_rng(seed)
        self._capture = CALLBACK(self.sound.capture_callback_address)
        self._playback = CALLBACK(self.sound.playback_callback_address)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start, period = time.monotonic(), 0
        microphone = self._noise(PERIOD)
        click_at = start + self._random.uniform(*CLICK_EVERY_S)
        out = np.zeros(PERIOD, np.float32)
        while not self._stop.is_set():
            now = start + period * PERIOD_S
            time.sleep(max(now - time.monotonic(), 0))
            self._capture(None, None, microphone[:PERIOD].ctypes.data, PERIOD)
            self._playback(None, out.ctypes.data, None, PERIOD)
            self._listen(out, now)
            # What the microphone hears until the next period begins.
            microphone = np.concatenate([microphone[PERIOD:], self._noise(PERIOD)])[: 2 * PERIOD]
            if click_at < now + PERIOD_S:
                at = max(round((click_at - now) * SAMPLE_RATE_HZ), 0)
                microphone = np.concatenate([microphone[:PERIOD], self._noise(PERIOD)])
                microphone[at : at + len(CLICK)] += CLICK
                self.clicked_s.append(now + at / SAMPLE_RATE_HZ)
                click_at += self._random.uniform(*CLICK_EVERY_S)
            period += 1

    def _listen(self, out: np.ndarray, now: float) -> None:
        loud = np.flatnonzero(np.abs(out) > HEARD)
        if len(loud) == 0:
            return
        at = now + loud[0] / SAMPLE_RATE_HZ
        if not self.heard_s or at - self.heard_s[-1] > CLICK_EVERY_S[0] / 2:
            self.heard_s.append(at)

    def _noise(self, samples: int) -> np.ndarray:
        return (ROOM_NOISE * self._random.standard_normal(samples)).astype(np.float32)


def measure(quick: bool) -> Report:
    seconds = QUICK_SECONDS if quick else SECONDS
    note("over loopback")
    delays_ms = click_delays_ms(seconds, None)
    for name, conditions in {} if quick else PRESETS.items():
        shown = click_delays_ms(seconds // 2, conditions)
        note(f"{name}: p50 {np.percentile(shown, 50):.0f} ms, p95 {np.percentile(shown, 95):.0f} ms")
    problem = "" if len(delays_ms) > seconds else "too few clicks were heard"
    budgets = {"p50": (50, MEDIAN_MS), "p95": (95, P95_MS)}
    rows = [
        Row(
            name=f"click to click, {name}",
            value=float(np.percentile(delays_ms, percentile)) if delays_ms else None,
            against=budget_ms,
            kind="budget",
            limit=1.0,
            problem=problem,
        )
        for name, (percentile, budget_ms) in budgets.items()
    ]
    return Report(claim=CLAIM, unit="ms", rows=rows)


def click_delays_ms(seconds: float, conditions: NetworkConditions | None) -> list[float]:
    """Of all clicks after the first seconds, both ways; a click that never came out is left out."""
    relay = Relay([("127.0.0.1", 0)])
    cards, engines = [Card(1), Card(2)], []
    try:
        with media_address(relay.addresses[0], conditions) as address:
            for member, card in enumerate(cards, start=1):
                engine = Engine(address if member == 1 else relay.addresses[0])
                engines.append(engine)
                key = os.urandom(32)
                relay.add_session(member, member, MODE, key)
                relay.set_address(member, engine.discover(member), proven=True)
                engine.start(ssrc=member, mode=MODE, key=key, sound=card.sound)
            for member, card in enumerate(cards, start=1):
                relay.set_route(member, [1, 2])
                card.start()
            time.sleep(SETTLE_S + seconds)
            for card in cards:
                card.stop()
    finally:
        for engine in engines:
            engine.close()
        relay.stop()
    return between(cards[0], cards[1]) + between(cards[1], cards[0])


def between(speaker: Card, hearer: Card) -> list[float]:
    """Each click with the first that was heard before the next one, in ms."""
    first_s = speaker.clicked_s[0] + SETTLE_S
    delays = []
    for clicked_s in speaker.clicked_s:
        heard = [at for at in hearer.heard_s if 0 < at - clicked_s < CLICK_EVERY_S[0]]
        if heard and clicked_s > first_s:
            delays.append(1000 * (heard[0] - clicked_s))
    return delays


@contextmanager
def media_address(relay: tuple[str, int], conditions: NetworkConditions | None) -> Iterator[tuple[str, int]]:
    """Where a client sends so that its datagrams go through the emulated network, which has a thread of its own."""
    if conditions is None:
        yield relay
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    network = asyncio.run_coroutine_threadsafe(_open(relay, conditions), loop).result()
    try:
        yield network.address
    finally:
        asyncio.run_coroutine_threadsafe(network.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _open(relay: tuple[str, int], conditions: NetworkConditions) -> BadNetwork:
    return await BadNetwork(relay, conditions, seed=1).__aenter__()
