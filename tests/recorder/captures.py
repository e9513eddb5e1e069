"""Captures as other programs make them: sealed by PyNaCl and `cryptography`, framed and filed with `struct` alone."""

import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from calls import WALL_NS, ogg_packets
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.secret import SecretBox

from raccall.recorder.importing import Owner, import_capture
from raccall.units import Ssrc
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import TRANSPORT_MODES

KEY = bytes(range(1, 33))
SERVER = ("198.51.100.7", 50_004)
BOT = ("192.0.2.10", 40_000)
SERVER_6 = ("2001:db8::7", 50_004)
BOT_6 = ("2001:db8::10", 40_000)

ETHERNET, RAW, NULL, LOOP, COOKED, COOKED_2 = 1, 101, 0, 108, 113, 276

Timed = tuple[int, bytes]
"""UTC in nanoseconds, and a datagram or frame."""


def seal(mode: str, rtp: bytes, counter: int, key: bytes = KEY) -> bytes:
    """As Discord's servers did it: the wire nonce is a big-endian counter."""
    nonce = struct.pack(">I", counter)
    clear = 12
    if mode.endswith("_rtpsize"):
        clear += 4 * (rtp[0] & 0x0F) + (4 if rtp[0] & 0x10 else 0)
    if 200 <= rtp[1] <= 206:
        clear = 8
    head, body = rtp[:clear], rtp[clear:]
    match mode:
        case "aead_aes256_gcm_rtpsize" | "aead_aes256_gcm":
            return head + AESGCM(key).encrypt(nonce + bytes(8), body, head) + nonce
        case "aead_xchacha20_poly1305_rtpsize":
            return head + crypto_aead_xchacha20poly1305_ietf_encrypt(body, head, nonce + bytes(20), key) + nonce
        case "xsalsa20_poly1305":
            return head + SecretBox(key).encrypt(body, head.ljust(24, b"\0")).ciphertext
        case "xsalsa20_poly1305_suffix":
            full = (nonce * 6)[::-1]
            return head + SecretBox(key).encrypt(body, full).ciphertext + full
        case "xsalsa20_poly1305_lite" | "xsalsa20_poly1305_lite_rtpsize":
            return head + SecretBox(key).encrypt(body, nonce + bytes(20)).ciphertext + nonce
    raise ValueError(mode)


def sealed(packets: Iterable[TappedPacket], mode: str, key: bytes = KEY) -> list[Timed]:
    """Each packet as it came from the network, at its arrival."""
    return [(WALL_NS + packet.arrival, seal(mode, packet.rtp, number, key)) for number, packet in enumerate(packets)]


def udp(payload: bytes, source: tuple[str, int] = SERVER, destination: tuple[str, int] = BOT) -> bytes:
    """An IP packet with a UDP datagram; checksums 0, as a network card that makes them leaves it to captures."""
    datagram = struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    if ":" in source[0]:
        ends = socket.inet_pton(socket.AF_INET6, source[0]) + socket.inet_pton(socket.AF_INET6, destination[0])
        return struct.pack(">IHBB", 6 << 28, len(datagram), 17, 64) + ends + datagram
    ends = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(datagram), 7, 0x4000, 64, 17, 0) + ends + datagram


def frame(link_type: int, ip: bytes, vlan: bool = False) -> bytes:
    """An IP packet as a network of that kind carries it."""
    kind = 0x86DD if ip[0] >> 4 == 6 else 0x0800
    tag = struct.pack(">HH", 0x8100, 5) if vlan else b""
    match link_type:
        case 1:
            return (bytes(12) + tag + struct.pack(">H", kind) + ip).ljust(60, b"\0")  # short frames are filled up
        case 0:
            return struct.pack("<I", 2) + ip
        case 108:
            return struct.pack(">I", 2) + ip
        case 113:
            return bytes(14) + struct.pack(">H", kind) + ip
        case 276:
            return struct.pack(">H", kind) + bytes(18) + ip
    return ip


def frames(datagrams: Iterable[Timed], link_type: int = ETHERNET) -> list[Timed]:
    """Datagrams from the server to the bot."""
    return [(at, frame(link_type, udp(datagram))) for at, datagram in datagrams]


def pcap(
    packets: Iterable[Timed], link_type: int = ETHERNET, order: str = "<", unit_ns: int = 1000, snaplen: int = 65_535
) -> bytes:
    """A classic capture."""
    magic = {1000: 0xA1B2C3D4, 1: 0xA1B23C4D}[unit_ns]
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)
    for at, data in packets:
        seconds, rest = divmod(at, 1_000_000_000)
        kept = data[:snaplen]
        out += struct.pack(order + "IIII", seconds, rest // unit_ns, len(kept), len(data)) + kept
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """One block of pcapng."""
    body = body.ljust((len(body) + 3) // 4 * 4, b"\0")
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int, order: str = "<", exponent: int = 9) -> bytes:
    resolution = struct.pack(order + "HHB3x", 9, 1, exponent)
    return block(1, struct.pack(order + "HHI", link_type, 0, 0) + resolution + bytes(4), order)


def enhanced(at: int, data: bytes, number: int = 0, order: str = "<", unit_ns: int = 1) -> bytes:
    ticks = at // unit_ns
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data, order)


def pcapng(packets: Sequence[Timed], link_type: int = ETHERNET, order: str = "<") -> bytes:
    """A capture as dumpcap writes it, with times in nanoseconds."""
    return section(order) + interface(link_type, order) + b"".join(enhanced(*one, order=order) for one in packets)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def imported(
    folder: Path,
    datagrams: Iterable[Timed],
    *keys: bytes,
    owners: dict[int, Owner] | None = None,
    modes: Sequence[str] = TRANSPORT_MODES,
) -> Path:
    """A recording of these datagrams, not rendered."""
    folder.mkdir(parents=True, exist_ok=True)
    capture = write(folder / "bot.pcap", pcap(frames(datagrams), unit_ns=1))
    known = {Ssrc(ssrc): owner for ssrc, owner in (owners or {}).items()}
    import_capture(capture, folder / "call", keys or (KEY,), owners=known, modes=modes)
    return folder / "call"


def track(folder: Path, name: str) -> list[bytes]:
    """The packets of one speaker's file in which something is said: not those that stand for a gap or silence."""
    packets = ogg_packets((folder / "tracks" / f"{name}.opus").read_bytes())[2:]
    return [packet for packet in packets if len(packet) > 3]
