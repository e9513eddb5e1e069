"""A call in virtual time: talkers, an emulated network each, one listener. No socket, no server, no waiting.

call = VirtualCall(BAD_WIFI, seed=1)
call.add(1)
heard = call.run({1: speech})       # 48 kHz mono; seconds of talk in milliseconds
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raccall.testing.clock import VirtualClock
from raccall.testing.network import LAN, EmulatedNetwork, NetworkConditions
from raccall.units import FRAME_SAMPLES, Ssrc
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.voice.tap import TappedPacket

MODE = "aead_aes256_gcm_rtpsize"
KEY = bytes(range(32))
PULL_MS = 10
PULLS_PER_FRAME = 2

Samples = NDArray[np.float32]


def talker(
    ssrc: int, *, complexity: int = 5, expected_loss_pct: int = 10, first_sequence: int = 0, first_timestamp: int = 0
) -> SendChain:
    """A SendChain with this module's mode and key."""
    return SendChain(
        ssrc,
        MODE,
        KEY,
        complexity=complexity,
        expected_loss_pct=expected_loss_pct,
        first_sequence=first_sequence,
        first_timestamp=first_timestamp,
    )


class VirtualCall:
    """Talkers and one listener, clocked together: each talker's 20 ms go out, then the listener pulls twice 10 ms."""

    def __init__(
        self, conditions: NetworkConditions = LAN, seed: int = 1, *, listener: ReceiveChain | None = None
    ) -> None:
        """`conditions` hold for each talker's way to the listener. A given `listener` uses this module's key."""
        self.clock = VirtualClock()
        self.listener = listener or ReceiveChain(MODE, KEY, deep_plc=False)
        self.talkers: dict[Ssrc, SendChain] = {}
        self.networks: dict[Ssrc, EmulatedNetwork] = {}
        self.fresh: list[TappedPacket] = []
        """Packets that the listener took, as a Tap would tell them."""
        self._conditions = conditions
        self._seed = seed

    def add(self, ssrc: int, chain: SendChain | None = None) -> SendChain:
        """Let `ssrc` join, with its own network."""
        self.networks[Ssrc(ssrc)] = EmulatedNetwork(self._conditions, self._seed + len(self.networks))
        return self.talkers.setdefault(Ssrc(ssrc), chain or talker(ssrc))

    def leave(self, ssrc: int) -> None:
        """Let `ssrc` go without a word; what is under way still arrives."""
        del self.talkers[Ssrc(ssrc)]

    def run(self, speech: Mapping[int, Samples]) -> Samples:
        """Everyone speaks at once, shorter ones are silent in the end. Returns what the listener hears meanwhile."""
        frames = max(len(samples) for samples in speech.values()) // FRAME_SAMPLES
        heard: list[Samples] = []
        for number in range(frames):
            for ssrc, chain in self.talkers.items():
                said = speech.get(ssrc, np.zeros(0, np.float32))
                frame = np.zeros(FRAME_SAMPLES, np.float32)
                part = said[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES]
                frame[: len(part)] = part
                datagram = chain.push(frame, self.clock.now)
                if datagram is not None:
                    self.networks[ssrc].send(datagram, self.clock.now)
            for _ in range(PULLS_PER_FRAME):
                self.clock.advance(ms=PULL_MS)
                heard.append(self._listen())
        return np.concatenate(heard)

    def _listen(self) -> Samples:
        """Deliver what has arrived, in its order, then pull."""
        now = self.clock.now
        arrived = [pair for network in self.networks.values() for pair in network.receive_with_times(now)]
        for arrival, datagram in sorted(arrived, key=lambda pair: pair[0]):
            packet = self.listener.push(datagram, arrival)
            if packet is not None:
                self.fresh.append(packet)
        return self.listener.pull(now)[:, 0]
