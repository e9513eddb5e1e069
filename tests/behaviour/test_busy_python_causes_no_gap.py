"""A client whose Python is busy still sounds: voice runs in native threads that never wait for the interpreter.

Five seconds of pure Python, the last of them inside C calls that let no other Python thread run, beside a call through
the relay. One listener keeps what it played: a steady tone all the time. The other plays into a sound card (of the kind
that only keeps time), which goes on asking and does not run dry.
"""

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from raccall._native import Relay
from raccall.audio.devices import NULL_BACKEND, SoundCard
from raccall.clock import monotonic_now
from raccall.voice.engine import Engine, Sound, read_stats

MODE = "aead_aes256_gcm_rtpsize"
BUSY_S = 5
ONSET_S = 0.4
"""The codec's high-pass filter and rate control take some 100 ms to let a tone through at its full level."""
TONE_HZ = 437.0
FRAME = 480
"""10 ms."""
TONE_RMS = 0.3 / np.sqrt(2)
FEW = 3
"""Late ticks that other programs on a crowded machine may cause. Who waits for the interpreter is late in each
of the 30 or so C calls."""


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


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A room in which member 1 is heard by 2 and 3."""
    relay = Relay([("127.0.0.1", 0)])
    for member in (1, 2, 3):
        relay.add_session(member, member, MODE, key_of(member))
    relay.set_route(1, [2, 3])
    yield relay
    relay.stop()


def key_of(member: int) -> bytes:
    return bytes([member] * 32)


def join(relay: Relay, member: int, sound: Sound) -> Engine:
    engine = Engine(relay.addresses[0])
    relay.set_address(member, engine.discover(member), proven=True)
    engine.start(ssrc=member, mode=MODE, key=key_of(member), sound=sound)
    return engine


def test_busy_python_causes_no_gap(relay: Relay) -> None:
    time_s = np.arange(48_000 * (BUSY_S + 2)) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype(np.float32)
    kept = Sound.clocked(None, keep_playback=True)
    with SoundCard(monotonic_now(), microphone=None, backend=NULL_BACKEND) as card:
        listener = join(relay, 2, kept)
        at_a_card = join(relay, 3, card.sound)
        talker = join(relay, 1, Sound.clocked(tone, keep_playback=False))
        heard = [wait_for_sound(kept)]
        callbacks_before = card.sound.playback_callbacks
        gaps_before = read_stats(at_a_card).playback_gaps
        keep_python_busy(BUSY_S + ONSET_S)
        callbacks = card.sound.playback_callbacks - callbacks_before
        heard.append(kept.read_playback())
        for engine in (talker, listener, at_a_card):
            engine.close()

    rms = frame_rms(np.concatenate(heard))
    start = int(np.argmax(rms > 0.9 * TONE_RMS))
    steady = rms[start:]
    assert len(steady) * FRAME / 48_000 >= BUSY_S
    assert steady.min() > 0.8 * TONE_RMS, f"quiet at {start + int(np.argmin(steady))} of {len(rms)} frames"
    assert all(read_stats(engine).playback_gaps <= FEW for engine in (talker, listener))
    assert callbacks >= 0.9 * BUSY_S * 100
    assert read_stats(at_a_card).playback_gaps - gaps_before <= FEW
    for engine in (listener, at_a_card):
        (source,) = read_stats(engine).sources
        assert source.lost == 0


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
