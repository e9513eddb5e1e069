"""UDP datagrams out of captured packets: Ethernet, raw IP, loopback and Linux's "cooked" captures; IPv4 and IPv6."""

from typing import Literal, NamedTuple

from raccall.recorder.importing.capture import Captured

Skipped = Literal["no_time", "other_link", "not_ip", "not_udp", "fragment", "cut_short", "malformed"]
"""Why a captured packet holds no datagram that can be used. "cut_short": the capture kept only its beginning."""

_LOOPBACK, _ETHERNET, _OPEN_LOOPBACK, _COOKED, _COOKED_2 = 0, 1, 108, 113, 276
_RAW_IP = {12, 14, 101, 228, 229}
"""By the systems' own numbers and by the standard's."""

_VLAN = {0x8100, 0x88A8, 0x9100}
_IP = {0x0800, 0x86DD}
_UDP = 17
_EXTENSION_HEADERS = {0, 43, 60}
"""Of IPv6: hop-by-hop, routing, destination options; all say their length the same way."""
_FRAGMENT_HEADER = 44
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF


class Endpoint(NamedTuple):
    """Where a datagram came from or went to."""

    host: bytes
    """4 or 16 bytes."""
    port: int


class Datagram(NamedTuple):
    """What one UDP packet carried."""

    wall_ns: int
    source: Endpoint
    destination: Endpoint
    payload: bytes


def datagram_of(captured: Captured) -> Datagram | Skipped:
    """The UDP datagram in a captured packet, or why there is none. Never raises, whatever the bytes are."""
    if captured.wall_ns is None:
        return "no_time"
    packet = _network_layer(captured.link_type, captured.data)
    if isinstance(packet, str):
        return packet
    found = _transport_layer(packet)
    if isinstance(found, str):
        # A field that cannot be read is a mistake of the sender only where the capture kept everything.
        return "cut_short" if found == "malformed" and not captured.whole else found
    source, destination, udp = found
    if len(udp) < 8:
        return "malformed" if captured.whole else "cut_short"
    length = _u16(udp, 4)
    if length < 8:
        return "malformed"
    if length > len(udp):
        return "malformed" if captured.whole else "cut_short"
    return Datagram(
        captured.wall_ns, Endpoint(source, _u16(udp, 0)), Endpoint(destination, _u16(udp, 2)), udp[8:length]
    )


def _network_layer(link_type: int, data: bytes) -> bytes | Skipped:
    """The IP packet in a frame."""
    if link_type in _RAW_IP:
        return data
    if link_type in (_LOOPBACK, _OPEN_LOOPBACK):
        return data[4:]  # an address family, whose number every system chose differently: the IP version tells, too
    if link_type == _COOKED_2:
        kind, start = _u16(data, 0), 20
    elif link_type == _COOKED:
        kind, start = _u16(data, 14), 16
    elif link_type == _ETHERNET:
        kind, start = _u16(data, 12), 14
    else:
        return "other_link"
    while kind in _VLAN:
        kind, start = _u16(data, start + 2), start + 4
    return data[start:] if kind in _IP else "not_ip"


def _transport_layer(packet: bytes) -> tuple[bytes, bytes, bytes] | Skipped:
    """Source, destination and the UDP packet, of an IP packet."""
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        return _ipv4(packet)
    if version == 6:
        return _ipv6(packet)
    return "not_ip" if packet else "malformed"


def _ipv4(packet: bytes) -> tuple[bytes, bytes, bytes] | Skipped:
    header = 4 * (packet[0] & 0x0F)
    if header < 20 or len(packet) < header:
        return "malformed"
    if packet[9] != _UDP:
        return "not_udp"
    if _u16(packet, 6) & _MORE_FRAGMENTS_OR_OFFSET:
        return "fragment"
    # A frame may be filled up behind the packet. Captured before the network card cut it, its length is 0.
    total = _u16(packet, 2) or len(packet)
    return packet[12:16], packet[16:20], packet[header:total]


def _ipv6(packet: bytes) -> tuple[bytes, bytes, bytes] | Skipped:
    if len(packet) < 40:
        return "malformed"
    kind, at = packet[6], 40
    end = at + (_u16(packet, 4) or len(packet))
    while kind in _EXTENSION_HEADERS and at + 8 <= len(packet):
        kind, at = packet[at], at + 8 * (packet[at + 1] + 1)
    if kind in _EXTENSION_HEADERS:
        return "malformed"
    if kind == _FRAGMENT_HEADER:
        return "fragment"
    return (packet[8:24], packet[24:40], packet[at:end]) if kind == _UDP else "not_udp"


def _u16(data: bytes, at: int) -> int:
    """0 behind the end."""
    return int.from_bytes(data[at : at + 2], "big") if at + 2 <= len(data) else 0
