"""Twenty-five people shout at once: the mix stays within full scale, and is not squared off."""

import numpy as np
from numpy.typing import NDArray

from raccall.testing.call import KEY, MODE, talker
from raccall.testing.clock import VirtualClock
from raccall.voice.chains import ReceiveChain

TALKERS = 25


def test_mix_never_clips(anna: NDArray[np.float32]) -> None:
    clock = VirtualClock()
    mixed, apart = (ReceiveChain(MODE, KEY, deep_plc=False) for _ in range(2))
    chains = [talker(ssrc, complexity=0) for ssrc in range(1, TALKERS + 1)]
    for number, chain in enumerate(chains):
        chain.set_gain_db(12 if number % 2 else 0)
        mixed.set_gain_db(number + 1, 12)
        apart.set_gain_db(number + 1, 12)
    said, heard, unlimited = anna[24_000:], [], []
    for frame in range(40):
        for chain in chains:
            datagram = chain.push(said[frame * 960 : (frame + 1) * 960], clock.now)
            assert datagram is not None
            mixed.push(datagram, clock.now)
            apart.push(datagram, clock.now)
        for _ in range(2):
            clock.advance(ms=10)
            heard.append(mixed.pull(clock.now)[:, 0])
            unlimited.append(sum(apart.pull_each(clock.now).values(), np.zeros((480, 1), np.float32))[:, 0])
    sound, loud = np.concatenate(heard), np.concatenate(unlimited)
    assert np.abs(loud).max() > 20, "not loud enough: the test shows nothing"
    assert np.abs(sound).max() <= 1
    assert np.sqrt(np.mean(sound**2)) > 0.1
    flat = (np.abs(sound[1:]) == np.abs(sound).max()) & (sound[1:] == sound[:-1])
    assert flat.mean() < 0.005
    clipped = np.clip(loud, -1, 1)
    assert ((np.abs(clipped[1:]) == 1) & (clipped[1:] == clipped[:-1])).mean() > 0.2, "clipping would have been seen"
