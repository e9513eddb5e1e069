"""The stand-in's emulated networks; one also does to packets what Discord's servers do: extensions and padding."""

from raccall.testing.bad_network import Address, BadNetwork
from raccall.testing.network import NetworkConditions
from raccall.units import OPUS_PAYLOAD_TYPE, Ssrc
from raccall.wire.packet import Cipher, Extension, Packet, is_rtcp

ONE_BYTE_ELEMENTS = 0xBEDE
"""RFC 8285 section 4.2."""
NONCE_BYTES = 4
LONGEST_EXTENSION_WORDS = 4
LONGEST_PADDING = 16


DISCOVERY_BYTES = 74


class VoiceNetwork(BadNetwork):
    """Spares IP discovery: discord.py asks once only, and fails when that is lost.

    But the answer takes its time. discord.py keeps its socket when it is moved, and has read nothing from it since it
    was connected: its buffer may be full of voice, and then an answer within microseconds finds no place.
    """

    def _spared(self, datagram: bytes) -> bool:
        return len(datagram) == DISCOVERY_BYTES


class DecoratedNetwork(VoiceNetwork):
    """From the server to the client each packet gets 0 to 4 words of extension and 0 to 15 bytes of padding.

    It needs the transport key, which the voice server's line hands over; until then packets pass as they are.
    """

    def __init__(self, server: Address, conditions: NetworkConditions, seed: int) -> None:
        super().__init__(server, conditions, seed)
        self._cipher: Cipher | None = None
        self.delivered: dict[tuple[Ssrc, int], bytes] = {}
        """SSRC and sequence number → payload of each voice packet that was handed to the client, once."""

    def set_key(self, mode: str, key: bytes) -> None:
        """From here on packets are sealed like this."""
        self._cipher = Cipher(mode, key)

    def _to_client(self, datagram: bytes) -> None:
        super()._to_client(self._decorate(datagram))

    def _decorate(self, datagram: bytes) -> bytes:
        if self._cipher is None or len(datagram) < NONCE_BYTES or datagram[0] >> 6 != 2 or is_rtcp(datagram):
            return datagram
        packet = Packet.parse(self._cipher.open(datagram))
        if packet.payload_type == OPUS_PAYLOAD_TYPE:
            self.delivered[packet.ssrc, packet.sequence] = packet.payload
        words = packet.sequence % (LONGEST_EXTENSION_WORDS + 1)
        decorated = Packet(
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            ssrc=packet.ssrc,
            payload=packet.payload,
            marker=packet.marker,
            payload_type=packet.payload_type,
            csrc=packet.csrc,
            extension=packet.extension or (Extension(ONE_BYTE_ELEMENTS, bytes(4 * words)) if words else None),
            padding_bytes=packet.sequence % LONGEST_PADDING,
        )
        # The nonce comes twice with this key: harmless here, where nobody attacks.
        return self._cipher.seal(decorated.write(), datagram[-NONCE_BYTES:])
