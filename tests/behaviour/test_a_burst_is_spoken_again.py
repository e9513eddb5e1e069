"""Five packets lost at once: the next tells what was said (DRED), and it is spoken again."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, Nanos
from raccall.voice.chains import ReceiveChain, SendChain

MODE, KEY = "aead_aes256_gcm_rtpsize", bytes(range(32))
BURST, EVERY = 5, 25
"""Packets: 20 % of them lost."""
DELAY_MS = 140
"""Of the listener, always the same, so that what is heard can be laid over what was said."""
BANDS_HZ = np.geomspace(100, 8_000, 20)
"""Edges of the bands in which sound is compared: what speech is made of."""

Samples = NDArray[np.float32]


def lost(number: int) -> bool:
    return number % EVERY >= EVERY - BURST


def send(said: Samples, *, dred_ms: int) -> list[bytes]:
    chain = SendChain(1, MODE, KEY, bitrate_bps=64_000, complexity=5, expected_loss_pct=20, dred_ms=dred_ms)
    frames = said[: len(said) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return [chain.push(frame, at(number)) or b"" for number, frame in enumerate(frames)]


def at(number: int) -> Nanos:
    return Nanos((number + 1) * 20 * NANOS_PER_MS)


def listen(datagrams: list[bytes], *, lossy: bool) -> tuple[Samples, ReceiveChain]:
    chain = ReceiveChain(MODE, KEY, min_target_ms=DELAY_MS, max_target_ms=DELAY_MS)
    heard = []
    for number, datagram in enumerate(datagrams):
        if not (lossy and lost(number)):
            chain.push(datagram, at(number))
        heard += [chain.pull(Nanos(at(number) + half * 10 * NANOS_PER_MS)) for half in range(2)]
    return np.concatenate(heard)[:, 0], chain


def bands_db(sound: Samples) -> NDArray[np.float64]:
    """Energy by 10 ms and band, shape (frames, bands); what nobody would hear counts as -60 dB."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 960)[::480] * np.hanning(960)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = (BANDS_HZ * 960 / 48_000).astype(int)
    return 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-2)


def distance_db(heard: Samples, right: Samples) -> float:
    """How far the spectrum is from what it would have been, where packets were lost and somebody spoke."""
    gone = np.repeat([lost(number - DELAY_MS // 20) for number in range(len(heard) // FRAME_SAMPLES)], 2)
    found, expected = bands_db(heard), bands_db(right)
    places = gone[: len(found)] & (expected.mean(axis=1) > expected.mean() - 6)
    assert places.sum() > 20, "enough of what was lost is speech"
    return float(np.sqrt(np.mean((found - expected)[places] ** 2)))


@pytest.mark.parametrize("who", ["anna", "ben"])
def test_a_burst_is_spoken_again(who: str, request: pytest.FixtureRequest) -> None:
    said = request.getfixturevalue(who)
    distances, made_up = [], []
    for dred_ms in (0, 500):
        datagrams = send(said, dred_ms=dred_ms)
        right, _ = listen(datagrams, lossy=False)
        heard, chain = listen(datagrams, lossy=True)
        distances.append(distance_db(heard, right))
        source = chain.report().sources[0]
        made_up.append(source.concealed)
        assert (source.respoken > 0) == (dred_ms > 0)
    assert made_up[1] < 0.5 * made_up[0]
    assert distances[1] < 0.65 * distances[0], distances
