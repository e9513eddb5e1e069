"""CPU of echo cancellation, noise suppression and gain control together, per 10 ms, against the cheapest such peer.

Peers: livekit's and pywebrtc-audio's processing, each with all three on, on the same echo and voice, in turn. The call
from Python is part of it for all: two of ours, two of livekit's, one of pywebrtc-audio's. Time is the thread's.
"""

from statistics import median

import numpy as np

from bench.processors import LiveKit, Make, Ours, PyWebrtc, needs, run
from bench.report import CannotRun, Report, Row, note
from bench.sounds import VOICES, cycle, pink, voice
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.processing import NoiseSuppression, Processing

CLAIM = "Echo, noise and gain together cost at most 1.2 times the CPU of the cheapest peer that does the same"
LIMIT = 1.2
SECONDS, REPEATS = 20, 7
QUICK_SECONDS, QUICK_REPEATS = 8, 3
OURS: dict[str, Make] = {
    "ours": lambda: Ours(Processing()),
    "neural": lambda: Ours(Processing(noise=NoiseSuppression.NEURAL)),
    "echo only": lambda: Ours(Processing(noise=NoiseSuppression.OFF, gain_control=False)),
}
PEERS: dict[str, Make] = {
    "livekit": lambda: LiveKit(
        echo_cancellation=True, noise_suppression=True, high_pass_filter=True, auto_gain_control=True
    ),
    "pywebrtc": lambda: PyWebrtc(echo_cancellation=True, noise_suppression=True, ns_level=2, auto_gain_control=True),
}


def measure(quick: bool) -> Report:
    seconds, repeats = (QUICK_SECONDS, QUICK_REPEATS) if quick else (SECONDS, REPEATS)
    name = "echo, noise, gain (us per 10 ms)"
    try:
        makes = {name: needs(make) for name, make in (OURS | PEERS).items()}
    except CannotRun as problem:
        row = Row.unmeasured(name, "peer", problem, LIMIT)
        return Report(claim=CLAIM, unit="us", rows=[row])
    length = seconds * SAMPLE_RATE_HZ
    voices = list(VOICES)
    far, near = cycle(voice(voices[0]), length), cycle(voice(voices[1]), length)
    mic = 0.3 * np.roll(far, 4_000) + near * (np.arange(length) > length // 2) + 0.01 * pink(length)
    costs: dict[str, list[float]] = {name: [] for name in makes}
    for repeat in range(1, repeats + 1):
        note(f"[{repeat}/{repeats}] {seconds} s each")
        for system, make in makes.items():
            costs[system].append(run(make(), mic, far)[1])
    cheapest = min(PEERS, key=lambda peer: median(costs[peer]))
    beside = {system: median(values) for system, values in costs.items() if system not in ("ours", cheapest)}
    row = Row.of_repeats(
        name=f"{name}, {cheapest}",
        value=costs["ours"],
        against=costs[cheapest],
        kind="peer",
        limit=LIMIT,
        beside=beside,
    )
    return Report(claim=CLAIM, unit="us", rows=[row])
