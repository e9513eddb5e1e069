"""A call goes on unheard when the 16-bit sequence and the 32-bit timestamp wrap."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.testing.call import VirtualCall, talker
from raccall.testing.network import GOOD_DSL, LAN, NetworkConditions

SHUFFLED = NetworkConditions(loss=0.05, delay_ms=10, jitter_ms=50, duplicates=0.05)


@pytest.mark.parametrize("conditions", [LAN, GOOD_DSL, SHUFFLED], ids=["lan", "dsl", "shuffled"])
@pytest.mark.parametrize("frames_before", [1, 40])
def test_wraps_sound_like_any_other_moment(
    anna: NDArray[np.float32], conditions: NetworkConditions, frames_before: int
) -> None:
    def call(first_sequence: int, first_timestamp: int) -> VirtualCall:
        staged = VirtualCall(conditions, seed=5)
        staged.add(1, talker(1, first_sequence=first_sequence, first_timestamp=first_timestamp))
        heard.append(staged.run({1: anna[:96_000]}))
        return staged

    heard: list[NDArray[np.float32]] = []
    plain = call(1000, 1_000_000)
    wrapped = call(65_536 - frames_before, 2**32 - 960 * frames_before)
    assert np.array_equal(heard[0], heard[1])
    assert np.abs(heard[0]).max() > 0.1
    assert wrapped.listener.report() == plain.listener.report()

    sequences = [packet.sequence for packet in wrapped.fresh]
    timestamps = [packet.timestamp for packet in wrapped.fresh]
    assert max(sequences) - min(sequences) < 100 <= (max(sequences) - 65_536 + frames_before) * 2
    assert all(
        timestamp - timestamps[0] == 960 * (sequence - sequences[0])
        for sequence, timestamp in zip(sequences, timestamps, strict=True)
    )
