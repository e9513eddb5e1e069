"""Who drops out and comes back under a new SSRC is heard at once, and nothing is left of the old one."""

import numpy as np
from numpy.typing import NDArray

from raccall.testing.call import KEY, MODE, VirtualCall, talker
from raccall.testing.intelligibility import intelligibility
from raccall.testing.network import GOOD_DSL
from raccall.voice.chains import ReceiveChain


def test_rejoin_with_new_ssrc(anna: NDArray[np.float32]) -> None:
    call = VirtualCall(GOOD_DSL, seed=2, listener=ReceiveChain(MODE, KEY, deep_plc=False, source_timeout_ms=1000))
    call.add(1)
    call.run({1: anna[:48_000]})
    call.leave(1)
    pause = call.run({99: np.zeros(24_000, np.float32)})
    assert np.abs(pause[-4800:]).max() == 0, "a talker that vanished is not sung on"

    call.add(2, talker(2, first_sequence=9, first_timestamp=12))
    heard = call.run({2: anna})
    first_sound = int(np.argmax(np.abs(heard) > 0.02))
    first_said = int(np.argmax(np.abs(anna) > 0.02))
    assert first_sound - first_said < 0.15 * 48_000
    assert intelligibility(anna, heard) > 0.8

    gone, back = call.listener.report().sources
    assert (gone.ssrc, gone.talking, back.ssrc) == (1, False, 2)
    assert gone.lost + back.lost == sum(network.lost for network in call.networks.values())
