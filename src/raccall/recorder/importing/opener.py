"""Opens a capture's datagrams without being told which key or mode each was sealed with.

A seal that fits proves both. So every key is tried in every mode that may be meant, the one that fitted last first: a
session has one of each, a reconnection brings a new key.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from raccall.units import OPUS_PAYLOAD_TYPE, Nanos
from raccall.voice.chains import ReceiveChain
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import TRANSPORT_MODES, Cipher, WireError, is_rtcp

_FIXED_HEADER_BYTES = 12
_DAVE_MARK = b"\xfa\xfa"
_DAVE_SUPPLEMENT_BYTES = range(12, 33)
"""Behind an end-to-end encrypted frame stands its supplement: tag 8, nonce 1 to 5, ranges, its own size 1, mark 2."""


class Opener:
    """One capture's keys. `counts` says what became of the datagrams, `modes` how many were opened in which mode."""

    def __init__(self, keys: Iterable[bytes], modes: Sequence[str] = TRANSPORT_MODES) -> None:
        self.counts: Counter[str] = Counter()
        self.modes: Counter[str] = Counter()
        self._doors = [(Cipher(mode, key), key) for key in keys for mode in modes]
        self._chains: dict[tuple[str, bytes], ReceiveChain] = {}

    def open(self, datagram: bytes, now: Nanos) -> TappedPacket | None:
        """The voice packet in a datagram, if it is one and came for the first time; else why not is counted.

        "not_voice": neither RTP nor RTCP: IP discovery, keepalives, other programs. "other_payload": video and its
        repairs. "reports": RTCP. "not_opened": no key fits. "end_to_end_encrypted": opened, but sealed once more.
        Others are those of a ReceiveChain: "duplicate", "too_old", "malformed", "too_many_sources".
        """
        if len(datagram) < _FIXED_HEADER_BYTES or datagram[0] >> 6 != 2:
            self.counts["not_voice"] += 1
        elif is_rtcp(datagram):
            self.counts["reports"] += 1
        elif datagram[1] & 0x7F != OPUS_PAYLOAD_TYPE:
            self.counts["other_payload"] += 1
        elif (chain := self._chain_for(datagram)) is None:
            self.counts["not_opened"] += 1
        else:
            packet = chain.push(datagram, now)
            if packet is not None and is_end_to_end_encrypted(packet.payload):
                self.counts["end_to_end_encrypted"] += 1
            elif packet is not None:
                self.counts["opened"] += 1
                return packet
        return None

    def close(self) -> None:
        """Add to `counts` what the chains refused."""
        for chain in self._chains.values():
            self.counts.update(chain.report().refused)
        self._chains.clear()

    def _chain_for(self, datagram: bytes) -> ReceiveChain | None:
        for place, (cipher, key) in enumerate(self._doors):
            try:
                cipher.open(datagram)
            except WireError:
                continue
            if place:
                self._doors.insert(0, self._doors.pop(place))
            self.modes[cipher.mode] += 1
            chain = self._chains.get((cipher.mode, key))
            if chain is None:
                chain = self._chains[cipher.mode, key] = ReceiveChain(cipher.mode, key)
                chain.set_decoding(False)
            return chain
        return None


def is_end_to_end_encrypted(payload: bytes) -> bool:
    """Whether a frame carries DAVE's trailer. One in a million of other Opus packets looks so by chance."""
    return payload[-2:] == _DAVE_MARK and payload[-3] in _DAVE_SUPPLEMENT_BYTES and payload[-3] < len(payload)
