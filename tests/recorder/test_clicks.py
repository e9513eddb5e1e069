"""Two members say clicks at known times; in decoded sound each lies where it was said, from first to last.

Clocks 200 ppm fast and slow, jitter, loss, a rejoin each. `RACCALL_SOAK_MINUTES=120` (make soak) makes the call longer.
"""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from calls import START, Sender, Sound, encode, over_network
from folders import ANNA, BEN, at, people, write_recording

from raccall.recorder import Source, Stop
from raccall.recorder.sound import RecordedSound
from raccall.recorder.timeline import LEAD_IN_SAMPLES
from raccall.units import NANOS_PER_MS

MINUTES = float(os.environ.get("RACCALL_SOAK_MINUTES", "3"))
LEAST_DELAY_MS = 40.0
CLICK_FRAMES = 24
"""Every 24 packets (480 ms) a click, in the middle of the packet's time."""
LOOK_SAMPLES = 2_400
ANNA_AGAIN, BEN_AGAIN = 0x1A, 0x1B


def click(seed: int) -> Sound:
    """10 ms that glide from 400 to 2800 Hz (1) or back (2): a codec keeps its shape, and it fits in one place only."""
    t = np.arange(480) / 480
    glide = np.hanning(480) * np.sin(2 * np.pi * (4 * t + 12 * t * t))
    return (0.5 * (glide if seed == 1 else glide[::-1])).astype(np.float32)


def clicking(seed: int, folder: Path) -> list[bytes]:
    """Packets with a click in every CLICK_FRAMES-th, from its 240th sample on."""
    sound = np.zeros((2 * CLICK_FRAMES * 960), np.float32)
    for begin in range(240, len(sound), CLICK_FRAMES * 960):
        sound[begin : begin + 480] = click(seed)
    once = encode(sound, folder)
    assert len(once) == 2 * CLICK_FRAMES
    return once[CLICK_FRAMES:]


def member(seed: int, ssrcs: tuple[int, int], drift_ppm: float, folder: Path) -> list[Sender]:
    """One connection, and two seconds after it another with numbers of its own."""
    packets = clicking(seed, folder)
    rounds = int(MINUTES * 60_000 / (20 * CLICK_FRAMES) / 2)
    first = Sender(ssrcs[0], packets * rounds, begins_ms=300.0 + 77 * seed, drift_ppm=drift_ppm)
    again_ms = first.begins_ms + rounds * CLICK_FRAMES * 20 + 2_000
    return [first, Sender(ssrcs[1], packets * rounds, again_ms, sequence=77, timestamp=123_456, drift_ppm=drift_ppm)]


def said(senders: list[Sender]) -> list[int]:
    """At which sample of the recording each click begins, if it lies where it was said."""
    sent = [moment for sender in senders for moment, _ in sender.sent()[::CLICK_FRAMES]]
    return [
        round((moment - START) * 48 / NANOS_PER_MS + LEAST_DELAY_MS * 48) + LEAD_IN_SAMPLES + 240 for moment in sent
    ]


def offset_samples(part: Sound, expected: Sound) -> float | None:
    """How much later than in the middle of `part` a click begins; None where it was lost."""
    fit = np.correlate(part, expected)
    best = int(fit.argmax())
    there = part[best : best + len(expected)]
    if fit[best] < 0.8 * np.linalg.norm(there) * np.linalg.norm(expected) or np.abs(there).max() < 0.1:
        return None
    return best - LOOK_SAMPLES


def test_a_click_lies_where_it_was_said_in_decoded_sound(tmp_path: Path) -> None:
    voices = {
        "anna": (1, member(1, (ANNA, ANNA_AGAIN), 200, tmp_path)),
        "ben": (2, member(2, (BEN, BEN_AGAIN), -200, tmp_path)),
    }
    owners = ((ANNA, "1"), (ANNA_AGAIN, "1"), (BEN, "2"), (BEN_AGAIN, "2"))
    sources = [Source(now=at(0), ssrc=ssrc, user_id=user_id) for ssrc, user_id in owners]
    packets = over_network(
        [sender for _, senders in voices.values() for sender in senders],
        seed=5,
        loss=0.05,
        jitter_ms=30,
        delay_ms=LEAST_DELAY_MS,
    )
    end = Stop(now=packets[-1].arrival, reason="test")
    folder = write_recording(tmp_path / "call", packets, [*people(*sources), end])
    waiting = {name: said(senders) for name, (_, senders) in voices.items()}
    count = {name: len(moments) for name, moments in waiting.items()}
    found: dict[str, list[float]] = {name: [] for name in voices}
    for before, block in pairwise(RecordedSound(folder).blocks()):
        for name, (seed, _) in voices.items():
            sound = np.concatenate([before.voices[name], block.voices[name]])[:, 0]
            while waiting[name] and waiting[name][0] + 480 + LOOK_SAMPLES < before.position + len(sound):
                begin = waiting[name].pop(0) - LOOK_SAMPLES - before.position
                offset = offset_samples(sound[max(begin, 0) : begin + 480 + 2 * LOOK_SAMPLES], click(seed))
                if offset is not None:
                    found[name].append((offset + min(begin, 0)) / 48)
    for name, offsets_ms in found.items():
        assert len(offsets_ms) > 0.85 * count[name], "a lost packet may cost its click, nothing else does"
        print(f"{name}: {len(offsets_ms)} of {count[name]} clicks, {min(offsets_ms):+.2f} to {max(offsets_ms):+.2f} ms")
        assert max(map(abs, offsets_ms)) < 2
