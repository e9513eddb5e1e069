"""A network that doubles and shuffles datagrams changes nothing that is heard or recorded."""

import numpy as np
from numpy.typing import NDArray

from raccall.testing.call import KEY, MODE, VirtualCall
from raccall.testing.network import NetworkConditions
from raccall.voice.chains import ReceiveChain


def steady_listener() -> ReceiveChain:
    """Its delay does not follow the network: two calls can be compared sample by sample."""
    return ReceiveChain(MODE, KEY, deep_plc=False, min_target_ms=120, max_target_ms=120)


def test_duplicates_and_reordering(ben: NDArray[np.float32]) -> None:
    shuffling = NetworkConditions(duplicates=0.3, delay_ms=5, jitter_ms=70)
    call = VirtualCall(shuffling, seed=4, listener=steady_listener())
    call.add(1)
    heard = call.run({1: ben})
    network, source = call.networks[next(iter(call.networks))], call.listener.report().sources[0]

    sequences = [packet.sequence for packet in call.fresh]
    assert sequences != sorted(sequences), "nothing was reordered: the test shows nothing"
    assert len(sequences) == len(set(sequences)) == source.received
    assert source.duplicates > 50 and source.duplicates <= network.duplicated
    assert (source.lost, source.late, source.concealed) == (0, 0, 0)

    straight = VirtualCall(NetworkConditions(delay_ms=5), seed=4, listener=steady_listener())
    straight.add(1)
    expected = straight.run({1: ben})
    # The fastest packet of a shuffling network is a little slower than that of a straight one: a constant shift.
    shift = first_sound(heard) - first_sound(expected)
    assert abs(shift) <= 480 * 2
    middle = slice(24_000, len(ben) - 24_000)
    assert np.array_equal(np.roll(heard, -shift)[middle], expected[middle])


def first_sound(samples: NDArray[np.float32]) -> int:
    return int(np.argmax(np.abs(samples) > 1e-3))
