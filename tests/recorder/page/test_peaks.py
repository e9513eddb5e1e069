"""What waveforms are drawn from: two bytes for every 20 ms."""

import zlib

import numpy as np
from numpy.typing import NDArray

from raccall.recorder.page import Peaks


def drawn(peaks: Peaks, frames: int) -> dict[str, NDArray[np.float64]]:
    """By file name: shape (20 ms frames, 2), lowest and highest sample, as the page reads them."""
    lanes = {}
    for name, packed in peaks.finish(frames).items():
        roots = np.frombuffer(zlib.decompress(packed), np.int8).reshape(-1, 2) / 127
        lanes[name] = np.sign(roots) * roots**2
    return lanes


def test_lowest_and_highest_sample_of_each_20_ms_whatever_the_pieces() -> None:
    sound = (np.random.default_rng(1).normal(0, 0.2, 150_001)).clip(-1, 1).astype(np.float32)
    for pieces in ([150_001], [7_777] * 19 + [2_238], [960] * 156 + [241]):
        peaks, at = Peaks(), 0
        for length in pieces:
            peaks.add("anna", at, sound[at : at + length])
            at += length
        anna = drawn(peaks, 150_001)["anna"]
        padded = np.concatenate([sound, np.zeros(-len(sound) % 960, np.float32)]).reshape(-1, 960)
        assert anna.shape == (157, 2)
        np.testing.assert_allclose(anna[:, 0], padded.min(axis=1), atol=0.01)
        np.testing.assert_allclose(anna[:, 1], padded.max(axis=1), atol=0.01)


def test_silence_between_pieces_is_zero_and_takes_no_room() -> None:
    peaks = Peaks()
    hours = 3 * 3600 * 48_000
    peaks.add("anna", 48_000, np.full(960, 0.5, np.float32))
    peaks.add("anna", hours - 960, np.full(960, -0.25, np.float32))
    packed = peaks.finish(hours)["anna"]
    assert len(packed) < 3_000
    pairs = np.frombuffer(zlib.decompress(packed), np.int8).reshape(-1, 2)
    assert len(pairs) == 3 * 3600 * 50
    assert np.flatnonzero(pairs.any(axis=1)).tolist() == [50, len(pairs) - 1]


def test_stereo_pieces_and_one_before_the_beginning() -> None:
    peaks = Peaks()
    peaks.add("ben", -480, np.full((960, 2), [0.2, 0.6], np.float32))  # begins before the tracks do
    peaks.add("ben", 1920, np.full((46_080, 2), 7.0, np.float32))  # louder than full scale
    ben = drawn(peaks, 48_000)["ben"]
    assert ben.shape == (50, 2)
    np.testing.assert_allclose(ben[:2, 1], [0.4, 0.0], atol=0.01)
    assert (ben[2:, 1] == 1.0).all()
