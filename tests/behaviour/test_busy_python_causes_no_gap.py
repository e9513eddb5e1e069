"""A client whose Python is busy still sounds: voice runs in native threads that never wait for the interpreter.

Five seconds of pure Python, the last of them inside C calls that let no other Python thread run, beside a call through
the relay. One listener keeps what it played: a steady tone all the time. The other plays into a sound card (of the kind
that only keeps time), which goes on asking and does not run dry.

Whoever waits for the interpreter is silent as long as each of the C calls, and a second test shows that this would be
heard here: it sends the same voice through a thread of Python.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest

from raccall._native import Relay
from raccall.audio.devices import NULL_BACKEND, SoundCard
from raccall.clock import monotonic_now
from raccall.voice.engine import Engine, Sound, read_stats

pytestmark = pytest.mark.realtime

MODE = "aead_aes256_gcm_rtpsize"
BUSY_S = 5
ONSET_S = 0.4
"""The codec's high-pass filter and rate control take some 100 ms to let a tone through at its full level."""
TONE_HZ = 437.0
FRAME = 480
"""10 ms."""
TONE_RMS = 0.3 / np.sqrt(2)
FEW = 3
"""Late ticks and packets that other programs on a crowded machine may cause."""
HICCUP_FRAMES = 8
"""A packet that comes late, because another program had the processor, is made up; how to make up a tone a model of
speech does not know, and it is back at its level after 2 to 7 frames. A C call is 40 frames long."""
NUMBERS = range(30_000_000)
"""Their sum takes 0.4 s, on a slow machine 1 s."""


def keep_python_busy(seconds: float) -> None:
    """Compute without a pause, in the last second in C calls that hold the interpreter's lock."""
    end = time.monotonic() + seconds - 1
    count = 0
    while time.monotonic() < end:
        count += sum(divmod(number, 7)[1] for number in range(1000))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        sum(NUMBERS)


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


def join(relay: Relay, member: int, sound: Sound, address: tuple[str, int] | None = None) -> Engine:
    engine = Engine(address or relay.addresses[0])
    relay.set_address(member, engine.discover(member), proven=True)
    engine.start(ssrc=member, mode=MODE, key=key_of(member), sound=sound)
    return engine


@pytest.fixture
def tone() -> npt.NDArray[np.float32]:
    time_s = np.arange(48_000 * (BUSY_S + 2)) / 48_000
    return (0.3 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype(np.float32)


def test_busy_python_causes_no_gap(relay: Relay, tone: npt.NDArray[np.float32]) -> None:
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

    frames, quiet = loudness(np.concatenate(heard))
    assert frames * FRAME / 48_000 >= BUSY_S
    assert len(quiet) <= FEW
    assert max(quiet, default=0) <= HICCUP_FRAMES
    assert all(read_stats(engine).playback_gaps <= FEW for engine in (talker, listener))
    assert callbacks >= 0.9 * BUSY_S * 100
    assert read_stats(at_a_card).playback_gaps - gaps_before <= FEW
    for engine in (listener, at_a_card):
        (source,) = read_stats(engine).sources
        assert source.lost == 0


def test_a_voice_that_waits_for_python_would_be_heard_to(relay: Relay, tone: npt.NDArray[np.float32]) -> None:
    kept = Sound.clocked(None, keep_playback=True)
    with through_python(relay.addresses[0]) as address:
        listener = join(relay, 2, kept)
        talker = join(relay, 1, Sound.clocked(tone, keep_playback=False), address)
        heard = [wait_for_sound(kept)]
        keep_python_busy(1 + ONSET_S)
        heard.append(kept.read_playback())
        for engine in (talker, listener):
            engine.close()
    _, quiet = loudness(np.concatenate(heard))
    assert max(quiet) > HICCUP_FRAMES


@contextmanager
def through_python(relay_address: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """An address that leads to the relay, by threads of Python."""
    inner, outer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    inner.bind(("127.0.0.1", 0))
    outer.connect(relay_address)
    peers = list[tuple[str, int]]()

    def up() -> None:
        while datagram := (received := inner.recvfrom(2048))[0]:
            peers[:] = [received[1]]
            outer.send(datagram)

    def down() -> None:
        while datagram := outer.recv(2048):
            inner.sendto(datagram, peers[0])

    threads = [threading.Thread(target=work) for work in (up, down)]
    for thread in threads:
        thread.start()
    yield inner.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", inner.getsockname())
    outer.shutdown(socket.SHUT_RDWR)  # ends its recv
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    inner.close()
    outer.close()


def wait_for_sound(sound: Sound) -> npt.NDArray[np.float32]:
    """Playback up to its first loud sample, at most 2 s."""
    parts: list[npt.NDArray[np.float32]] = []
    for _ in range(200):
        parts.append(sound.read_playback())
        if parts[-1].size and np.abs(parts[-1]).max() > 0.2:
            return np.concatenate(parts)
        time.sleep(0.01)
    raise AssertionError("nothing was heard within 2 s")


def loudness(samples: npt.NDArray[np.float32]) -> tuple[int, list[int]]:
    """Of a tone since it was loud first: frames in all, and how long each row of frames below 0.8 of its level is."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    rms = np.sqrt((frames**2).mean(axis=1))
    steady = rms[int(np.argmax(rms > 0.9 * TONE_RMS)) :]
    quiet = "".join("q" if level <= 0.8 * TONE_RMS else " " for level in steady)
    return len(steady), [len(row) for row in quiet.split()]
