"""The measure says less for worse speech, and nothing about delay or loudness."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.testing.intelligibility import delay_samples, intelligibility


@pytest.fixture
def speech() -> NDArray[np.float32]:
    """Noise whose loudness changes as syllables do: enough for a measure of envelopes."""
    luck = np.random.default_rng(1)
    syllables = np.repeat(luck.uniform(0, 1, 40) ** 2, 4800)
    return (0.3 * syllables * luck.normal(0, 0.3, len(syllables))).astype(np.float32)


def test_delay_and_loudness_do_not_matter(speech: NDArray[np.float32]) -> None:
    late = np.concatenate([np.zeros(5000, np.float32), speech * 0.3])
    assert delay_samples(speech, late) == 5000
    assert intelligibility(speech, late) == pytest.approx(1.0, abs=1e-3)


def test_a_delay_that_changes_on_the_way_does_not_matter_much(speech: NDArray[np.float32]) -> None:
    shortened = np.concatenate([np.zeros(5000, np.float32), speech[:96_000], speech[98_400:]])
    assert intelligibility(speech, shortened) > 0.9


def test_more_holes_are_less_understood(speech: NDArray[np.float32]) -> None:
    luck = np.random.default_rng(2)
    scores = []
    for loss in (0.0, 0.1, 0.3, 0.6):
        holes = np.repeat(luck.random(len(speech) // 960) >= loss, 960)
        scores.append(intelligibility(speech, speech * holes))
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.7


def test_unrelated_sound_is_not_understood(speech: NDArray[np.float32]) -> None:
    other = np.random.default_rng(3).normal(0, 0.1, len(speech)).astype(np.float32)
    assert abs(intelligibility(speech, other)) < 0.2


def test_too_little_is_refused(speech: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="to compare"):
        intelligibility(speech[:5000], speech[:5000])
