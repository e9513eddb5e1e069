"""What a microphone and a loudspeaker can do wrong: the voice goes on, and the echo goes away again."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.testing.dialogue import OWN_SPEECH, read_samples
from raccall.units import Nanos
from raccall.voice.processing import EchoReference, NoiseSuppression, Processing, Processor

Samples = NDArray[np.float32]

RATE_HZ, FRAME = 48_000, 480
DELAY = 3_840
"""Of the echo, in samples."""
ECHO_ONLY = Processing(noise=NoiseSuppression.OFF, gain_control=False)


def speech(name: str, seconds: int) -> Samples:
    samples = read_samples(OWN_SPEECH / f"{name}.flac").astype(np.float64)
    return (0.2 * np.resize(samples / np.abs(samples).max(), seconds * RATE_HZ)).astype(np.float32)


def echo_of(far: Samples, delay: int = DELAY) -> Samples:
    return np.concatenate((np.zeros(delay, np.float32), 0.5 * far))[: len(far)].astype(np.float32)


def run(processor: Processor, near: Samples, far: Samples) -> Samples:
    out = []
    for start in range(0, len(near), FRAME):
        processor.reverse(far[start : start + FRAME])
        out.append(processor.capture(near[start : start + FRAME])[:, 0])
    return np.concatenate(out)


def level_db(samples: Samples) -> float:
    return float(10 * np.log10((samples.astype(np.float64) ** 2).mean() + 1e-12))


def last(samples: Samples, seconds: int) -> Samples:
    return samples[-seconds * RATE_HZ :]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30, 1.0])
def test_a_second_of_nonsense_is_forgotten(wrong: float) -> None:
    """From a driver that divides by zero, or a microphone that clips: nobody hears it louder than full scale."""
    far = speech("anna_1", 9)
    near = echo_of(far)
    near[3 * RATE_HZ : 4 * RATE_HZ : 3] = wrong
    out = run(Processor(ECHO_ONLY), near, far)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1
    assert level_db(last(out, 3)) < level_db(last(near, 3)) - 25


@pytest.mark.parametrize("processing", [Processing(), ECHO_ONLY, Processing(noise=NoiseSuppression.NEURAL)])
def test_a_far_end_of_nonsense_leaves_the_voice(processing: Processing) -> None:
    near = speech("ben_1", 6)
    alone = run(Processor(processing), near, np.zeros_like(near))
    disturbed = run(Processor(processing), near, np.full_like(near, np.nan))
    assert (disturbed == alone).all(), "what is not finite is silence"


def test_a_silent_far_end_leaves_the_voice_as_it_is() -> None:
    near = speech("ben_1", 6)
    out = run(Processor(ECHO_ONLY), near, np.zeros_like(near))
    assert level_db(last(out, 4)) == pytest.approx(level_db(last(near, 4)), abs=1)


def test_a_far_end_that_comes_after_its_echo_takes_no_voice_away() -> None:
    """Nothing can be cancelled then: the echo is heard, and so is the voice, while nobody else speaks."""
    far, near = speech("anna_1", 12), speech("ben_1", 12)
    far[6 * RATE_HZ :] = 0
    near[: 6 * RATE_HZ] = 0
    late = echo_of(far, 9_600) * 2
    out = run(Processor(ECHO_ONLY), near + echo_of(far, 0), late)
    assert np.isfinite(out).all()
    assert level_db(last(out, 4)) == pytest.approx(level_db(last(near, 4)), abs=2)


def test_with_headphones_a_voice_is_whole_after_ten_seconds_of_both_talking() -> None:
    """There is no echo to find. The canceller takes a while to believe it; nothing else may wait for one."""
    far, near = speech("anna_1", 13), speech("ben_1", 13)
    out = run(Processor(ECHO_ONLY), near, far)
    assert level_db(last(out, 3)) == pytest.approx(level_db(last(near, 3)), abs=2)


@pytest.mark.parametrize("ppm", [100, -100, 500])
def test_two_clocks_cost_next_to_nothing_once_their_drift_is_known(ppm: int) -> None:
    assert reduction_db(ppm) > reduction_db(0) - 6


def reduction_db(ppm: int) -> float:
    """Of an echo, by a loudspeaker whose clock is that much faster than the microphone's: the last 4 s of 24."""
    seconds, ratio = 24, 1 + ppm * 1e-6
    played = speech("anna_1", seconds + 1)
    places = (np.arange(seconds * RATE_HZ) - DELAY) * ratio
    near = 0.5 * np.interp(places, np.arange(len(played)), played, left=0.0)
    processor, reference = Processor(ECHO_ONLY), EchoReference()
    moved, out = 0, []
    for start in range(0, len(near), FRAME):
        wanted = int((start + 2 * FRAME) * ratio) // FRAME * FRAME
        if wanted > moved:
            reference.push(played[moved:wanted])
            moved = wanted
        captured = start + FRAME
        reference.take_clocks(played=(moved, moment(moved / ratio)), captured=(captured, moment(captured)))
        processor.reverse(reference.pull())
        out.append(processor.capture(near[start : start + FRAME].astype(np.float32))[:, 0])
    return level_db(last(near, 4)) - level_db(last(np.concatenate(out), 4))


def moment(samples: float) -> Nanos:
    return Nanos(int((1 + samples / RATE_HZ) * 1e9))
