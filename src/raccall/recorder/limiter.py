"""Keeps a sum of voices below full scale, without a click and without distortion.

The needed gain of each millisecond is known 50 ms ahead. The gain in use is a moving average, 50 ms long, of the
least gain needed in the 50 ms to come: so it has always come down before a peak, and never moves faster than speech
hides.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

CEILING = 0.84
"""-1.5 dBFS: Opus is lossy, and its decoder may put out a little more than went in."""

BLOCK_SAMPLES = 48
_WINDOW_BLOCKS = 50
LATENCY_SAMPLES = BLOCK_SAMPLES * _WINDOW_BLOCKS


class Limiter:
    """Samples in, as many samples out, later by LATENCY_SAMPLES and never above CEILING."""

    def __init__(self) -> None:
        self._needed = np.ones(2 * _WINDOW_BLOCKS)
        self._pending: NDArray[np.float32] | None = None

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """`samples`: float32, shape (n,) or (n, channels), always the same; n a whole number of milliseconds."""
        before = np.zeros((LATENCY_SAMPLES, *samples.shape[1:]), np.float32) if self._pending is None else self._pending
        pending = np.concatenate([before, samples])
        self._pending = pending[len(samples) :]
        if self._needed.min() == 1 and samples.max() <= CEILING and samples.min() >= -CEILING:
            return pending[: len(samples)]  # nothing to do: most of the time, and ten times as fast
        blocks = len(samples) // BLOCK_SAMPLES
        peaks = np.abs(samples).reshape(blocks, -1).max(axis=1)
        needed = np.concatenate([self._needed, np.minimum(1.0, CEILING / np.maximum(peaks, CEILING))])
        at_borders = np.minimum(needed[:-1], needed[1:])
        least_ahead = sliding_window_view(at_borders, _WINDOW_BLOCKS).min(axis=1)
        gains = np.convolve(least_ahead, np.full(_WINDOW_BLOCKS, 1 / _WINDOW_BLOCKS), "valid")
        ramp = np.arange(BLOCK_SAMPLES) / BLOCK_SAMPLES
        gain = gains[:-1, None] + (gains[1:] - gains[:-1])[:, None] * ramp
        self._needed = needed[blocks:]
        return (pending[: len(samples)] * gain.reshape(-1, *[1] * (samples.ndim - 1))).astype(np.float32)


class AlignedLimiter:
    """A Limiter whose sound is not late: pieces of any length in, as many samples out once finished."""

    def __init__(self) -> None:
        self._limiter = Limiter()
        self._rest: NDArray[np.float32] | None = None
        self._to_skip = LATENCY_SAMPLES

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """`samples`: float32, shape (n, channels), any n. Returns what is ready: its beginning comes first."""
        sound = np.concatenate([self._rest, samples]) if self._rest is not None and len(self._rest) else samples
        whole = len(sound) - len(sound) % BLOCK_SAMPLES
        self._rest = sound[whole:]
        return self._process(sound[:whole]) if whole else sound[:0]

    def finish(self) -> NDArray[np.float32] | None:
        """The rest; None when nothing was pushed."""
        if self._rest is None:
            return None
        pending = LATENCY_SAMPLES + len(self._rest)
        padding = np.zeros((pending + -pending % BLOCK_SAMPLES - len(self._rest), self._rest.shape[1]), np.float32)
        count = pending - self._to_skip
        return self._process(np.concatenate([self._rest, padding]))[:count]

    def _process(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        limited = self._limiter.process(sound)
        skipped = min(self._to_skip, len(limited))
        self._to_skip -= skipped
        return limited[skipped:]


def limited(pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same sound, limited: pieces of shape (n, channels), any n, in as many frames."""
    limiter = AlignedLimiter()
    for piece in pieces:
        yield limiter.push(piece)
    if (rest := limiter.finish()) is not None:
        yield rest
