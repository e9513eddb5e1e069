"""The limiter: below its ceiling always, untouched below it, and in place."""

import numpy as np
import pytest
from calls import Sound, speech

from raccall.recorder.limiter import CEILING, Limiter, limited


def through(sound: Sound, piece: int) -> Sound:
    return np.concatenate(list(limited(sound[at : at + piece] for at in range(0, len(sound), piece))))


def loud(channels: int) -> Sound:
    """Quiet, then twice too loud, then quiet."""
    sound = speech(3, 1)[:140_001]
    sound *= np.concatenate([np.full(60_000, 0.5), np.full(20_000, 6), np.full(60_001, 0.5)]).astype(np.float32)
    return np.stack([sound, -0.25 * sound], axis=1)[:, :channels]


@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_passes_the_ceiling_and_nothing_is_squared_off(channels: int) -> None:
    sound = loud(channels)
    out = through(sound, 48_000)
    assert out.shape == sound.shape
    assert np.abs(sound).max() > 1.5
    assert 0.9 * CEILING < np.abs(out).max() <= CEILING
    assert (np.abs(out) > 0.999 * CEILING).sum() < 100
    np.testing.assert_array_equal(out[:55_000], sound[:55_000])
    np.testing.assert_array_equal(out[90_000:], sound[90_000:])


def test_both_channels_get_one_gain() -> None:
    sound = loud(2)
    out = through(sound, 48_000)
    np.testing.assert_allclose(out[:, 1], -0.25 * out[:, 0], atol=1e-7)


@pytest.mark.parametrize("piece", [1_000, 7_777, 140_001])
def test_pieces_do_not_matter(piece: int) -> None:
    np.testing.assert_array_equal(through(loud(1), piece), through(loud(1), 48_000))


@pytest.mark.parametrize("length", [1, 47, 48, 2_399, 2_400, 2_401, 5_000])
def test_short_sound_is_as_long_as_it_was(length: int) -> None:
    sound = loud(1)[:length]
    np.testing.assert_array_equal(through(sound, 13), sound)


def test_no_sound() -> None:
    assert list(limited([])) == []
    assert Limiter(2).finish().shape == (0, 2)


def test_a_gain_comes_before_the_limiter() -> None:
    sound = loud(1)
    np.testing.assert_array_equal(np.concatenate(list(limited([sound], gain=0.25))), 0.25 * sound)


def test_16_bits_are_the_same_sound_rounded() -> None:
    sound, limiter = loud(2), Limiter(2)
    out = np.concatenate([limiter.push_int16(sound), limiter.finish_int16()])
    assert out.dtype == np.int16
    assert np.abs(out - through(sound, 48_000) * 32_768).max() <= 0.5


def test_frames_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        Limiter(2).push(loud(1))
    with pytest.raises(ValueError, match="channels"):
        Limiter(3)
