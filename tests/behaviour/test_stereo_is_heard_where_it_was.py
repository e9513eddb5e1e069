"""Who listens with two loudspeakers hears a stereo sender in stereo, and nothing moves from one side to the other."""

import random
from itertools import pairwise

import numpy as np
import pytest

from raccall._native import Cipher
from raccall.audio.files import Samples
from raccall.testing.call import KEY, MODE
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, Nanos
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.voice.codec import Decoder, Encoder
from raccall.voice.engine import SourceStats
from raccall.wire.packet import Packet

STEREO_FLAG = 0x04
DELAY, RIGHT = 24, 0.5
"""How a voice is placed half left: half a millisecond later and half as loud on the right."""


def tone(pitch_hz: float, seconds: float, amplitude: float = 0.4) -> Samples:
    return (amplitude * np.sin(2 * np.pi * pitch_hz * np.arange(int(seconds * 48_000)) / 48_000)).astype(np.float32)


def level_db(sound: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-12))


def steepest(sound: Samples) -> float:
    """The largest step from one sample to the next: a click is one."""
    return float(np.abs(np.diff(sound, axis=0)).max())


def packets_of(stereo: Samples) -> list[bytes]:
    """Its datagrams, 20 ms each."""
    send = SendChain(1, MODE, KEY, bitrate_bps=128_000, music=True, channels=2)
    pieces = stereo[: len(stereo) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES, 2)
    sent = [send.push(piece, Nanos(number * 20 * NANOS_PER_MS)) for number, piece in enumerate(pieces)]
    return [datagram for datagram in sent if datagram is not None]


def sealed(payloads: list[bytes]) -> list[bytes]:
    """Payloads of 20 ms each as the datagrams of one sender."""
    cipher = Cipher(MODE, KEY)
    packets = [
        Packet(sequence=number, timestamp=number * FRAME_SAMPLES, ssrc=1, payload_type=120, payload=payload)
        for number, payload in enumerate(payloads)
    ]
    return [cipher.seal(packet.write(), packet.sequence.to_bytes(4, "big")) for packet in packets]


def decoded(payloads: list[bytes]) -> Samples:
    """By bare libopus."""
    decoder = Decoder(channels=2)
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def heard(
    datagrams: list[bytes], arrivals_ms: list[float | None], channels: int = 2, chain: ReceiveChain | None = None
) -> tuple[Samples, SourceStats]:
    """What is played of them, shape (n, channels), and the numbers at the end. None: lost."""
    listener = chain or ReceiveChain(MODE, KEY, deep_plc=False, channels=channels)
    coming = sorted((at, datagram) for at, datagram in zip(arrivals_ms, datagrams, strict=True) if at is not None)
    frames = []
    for pull in range(2 * len(datagrams)):
        while coming and coming[0][0] <= pull * 10:
            at, datagram = coming.pop(0)
            listener.push(datagram, Nanos(int(at * NANOS_PER_MS)))
        frames.append(listener.pull(Nanos(pull * 10 * NANOS_PER_MS)))
    return np.concatenate(frames), listener.report().sources[0]


def in_time(count: int) -> list[float | None]:
    return [number * 20.0 + 5 for number in range(count)]


def test_what_sounds_left_is_heard_left_alone() -> None:
    left = tone(440, 3)
    datagrams = packets_of(np.stack([left, np.zeros_like(left)], axis=1))
    played, source = heard(datagrams, in_time(len(datagrams)))
    rest = played[48_000:]
    assert level_db(rest[:, 0]) == pytest.approx(level_db(left), abs=0.5)
    assert level_db(rest[:, 0]) - level_db(rest[:, 1]) > 40, "channel separation"
    assert (source.concealed, source.undecodable) == (0, 0)
    middle, _ = heard(datagrams, in_time(len(datagrams)), channels=1)
    assert level_db(middle[48_000:]) == pytest.approx(level_db(left) - 6, abs=0.5), "with one loudspeaker, by halves"


def test_a_listener_hears_each_source_apart_in_stereo() -> None:
    listener = ReceiveChain(MODE, KEY, channels=2)
    left = tone(440, 1)
    for number, datagram in enumerate(packets_of(np.stack([left, np.zeros_like(left)], axis=1))):
        listener.push(datagram, Nanos(number * 20 * NANOS_PER_MS))
        for half in range(2):
            (frame,) = listener.pull_each(Nanos((number * 20 + half * 10) * NANOS_PER_MS)).values()
    assert frame.shape == (480, 2)
    assert level_db(frame[:, 0]) - level_db(frame[:, 1]) > 40


def test_a_mono_talker_beside_a_stereo_one_stays_in_the_middle() -> None:
    listener = ReceiveChain(MODE, KEY, channels=2)
    cipher, encoder = Cipher(MODE, KEY), Encoder(bitrate_bps=64_000)
    for number, piece in enumerate(tone(660, 3).reshape(-1, FRAME_SAMPLES)):
        packet = Packet(
            sequence=number, timestamp=number * 960, ssrc=2, payload_type=120, payload=encoder.encode(piece)
        )
        listener.push(cipher.seal(packet.write(), (number | 1 << 20).to_bytes(4, "big")), Nanos(0))
    left = tone(440, 3)
    datagrams = packets_of(np.stack([left, np.zeros_like(left)], axis=1))
    played, _ = heard(datagrams, in_time(len(datagrams)), chain=listener)
    spectrum = np.abs(np.fft.rfft(played[60_000:108_000], axis=0))  # 1 Hz apart
    assert spectrum[440, 0] > 100 * spectrum[440, 1]
    assert spectrum[660, 0] == pytest.approx(spectrum[660, 1], rel=0.01)


