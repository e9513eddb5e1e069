"""Three packets in ten lost, in bursts: what was said can still be understood."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.testing.call import KEY, MODE, VirtualCall, talker
from raccall.testing.intelligibility import intelligibility
from raccall.testing.network import NetworkConditions
from raccall.voice.chains import ReceiveChain
from raccall.voice.codec import Decoder

BURSTS = NetworkConditions(loss=0.3, mean_burst=2.0, delay_ms=20, jitter_ms=15)


def holes(call: VirtualCall, length: int) -> NDArray[np.float32]:
    """What a receiver without any repair plays of the same packets: silence where one is missing."""
    decoder, sound = Decoder(48_000), np.zeros(length + 960, np.float32)
    for packet in sorted(call.fresh, key=lambda packet: packet.sequence):
        start = packet.timestamp % 2**32
        sound[start : start + 960] = decoder.decode(packet.payload)[:, 0]
    return sound


@pytest.mark.parametrize("who", ["anna", "ben"])
@pytest.mark.parametrize("seed", [1, 2])
def test_speech_survives_30_percent_burst_loss(who: str, seed: int, request: pytest.FixtureRequest) -> None:
    said = request.getfixturevalue(who)
    said = np.concatenate([said, said])
    # A constant delay, so that said and heard can be compared; adapting it is another promise.
    listener = ReceiveChain(MODE, KEY, deep_plc=True, min_target_ms=80, max_target_ms=80)
    call = VirtualCall(BURSTS, seed, listener=listener)
    call.add(1, talker(1, expected_loss_pct=30))
    heard = call.run({1: said})

    network, source = call.networks[next(iter(call.networks))], listener.report().sources[0]
    assert 0.25 < network.lost / network.sent < 0.36
    assert source.recovered > network.lost / 5, "second copies were used"
    understood, without_repair = intelligibility(said, heard), intelligibility(said, holes(call, len(said)))
    assert understood > 0.8
    assert understood > without_repair + 0.1, "a receiver that repairs nothing is as good: the test shows nothing"
