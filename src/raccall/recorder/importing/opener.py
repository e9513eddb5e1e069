"""Opens a capture's datagrams without being told which key or mode each was sealed with.

A seal that fits proves both. So every key is tried in every mode that may be meant, the one that fitted last first: a
session has one of each, a reconnection brings a new key.

A replay window is there against those who send again what was sent before. In a capture there are none: a sender that
began its numbers anew under its old SSRC is believed once some packets in sequence say so.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from raccall.units import OPUS_PAYLOAD_TYPE, Nanos, Ssrc
from raccall.voice.chains import ReceiveChain
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import TRANSPORT_MODES, Cipher, WireError, is_rtcp

RESTART_PACKETS = 5
"""In sequence, with numbers long past: a sender that began anew, not a network that was slow."""

_FIXED_HEADER_BYTES = 12
_DAVE_MARK = b"\xfa\xfa"
_DAVE_SUPPLEMENT_BYTES = range(12, 33)
"""Behind an end-to-end encrypted frame stands its supplement: tag 8, nonce 1 to 5, ranges, its own size 1, mark 2."""


class Opener:
    """One capture's keys. `counts` says what became of the datagrams, `modes` how many were opened in which mode."""

    def __init__(self, keys: Iterable[bytes], modes: Sequence[str] = TRANSPORT_MODES) -> None:
        self.counts: Counter[str] = Counter()
        self.modes: Counter[str] = Counter()
        self._doors = [_Door(mode, key) for key in keys for mode in modes]

    def open(self, datagram: bytes, now: Nanos) -> list[TappedPacket]:
        """The voice packet in a datagram, if it is one and came for the first time; else why not is counted.

        More than one, the oldest first, when it is the one by which a sender's new numbers are believed.

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
        elif (door := self._door_for(datagram)) is None:
            self.counts["not_opened"] += 1
        else:
            self.modes[door.mode] += 1
            packets = door.push(datagram, now)
            plain = [packet for packet in packets if not is_end_to_end_encrypted(packet.payload)]
            self.counts["end_to_end_encrypted"] += len(packets) - len(plain)
            self.counts["opened"] += len(plain)
            return plain
        return []

    def close(self) -> None:
        """Add to `counts` what the chains refused."""
        for door in self._doors:
            self.counts.update(door.refused())

    def _door_for(self, datagram: bytes) -> "_Door | None":
        for place, door in enumerate(self._doors):
            if door.fits(datagram):
                if place:
                    self._doors.insert(0, self._doors.pop(place))
                return door
        return None


class _Door:
    """One key in one mode."""

    def __init__(self, mode: str, key: bytes) -> None:
        self.mode = mode
        self._key = key
        self._cipher = Cipher(mode, key)
        self._chain: ReceiveChain | None = None
        self._too_old = 0
        """Packets that the chain refused so; those that were believed in the end are `_believed`."""
        self._believed = 0
        self._restarting: dict[Ssrc, list[tuple[bytes, Nanos]]] = {}

    def fits(self, datagram: bytes) -> bool:
        try:
            self._cipher.open(datagram)
        except WireError:
            return False
        return True

    def push(self, datagram: bytes, now: Nanos) -> list[TappedPacket]:
        """What is fresh by it."""
        if self._chain is None:
            self._chain = ReceiveChain(self.mode, self._key)
            self._chain.set_decoding(False)
        ssrc = Ssrc(int.from_bytes(datagram[8:12], "big"))
        packet = self._chain.push(datagram, now)
        if packet is not None:
            self._restarting.pop(ssrc, None)
            return [packet]
        too_old = self._chain.report().refused.get("too_old", 0)
        if too_old == self._too_old:
            return []
        self._too_old = too_old
        waiting = self._restarting.setdefault(ssrc, [])
        if waiting and _sequence(datagram) != _sequence(waiting[-1][0]) + 1 & 0xFFFF:
            waiting.clear()
        waiting.append((datagram, now))
        if len(waiting) < RESTART_PACKETS:
            return []
        self._believed += len(waiting)
        self._chain.remove_source(ssrc)
        del self._restarting[ssrc]
        return [packet for held in waiting if (packet := self._chain.push(*held)) is not None]

    def refused(self) -> Counter[str]:
        """By reason."""
        refused = Counter({} if self._chain is None else self._chain.report().refused)
        refused["too_old"] -= self._believed
        return +refused


def is_end_to_end_encrypted(payload: bytes) -> bool:
    """Whether a frame carries DAVE's trailer. One in a million of other Opus packets looks so by chance."""
    return payload[-2:] == _DAVE_MARK and payload[-3] in _DAVE_SUPPLEMENT_BYTES and payload[-3] < len(payload)


def _sequence(datagram: bytes) -> int:
    return int.from_bytes(datagram[2:4], "big")
