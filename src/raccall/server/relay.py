"""The relay as the control plane holds it: bound to the server's host and port, errors in words for people."""

import errno
import socket

from raccall._native import Relay
from raccall.errors import InputError

RECEIVE_BUFFER_BYTES = 8 << 20
"""Asked for per socket: a burst must fit while the thread waits for a processor. The usual 208 KiB lose 1 to 3 %."""


class MediaRelay:
    """The native relay behind the methods that routing and voice sessions use. Any thread may call them.

    host: an IP address, a name (all its addresses are bound) or "" for every address, IPv4 and IPv6.
    port: 0 takes a free one, the same for all addresses.
    Raises InputError: `port_busy`, `address_unavailable`, `port_refused`.
    """

    def __init__(self, host: str, port: int, *, receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES) -> None:
        self._asked_bytes = receive_buffer_bytes
        self._foreign_hosts = 0
        self._native = _start(host, port, receive_buffer_bytes)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return self._native.addresses

    @property
    def port(self) -> int:
        return self._native.addresses[0][1]

    @property
    def shortage(self) -> str | None:
        """One sentence for the owner if the system granted a smaller receive buffer than was asked for."""
        granted = self._native.receive_buffer_bytes
        if granted >= self._asked_bytes:
            return None
        return (
            f"The system grants {granted // 1024} KiB of receive buffer instead of {self._asked_bytes // 1024} KiB, so "
            "a busy machine may lose packets; on Linux, raise net.core.rmem_max."
        )

    def add_session(self, session_id: int, ssrc: int, mode: str, key: bytes) -> None:
        self._native.add_session(session_id, ssrc, mode, key)

    def remove_session(self, session_id: int) -> None:
        self._native.remove_session(session_id)

    def set_route(self, session_id: int, destinations: list[int]) -> None:
        self._native.set_route(session_id, destinations)

    def set_address(self, session_id: int, address: tuple[str, int]) -> None:
        """The address comes from a client: one that is none was not observed either."""
        try:
            self._native.set_address(session_id, address)
        except (ValueError, OverflowError):
            self._foreign_hosts += 1

    def counters(self) -> dict[str, int]:
        counters = self._native.counters()
        counters["not_observed"] += self._foreign_hosts
        return counters

    def session_stats(self, session_id: int) -> dict[str, int] | None:
        return self._native.session_stats(session_id)

    def stop(self) -> None:
        self._native.stop()


def _start(host: str, port: int, receive_buffer_bytes: int) -> Relay:
    hosts = _resolve(host)
    if port == 0 and len(hosts) > 1:
        port = _free_port(hosts)
    try:
        return Relay([(host, port) for host in hosts], receive_buffer_bytes=receive_buffer_bytes)
    except OSError as error:
        where = f"UDP port {port} of {', '.join(hosts)}"
        match error.errno:
            case errno.EADDRINUSE:
                raise InputError("port_busy", f"{where} is in use by another program.") from error
            case errno.EACCES:
                raise InputError("port_refused", f"The system does not let this user open {where}.") from error
            case _:
                raise InputError("address_unavailable", f"{where} cannot be opened: {error.strerror}.") from error


def _resolve(host: str) -> list[str]:
    """Every IP address to bind, IPv4 first. Of all addresses of the machine, the families that it has."""
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InputError("address_unavailable", f"{host!r} is no address of this machine.") from error
    hosts = {str(address[0]): family for family, *_, address in found}
    if not host:
        hosts = {ip: family for ip, family in hosts.items() if _can_bind(family, ip)}
    return sorted(hosts, key=lambda ip: hosts[ip] == socket.AF_INET6)


def _can_bind(family: int, ip: str) -> bool:
    """False where IPv6 is switched off."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True


def _free_port(hosts: list[str]) -> int:
    """A port that is free on the first address; the others get it too."""
    relay = Relay([(hosts[0], 0)])
    try:
        return relay.addresses[0][1]
    finally:
        relay.stop()
