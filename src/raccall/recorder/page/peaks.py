"""What a waveform is drawn from: lowest and highest sample of every 20 ms, a byte each, per speaker.

A byte holds the square root of the sample: quiet speech keeps some detail. What is done a second at a time costs about
1 µs per packet, and each second is compressed at once: silence takes no room, an hour of speech 0.3 MB.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from raccall.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

PER_SECOND = SAMPLE_RATE_HZ // FRAME_SAMPLES
FULL_SCALE = 127

_SILENT_SECOND = bytes(2 * PER_SECOND)


class Peaks:
    """Takes every speaker's sound while it is decoded for something else."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def add(self, file_name: str, position: int, samples: NDArray[np.float32]) -> None:
        """Add a piece of one speaker's sound.

        position: of its first sample, from the beginning of the tracks. samples: shape (frames,) or (frames, channels).
        A speaker's pieces come in order; one that begins before the end of the last second begun is cut.
        """
        lane = self._lanes.get(file_name)
        if lane is None:
            lane = self._lanes[file_name] = _Lane()
        if samples.ndim > 1:
            samples = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        lane.add(position, samples)

    def finish(self, frames: int) -> dict[str, bytes]:
        """For each file name, zlib's deflate of int8 pairs (lowest, highest), one per 20 ms of `frames` samples."""
        return {file_name: lane.finish(frames) for file_name, lane in self._lanes.items()}


class _Lane:
    """One speaker: the second that is being filled, and the compressed ones before it."""

    def __init__(self) -> None:
        # A window of 4 KiB is 40 s of peaks and keeps a hundred speakers' compressors small.
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, 12, 5)
        self._compressed = bytearray()
        self._second = np.zeros(SAMPLE_RATE_HZ, np.float32)
        self._sounds = False
        self._begin = 0
        """First sample of `_second`."""

    def add(self, position: int, samples: NDArray[np.float32]) -> None:
        if position < self._begin:
            samples, position = samples[self._begin - position :], self._begin
        while len(samples):
            while position >= self._begin + SAMPLE_RATE_HZ:
                self._put_away()
            at = position - self._begin
            part = samples[: SAMPLE_RATE_HZ - at]
            self._second[at : at + len(part)] = part
            self._sounds = True
            samples, position = samples[len(part) :], position + len(part)

    def finish(self, frames: int) -> bytes:
        while self._begin + SAMPLE_RATE_HZ <= frames:
            self._put_away()
        rest = -(-(frames - self._begin) // FRAME_SAMPLES)
        if rest > 0:
            self._compressed += self._deflate.compress(_pairs(self._second)[: 2 * rest])
        return bytes(self._compressed + self._deflate.flush())

    def _put_away(self) -> None:
        pairs = _SILENT_SECOND
        if self._sounds:
            pairs = _pairs(self._second)
            self._second.fill(0)
            self._sounds = False
        self._compressed += self._deflate.compress(pairs)
        self._begin += SAMPLE_RATE_HZ


def _pairs(second: NDArray[np.float32]) -> bytes:
    frames = second.reshape(PER_SECOND, FRAME_SAMPLES)
    pairs = np.stack([frames.min(axis=1), frames.max(axis=1)], axis=1).clip(-1, 1)
    roots: NDArray[np.float32] = np.sign(pairs) * np.sqrt(np.abs(pairs))
    return np.rint(roots * FULL_SCALE).astype(np.int8).tobytes()