def test_a_sender_that_changes_between_stereo_and_mono_is_heard_without_a_click() -> None:
    """As libopus does when the bitrate falls and rises: its packets say in how many channels each is coded. What bare
    libopus makes of them is the measure: at 14 kb/s a tone is not the smooth one that went in."""
    encoder = Encoder(channels=2, application="audio")
    pieces = np.stack([tone(220, 6)] * 2, axis=1).reshape(-1, FRAME_SAMPLES, 2)
    payloads = []
    for number, piece in enumerate(pieces):
        encoder.set_bitrate(128_000 if number // 25 % 2 else 14_000)
        payloads.append(encoder.encode(piece))
    flags = [payload[0] & STEREO_FLAG for payload in payloads]
    assert sum(one != other for one, other in pairwise(flags)) > 8, "they do change"
    assert flags[0] == 0, "begins in mono"
    played, source = heard(sealed(payloads), in_time(len(payloads)))
    assert steepest(played[4800:]) <= 1.05 * steepest(decoded(payloads)[4800:])
    assert (source.undecodable, source.concealed, source.late) == (0, 0, 0)


def test_two_encoders_packets_in_turn_are_survived(anna: Samples) -> None:
    """Each decodes to what the other one's state makes of it: no worse than with bare libopus, and without holes."""
    said = np.resize(anna, 8 * 48_000)
    mono, stereo = Encoder(bitrate_bps=64_000), Encoder(channels=2, bitrate_bps=128_000, application="audio")
    payloads = [
        stereo.encode(np.stack([piece, 0.3 * piece], axis=1)) if number % 2 else mono.encode(piece)
        for number, piece in enumerate(said.reshape(-1, FRAME_SAMPLES))
    ]
    played, source = heard(sealed(payloads), in_time(len(payloads)))
    frames = np.sqrt(np.square(played[4800:]).reshape(-1, 480, 2).mean(axis=(1, 2)))
    expected = np.sqrt(np.square(said[4800:]).reshape(-1, 480).mean(axis=1))
    assert np.mean(frames > 0.01) > 0.8 * np.mean(expected > 0.01)
    assert np.abs(played).max() <= 1.0
    assert steepest(played[4800:]) <= 1.05 * steepest(decoded(payloads)[4800:])
    assert (source.undecodable, source.concealed) == (0, 0)


def placed(said: Samples) -> Samples:
    late = np.concatenate([np.zeros(DELAY, np.float32), RIGHT * said[:-DELAY]])
    return np.stack([said, late], axis=1)


def image_of(played: Samples) -> tuple[list[int], list[float]]:
    """Of each loud 40 ms: by how many samples the right channel is later than the left, and by how many dB quieter."""
    lags, quieter = [], []
    for window in played[: len(played) // 1920 * 1920].reshape(-1, 1920, 2):
        left, right = window[:, 0] - window[:, 0].mean(), window[:, 1] - window[:, 1].mean()
        if level_db(left) < -35:
            continue
        like = [float(left[100:-100] @ right[100 + lag : len(right) - 100 + lag]) for lag in range(-80, 81)]
        lags.append(int(np.argmax(like)) - 80)
        quieter.append(level_db(left) - level_db(right))
    return lags, quieter


def frames_off_their_place(played: Samples) -> int:
    """Loud 10 ms of the right channel which are not what the left one has just played, within 3 dB."""
    left, right = played[:-DELAY, 0], played[DELAY:, 1]
    length = len(right) // 480 * 480
    wrong = np.square(right - RIGHT * left)[:length].reshape(-1, 480).mean(axis=1)
    loud = np.square(right[:length]).reshape(-1, 480).mean(axis=1)
    return int(((loud > 1e-4) & (wrong > 0.5 * loud)).sum())


@pytest.mark.parametrize("loss_pct", [0, 5])
def test_the_image_does_not_wander_on_a_bad_network(anna: Samples, loss_pct: int) -> None:
    """Speech, lengthened and shortened all the time and concealed now and then, stays where it is."""
    said = np.resize(anna, 30 * 48_000).astype(np.float32)
    datagrams = packets_of(placed(said))
    luck = random.Random(3)
    slow = [60.0 if number // 100 % 2 else 0.0 for number in range(len(datagrams))]
    arrivals = [
        None if luck.random() * 100 < loss_pct else number * 20 + slow[number] + luck.random() * 15
        for number in range(len(datagrams))
    ]
    played, source = heard(datagrams, arrivals)
    assert source.stretched_ms > 300, "time-stretching had work to do"
    assert source.concealed > 20 if loss_pct else source.concealed < 20
    lags, quieter = image_of(played)
    assert len(lags) > 200
    assert np.mean(np.abs(np.array(lags) - DELAY) <= 2) > 0.98
    assert frames_off_their_place(played) <= 3, "none; 10 where the side is cut 15 ms beside the middle"
    assert np.percentile(quieter, [2, 98]) == pytest.approx([6, 6], abs=1.5)
