"""A client whose Python is busy still sounds: voice runs in native threads that never wait for the interpreter.

Five seconds of pure Python, the last of them inside C calls that let no other Python thread run, beside a call of two
engines through the relay. The listener must have heard a steady tone all the time, and its thread must never have been
so late that a sound card would have run dry.
"""

import time

import numpy as np
import numpy.typing as npt

from raccall._native import Relay
from raccall.voice.engine import Engine, Sound, SourceStats, read_stats

MODE = "aead_aes256_gcm_rtpsize"
BUSY_S = 5
ONSET_S = 0.4
"""The codec's high-pass filter and rate control take some 100 ms to let a tone through at its full level."""
TONE_HZ = 437.0
FRAME = 480
"""10 ms."""
TONE_RMS = 0.3 / np.sqrt(2)


def keep_python_busy(seconds: float) -> None:
    """Compute without a pause, in the last fifth in C calls that hold the interpreter's lock."""
    end = time.monotonic() + seconds * 0.8
    count = 0
    while time.monotonic() < end:
        count += sum(divmod(number, 7)[1] for number in range(1000))
    numbers = range(2_000_000)
    end = time.monotonic() + seconds * 0.2
    while time.monotonic() < end:
        sum(numbers)


def test_busy_python_causes_no_gap() -> None:
    relay = Relay([("127.0.0.1", 0)])
    keys = {ssrc: bytes([ssrc] * 32) for ssrc in (1, 2)}
    for ssrc, key in keys.items():
        relay.add_session(ssrc, ssrc, MODE, key)
    relay.set_route(1, [2])
    time_s = np.arange(48_000 * (BUSY_S + 2)) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype(np.float32)
    sounds = {1: Sound.clocked(tone, keep_playback=False), 2: Sound.clocked(None, keep_playback=True)}
    engines = {ssrc: Engine(relay.addresses[0]) for ssrc in keys}
    for ssrc, engine in engines.items():
        relay.set_address(ssrc, engine.discover(ssrc))
        engine.start(ssrc=ssrc, mode=MODE, key=keys[ssrc], sound=sounds[ssrc])
    heard = [wait_for_sound(sounds[2])]
    keep_python_busy(BUSY_S + ONSET_S)
    heard.append(sounds[2].read_playback())
    for engine in engines.values():
        engine.close()
    relay.stop()

    rms = frame_rms(np.concatenate(heard))
    start = int(np.argmax(rms > 0.9 * TONE_RMS))
    steady = rms[start:]
    assert len(steady) * FRAME / 48_000 >= BUSY_S
    assert steady.min() > 0.8 * TONE_RMS, f"quiet at {start + int(np.argmin(steady))} of {len(rms)} frames"
    stats = read_stats(engines[2])
    assert (stats.playback_gaps, stats.kernel_drops) == (0, 0)
    (source,) = stats.sources
    assert_nothing_missing(source)
    assert read_stats(engines[1]).playback_gaps == 0


def wait_for_sound(sound: Sound) -> npt.NDArray[np.float32]:
    """Playback up to its first loud sample, at most 2 s."""
    parts: list[npt.NDArray[np.float32]] = []
    for _ in range(200):
        parts.append(sound.read_playback())
        if parts[-1].size and np.abs(parts[-1]).max() > 0.2:
            return np.concatenate(parts)
        time.sleep(0.01)
    raise AssertionError("nothing was heard within 2 s")


def frame_rms(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.asarray(np.sqrt((frames**2).mean(axis=1)), dtype=np.float32)


def assert_nothing_missing(source: SourceStats) -> None:
    assert (source.lost, source.late, source.concealed) == (0, 0, 0), source
