"""Muted means muted: within 40 ms the last packet is out, and none of them carries what was said since."""

import numpy as np
from numpy.typing import NDArray

from raccall._native import Cipher
from raccall.testing.call import KEY, MODE, VirtualCall, talker
from raccall.testing.clock import VirtualClock
from raccall.units import NANOS_PER_MS
from raccall.wire.packet import Packet

SILENCE = b"\xf8\xff\xfe"


def test_mute_stops_packets_within_40_ms(anna: NDArray[np.float32]) -> None:
    chain, clock, cipher = talker(1), VirtualClock(), Cipher(MODE, KEY)
    muted_at, last_sent, payloads = clock.now, clock.now, []
    for number in range(100):
        if number == 30:
            chain.set_muted(True)
            muted_at = clock.now
        datagram = chain.push(anna[number * 960 : (number + 1) * 960], clock.advance(ms=20))
        if datagram is not None:
            last_sent = clock.now
            payloads.append(Packet.parse(cipher.open(datagram)).payload)
    assert len(payloads) in (30, 31)
    assert last_sent - muted_at <= 40 * NANOS_PER_MS
    assert payloads[30:] in ([], [SILENCE])


def test_a_muted_talker_is_silent_and_comes_back_in_time(anna: NDArray[np.float32]) -> None:
    call = VirtualCall()
    chain = call.add(1)
    call.run({1: anna[:48_000]})
    chain.set_muted(True)
    quiet = call.run({1: anna[48_000:96_000]})
    assert np.abs(quiet[9600:]).max() == 0
    assert call.listener.report().sources[0].concealed == 0, "a mute is no loss"
    chain.set_muted(False)
    back = call.run({1: anna[48_000:96_000]})
    assert np.abs(back[:14_400]).max() > 0.02
    source = call.listener.report().sources[0]
    assert (source.lost, source.concealed, source.late) == (0, 0, 0)
