"""Rooms with a loudspeaker and a microphone in which two people talk, simulated.

A scene lasts 37 s: the far end talks (0 to 12), both (to 22), the near end alone (to 27), the far end again, in room D
from another place. The loudspeaker has no bass and clips softly and unevenly; the room is an image-source model. A room
without people who move and a loudspeaker without memory are kind to linear filters: numbers for suppressors are
realistic, those for linear filters an upper bound.
"""

from dataclasses import dataclass

import numpy as np

from bench.report import CannotRun
from bench.sounds import Sound, active_level, cycle, dishes, pairs, pink, voice
from raccall.units import SAMPLE_RATE_HZ

SCENE_S, BOTH_S, NEAR_S, AGAIN_S = 37, 12, 22, 27
LOUDSPEAKER_GAIN = 2.0
LOUDSPEAKER_CORNER_HZ = 180
REFLECTIONS = 17


@dataclass(frozen=True, slots=True)
class Room:
    name: str
    reverberation_s: float
    delay_ms: int
    echo_db: float
    """Echo above the near speaker."""
    snr_db: float
    distortion: float
    """Of the loudspeaker; 0: linear."""
    kitchen: bool = False
    """Dishes, not pink noise."""
    jump_ms: int | None = None
    """The delay from 27 s on, with another echo path."""
    drift_ppm: float = 0.0
    """How much slower the loudspeaker's clock runs than the microphone's."""


ROOMS = {
    "A": Room("quiet", 0.2, 40, 0, 45, 0.5),
    "B": Room("kitchen", 0.35, 90, 3, 25, 1.5, kitchen=True),
    "C": Room("loud, distorted", 0.5, 200, 10, 30, 3),
    "D": Room("delay and path jump", 0.3, 60, 3, 35, 1, jump_ms=160),
    "E": Room("clocks 100 ppm apart", 0.3, 60, 3, 35, 1, drift_ppm=100),
}
SWEEP = {ser_db: Room(f"voice {ser_db:+d} dB", 0.3, 60, -ser_db, 40, 0) for ser_db in (10, 5, 0, -5)}
"""By how far the near voice is above the echo."""


@dataclass(frozen=True, slots=True)
class Scene:
    far: Sound
    """What the loudspeaker was given, by its own clock."""
    mic: Sound
    near: Sound
    """The near speaker in the microphone, clean."""
    echo: Sound
    """The echo alone."""


def make_scene(room: Room, pair: int) -> Scene:
    """Raises CannotRun without pyroomacoustics."""
    try:
        from scipy.signal import fftconvolve
    except ImportError:
        raise CannotRun("scipy is not installed (pip install 'raccall[bench]')") from None
    length = SCENE_S * SAMPLE_RATE_HZ
    far_voice, near_voice = pairs()[pair]
    later = slice(AGAIN_S * SAMPLE_RATE_HZ, None)
    far = cycle(voice(far_voice), length)
    far[NEAR_S * SAMPLE_RATE_HZ : AGAIN_S * SAMPLE_RATE_HZ] = 0

    played = _loudspeaker(far, room.distortion)
    echo = fftconvolve(played, _echo_path(room.reverberation_s, pair))[:length]
    delay = room.delay_ms * SAMPLE_RATE_HZ / 1000 + room.drift_ppm * 1e-6 * np.arange(length)
    if room.jump_ms is not None:
        echo[later] = fftconvolve(played, _echo_path(room.reverberation_s, pair + 100))[:length][later]
        delay[later] = room.jump_ms * SAMPLE_RATE_HZ / 1000
    echo = _delayed(echo, delay)

    near = np.zeros(length)
    near[BOTH_S * SAMPLE_RATE_HZ : later.start] = cycle(voice(near_voice), (AGAIN_S - BOTH_S) * SAMPLE_RATE_HZ)
    level = active_level(near)
    echo *= level / active_level(echo) * 10 ** (room.echo_db / 20)
    background = dishes(length, pair) if room.kitchen else pink(length, pair)
    background = background * level / background.std() * 10 ** (-room.snr_db / 20)
    mic = near + echo + background
    gain = min(1.0, 0.95 / np.abs(mic).max())
    return Scene(far, mic * gain, near * gain, echo * gain)


def _echo_path(reverberation_s: float, seed: int) -> Sound:
    """Impulse response to a microphone 30 to 45 cm away in a small random room; energy 1."""
    try:
        import pyroomacoustics as acoustics
    except ImportError:
        raise CannotRun("pyroomacoustics is not installed (pip install 'raccall[bench]')") from None
    rng = np.random.default_rng(seed)
    size = [4 + 2 * rng.random(), 3 + 2 * rng.random(), 2.6]
    absorption, order = acoustics.inverse_sabine(reverberation_s, size)
    walls = acoustics.Material(absorption)
    box = acoustics.ShoeBox(
        size, fs=SAMPLE_RATE_HZ, materials=walls, max_order=min(order, REFLECTIONS), air_absorption=True
    )
    microphone = np.array([1.5 + rng.random(), 1.5 + rng.random() / 2, 1.0])
    box.add_source(microphone + np.array([0.25 + 0.2 * rng.random(), 0.15, 0.05]))
    box.add_microphone(microphone)
    box.compute_rir()
    response = box.rir[0][0]
    start = max(0, int(np.argmax(np.abs(response))) - 10)
    response = response[start : start + int(SAMPLE_RATE_HZ * reverberation_s * 1.1)]
    return response / np.sqrt((response**2).sum())


def _loudspeaker(samples: Sound, distortion: float) -> Sound:
    from scipy.signal import butter, sosfilt

    corner = butter(2, LOUDSPEAKER_CORNER_HZ, "high", fs=SAMPLE_RATE_HZ, output="sos")
    high = sosfilt(corner, samples * LOUDSPEAKER_GAIN)
    return np.tanh(distortion * high) / distortion + 0.05 * distortion * high**2 if distortion else high


def _delayed(samples: Sound, delay: Sound) -> Sound:
    """As it was `delay` samples ago, by cubic splines: a straight line would dull the treble in time with the drift."""
    from scipy.ndimage import map_coordinates

    return map_coordinates(samples, [np.arange(len(samples)) - delay], order=3, mode="constant")
