"""How much of what was said can be understood, without a listener: short-time band envelopes compared.

The idea of STOI (Taal, Hendriks, Heusdens, Jensen 2011), reduced: power in third octaves from 150 Hz to 4.2 kHz every
10 ms, and the correlation of each band's envelope over 300 ms, averaged over the parts where somebody speaks. 1 is the
same speech, about 0.9 a clean call through Opus, below 0.7 words get lost, 0 is unrelated sound.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raccall.units import SAMPLE_RATE_HZ

WINDOW = 1024
HOP = SAMPLE_RATE_HZ // 100
BANDS = 15
LOWEST_HZ = 150
SEGMENT_HOPS = 30
ACTIVE_RANGE_DB = 40
"""Quieter hops than this below the loudest are pauses: nothing to understand."""

LONGEST_DELAY_S = 0.4
PASSAGE_S, DRIFT_S = 1.0, 0.1
"""A jitter buffer shortens and lengthens sound unheard: a passage may be that much earlier or later than the whole."""

Samples = NDArray[np.float32]
Envelopes = NDArray[np.float64]


def delay_samples(said: Samples, heard: Samples) -> int:
    """By how much `heard` is later than `said`, 0 to 0.4 s: where they correlate best."""
    size = 1 << (len(said) + len(heard) - 1).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    correlation = np.fft.irfft(spectrum, size)
    return int(np.argmax(correlation[: int(LONGEST_DELAY_S * SAMPLE_RATE_HZ)]))


def in_step(said: Samples, heard: Samples) -> Samples:
    """`heard` without its delay, passage by passage: where each second correlates best. At most as long as `said`."""
    delay, passage, drift = delay_samples(said, heard), int(PASSAGE_S * SAMPLE_RATE_HZ), int(DRIFT_S * SAMPLE_RATE_HZ)
    passages = []
    for start in range(0, len(said), passage):
        first = max(start + delay - drift, 0)
        around = heard[first : start + delay + passage + drift]
        if len(around) == 0:
            break
        begin = first + delay_samples(said[start : start + passage], around)
        passages.append(heard[begin : begin + min(passage, len(said) - start)])
    return np.concatenate(passages)


def intelligibility(said: Samples, heard: Samples) -> float:
    """-1 to 1. Both 48 kHz mono; `heard` may be late, and change its delay by 0.1 s on the way.

    Raises ValueError if less than 0.3 s of speech is in both.
    """
    late = in_step(said, heard)
    length = min(len(said), len(late))
    if length < WINDOW + SEGMENT_HOPS * HOP:
        raise ValueError("less than 0.3 s to compare")
    clean, degraded = _envelopes(said[:length]), _envelopes(late[:length])
    power = (clean**2).sum(axis=1)
    active = power > power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    clean, degraded = clean[active], degraded[active]
    starts = range(0, len(clean) - SEGMENT_HOPS + 1, SEGMENT_HOPS // 2)
    if not starts:
        raise ValueError("less than 0.3 s of speech to compare")
    return float(np.mean([_correlation(clean[i : i + SEGMENT_HOPS], degraded[i : i + SEGMENT_HOPS]) for i in starts]))


def _envelopes(samples: Samples) -> Envelopes:
    """Amplitude per hop and third octave."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(windows)) ** 2
    edges = np.round(LOWEST_HZ * 2 ** (np.arange(BANDS + 1) / 3) * WINDOW / SAMPLE_RATE_HZ).astype(int)
    bands = [power[:, low : max(high, low + 1)].sum(axis=1) for low, high in pairwise(edges)]
    envelopes: Envelopes = np.sqrt(np.stack(bands, axis=1))
    return envelopes


def _correlation(clean: Envelopes, degraded: Envelopes) -> float:
    clean, degraded = clean - clean.mean(axis=0), degraded - degraded.mean(axis=0)
    energy = np.sqrt((clean**2).sum(axis=0) * (degraded**2).sum(axis=0))
    return float(np.mean((clean * degraded).sum(axis=0) / (energy + 1e-12)))
