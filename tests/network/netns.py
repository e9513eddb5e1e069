"""Two network namespaces joined by a NAT in user space: clients behind it, a server beyond it.

    client 10.78.0.1 ─ TUN ─▶ Nat ─ TUN ─▶ server 10.78.0.2, which sees the UDP of clients come from where the NAT says

Needs root, iproute2 and /dev/net/tun; no netfilter. `reason_to_skip` says what is missing.
"""

import ctypes
import fcntl
import os
import select
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

CLIENT, SERVER = "10.78.0.1", "10.78.0.2"
FIRST_PORT = 20_000
UDP = 17
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001


def reason_to_skip() -> str | None:
    """Why this system cannot do it."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the command ip (iproute2) is missing"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    probe = f"probe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode != 0:
        return "this system makes no network namespaces"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


class Nat:
    """Copies packets both ways and gives each UDP port of the client an address and port of its own.

    `rebind` forgets all of them: what the server sends there is dropped, and the next packets come from elsewhere.
    While `blocks_udp` nothing but TCP passes.
    """

    def __init__(self, inside: int, outside: int) -> None:
        self._inside, self._outside = inside, outside
        self._address = "10.78.0.10"
        self._next_port = FIRST_PORT
        self._there: dict[int, tuple[str, int]] = {}
        self._back: dict[tuple[str, int], int] = {}
        self.dropped = 0
        self.blocks_udp = False
        self._stop, self._stopping = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def rebind(self, address: str | None = None) -> None:
        """New ports, and with `address` a new address as well."""
        self._address = address or self._address
        self._there, self._back = {}, {}

    def close(self) -> None:
        os.write(self._stopping, b"x")
        self._thread.join()
        for descriptor in (self._stop, self._stopping):
            os.close(descriptor)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._inside, self._outside, self._stop], [], [])
            if self._stop in ready:
                return
            for source in ready:
                packet = bytearray(os.read(source, 2048))
                if packet[0] >> 4 != 4:
                    continue  # the system's own IPv6 chatter
                if self.blocks_udp and packet[9] == UDP:
                    continue
                passed = self._leaves(packet) if source == self._inside else self._enters(packet)
                if passed:
                    with suppress(OSError):
                        os.write(self._outside if source == self._inside else self._inside, packet)

    def _leaves(self, packet: bytearray) -> bool:
        if packet[9] == UDP:
            port = struct.unpack_from(">H", packet, 20)[0]
            if port not in self._there:
                self._there[port] = (self._address, self._next_port)
                self._back[self._there[port]] = port
                self._next_port += 1
            address, mapped = self._there[port]
            _rewrite(packet, 12, address, 20, mapped)
        return True

    def _enters(self, packet: bytearray) -> bool:
        if packet[9] == UDP:
            there = (".".join(map(str, packet[16:20])), struct.unpack_from(">H", packet, 22)[0])
            port = self._back.get(there)
            if port is None:
                self.dropped += 1
                return False
            _rewrite(packet, 16, CLIENT, 22, port)
        return True


def _rewrite(packet: bytearray, address_at: int, address: str, port_at: int, port: int) -> None:
    """An address and a port of an IPv4 packet without options. UDP over IPv4 may go without a checksum."""
    packet[address_at : address_at + 4] = bytes(map(int, address.split(".")))
    struct.pack_into(">H", packet, port_at, port)
    struct.pack_into(">H", packet, 26, 0)
    struct.pack_into(">H", packet, 10, 0)
    total = sum(struct.unpack_from(">10H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into(">H", packet, 10, ~(total + (total >> 16)) & 0xFFFF)


@contextmanager
def behind_a_nat() -> Iterator[tuple[str, str, Nat]]:
    """(namespace of the clients, namespace of the server, the NAT between them); all gone at the end."""
    names = [f"rc{os.getpid()}{end}" for end in "ab"]
    with ExitStack() as undo:
        tuns = []
        for name, own in zip(names, (CLIENT, SERVER), strict=True):
            _ip("netns", "add", name)
            undo.callback(_ip, "netns", "delete", name)
            tuns.append(_tun(name))
            undo.callback(os.close, tuns[-1])
            _ip("-n", name, "address", "add", f"{own}/24", "dev", "tun0")
            _ip("-n", name, "link", "set", "tun0", "mtu", "1400", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        nat = Nat(*tuns)
        undo.callback(nat.close)
        yield names[0], names[1], nat


def _tun(namespace: str) -> int:
    """A TUN device of the namespace, opened here."""
    opened: list[int | BaseException] = []

    def enter_and_open() -> None:  # in a thread of its own, for a thread that entered a namespace stays there
        try:
            with open(f"/run/netns/{namespace}") as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", b"tun0", IFF_TUN_NO_PI))
            opened.append(tun)
        except BaseException as error:  # handed over to the caller's thread
            opened.append(error)

    thread = threading.Thread(target=enter_and_open)
    thread.start()
    thread.join()
    (result,) = opened
    if isinstance(result, BaseException):
        raise result
    return result


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
