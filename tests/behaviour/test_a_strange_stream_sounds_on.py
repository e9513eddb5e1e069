"""Whatever an authentic sender or the network does to a stream: its sound goes on, and the delay comes back down."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall._native import Cipher
from raccall.testing.call import KEY, MODE
from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.chains import ReceiveChain
from raccall.voice.codec import Encoder
from raccall.voice.engine import SourceStats
from raccall.wire.packet import Packet

Samples = NDArray[np.float32]
Arrival = Callable[[int], float | None]
"""When packet n arrives, in ms after the first was sent; None: lost."""

LOUD = 0.01
BACK_MS = 150.0
"""The delay at the end, on a network that is good again: the buffer keeps some depth for what it has just seen."""


def in_time(number: int) -> float:
    return number * 20.0 + 5


class Stream:
    """Packets of one sender, 20 ms of `said` each if nothing else is asked, repeated for as long as it takes."""

    def __init__(self, said: Samples, seconds: float, frame_ms: int = 20, channels: int = 1) -> None:
        size = 48 * frame_ms
        said = np.resize(said, int(seconds * 48_000) // size * size)
        encoder = Encoder(channels=channels, lbrr=True, expected_loss_pct=10, complexity=0)
        frames = np.repeat(said.reshape(-1, size, 1), channels, axis=2)
        self.frame_ms = frame_ms
        self.payloads = [encoder.encode(frame) for frame in frames]
        self.timestamps = [number * size for number in range(len(frames))]

    def play(self, arrival: Arrival = in_time, pull_s: float | None = None) -> tuple[Samples, SourceStats, list[float]]:
        """What is heard, the numbers at the end, and the delay in ms at each second."""
        cipher, listener = Cipher(MODE, KEY), ReceiveChain(MODE, KEY, deep_plc=False)
        coming = []
        for number, (payload, timestamp) in enumerate(zip(self.payloads, self.timestamps, strict=True)):
            at_ms = arrival(number)
            if at_ms is not None:
                packet = Packet(
                    sequence=number & 0xFFFF,
                    timestamp=timestamp & 0xFFFFFFFF,
                    ssrc=1,
                    payload_type=120,
                    payload=payload,
                )
                coming.append((at_ms, cipher.seal(packet.write(), number.to_bytes(4, "big"))))
        coming.sort(key=lambda item: item[0])
        heard, delays = [], []
        length_s = len(self.payloads) * self.frame_ms / 1000 if pull_s is None else pull_s
        for pull in range(int(length_s * 100)):
            while coming and coming[0][0] <= pull * 10:
                at_ms, datagram = coming.pop(0)
                listener.push(datagram, Nanos(int(at_ms * NANOS_PER_MS)))
            heard.append(listener.pull(Nanos(pull * 10 * NANOS_PER_MS)))
            if pull % 100 == 99:
                delays += [source.delay_ms for source in listener.report().sources]
        return np.concatenate(heard)[:, 0], listener.report().sources[0], delays


def loud_part(samples: Samples) -> float:
    """The part of 10 ms frames in which something is to be heard."""
    frames = samples[: len(samples) // 480 * 480].reshape(-1, 480)
    return float(np.mean(np.sqrt((frames**2).mean(axis=1)) > LOUD))


def assert_sounds_on(said: Samples, heard: Samples, since_s: float, delays: list[float]) -> None:
    expected = loud_part(said)
    assert loud_part(heard[int(since_s * 48_000) :]) > 0.8 * expected, delays
    assert max(delays[-2:]) < BACK_MS, delays


@pytest.mark.parametrize("frame_ms", [10, 60, 120])
def test_packets_of_any_length(anna: Samples, frame_ms: int) -> None:
    stream = Stream(anna, 12, frame_ms)
    heard, source, delays = stream.play(lambda number: number * frame_ms + 5.0)
    assert_sounds_on(anna, heard, 1, delays)
    assert (source.late, source.skipped) == (0, 0)
    assert source.concealed < 15


def test_packets_of_two_bytes(anna: Samples) -> None:
    stream = Stream(anna, 20)
    stream.payloads[200:400] = [b"\x78\x00"] * 200
    heard, source, delays = stream.play()
    assert_sounds_on(anna, heard, 9, delays)
    assert source.concealed < 20


def test_payloads_that_are_no_opus(anna: Samples) -> None:
    luck = random.Random(1)
    stream = Stream(anna, 20)
    for number in range(200, 400):
        stream.payloads[number] = luck.randbytes(luck.randrange(1, 200))
    heard, source, delays = stream.play()
    assert source.undecodable > 20
    assert np.abs(heard).max() <= 1.0
    assert_sounds_on(anna, heard, 12, delays)


def test_stereo_and_mono_in_turn(anna: Samples) -> None:
    stream, stereo = Stream(anna, 12), Stream(anna, 12, channels=2)
    stream.payloads[::2] = stereo.payloads[::2]
    heard, source, delays = stream.play()
    assert_sounds_on(anna, heard, 1, delays)
    assert (source.undecodable, source.concealed) == (0, 0)


@pytest.mark.parametrize("step", [0, 1, -960, 50_000_000, -50_000_000], ids=str)
def test_timestamps_that_freeze_go_back_or_leap(anna: Samples, step: int) -> None:
    stream = Stream(anna, 20)
    if abs(step) <= 960:
        stream.timestamps[200:] = [
            stream.timestamps[200] + step * number for number in range(len(stream.timestamps) - 200)
        ]
    else:
        stream.timestamps[200:] = [timestamp + step for timestamp in stream.timestamps[200:]]
    heard, source, delays = stream.play()
    assert_sounds_on(anna, heard, 4, delays)
    assert (source.late, source.skipped) == (0, 0)
    assert source.concealed < 10


@pytest.mark.parametrize("ppm", [-500, 500])
def test_a_clock_that_runs_wrong(anna: Samples, ppm: int) -> None:
    """Two minutes at 500 ppm are 60 ms: followed, they are made up for by stretching."""
    stream = Stream(anna, 120)
    heard, source, delays = stream.play(lambda number: number * 20 * (1 - ppm * 1e-6) + 5)
    assert_sounds_on(anna, heard, 1, delays)
    assert max(delays[5:]) < 60
    assert source.concealed < 10


def test_thirty_seconds_without_network(anna: Samples) -> None:
    stream = Stream(anna, 60)
    heard, source, delays = stream.play(lambda number: None if 500 <= number < 2000 else in_time(number))
    assert_sounds_on(anna, heard, 41, delays)
    assert not heard[15 * 48_000 : 40 * 48_000].any(), "made-up sound fades"
    assert source.skipped == 0


def test_packets_overtaken_by_five_hundred(anna: Samples) -> None:
    stream = Stream(anna, 40)
    heard, source, delays = stream.play(lambda number: in_time(number) + (10_000 if number % 10 == 0 else 0))
    assert_sounds_on(anna, heard, 1, delays)
    assert source.late > 100


def test_two_thousand_packets_at_once(anna: Samples) -> None:
    """Forty seconds in which nothing came: the last two of them are played, faster, and the rest is skipped."""
    stream = Stream(anna, 70)
    heard, source, delays = stream.play(lambda number: max(in_time(number), 40_000.0))
    assert_sounds_on(anna, heard, 55, delays)
    assert source.skipped > 1000


def test_a_stall_of_a_second_is_played_late_and_caught_up(anna: Samples) -> None:
    stream = Stream(anna, 30)
    heard, source, delays = stream.play(lambda number: 11_000.0 if 500 <= number <= 550 else in_time(number))
    assert_sounds_on(anna, heard, 0.5, delays)
    assert (source.late, source.skipped) == (0, 0)
    assert source.stretched_ms + source.paused_ms > 700
