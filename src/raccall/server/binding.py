"""One port number for TCP and UDP, on every address, or nothing at all."""

import errno
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from raccall.errors import InputError
from raccall.server.routing import RelayHandle

ATTEMPTS = 50
"""To find a port number that is free for TCP and UDP, when any will do."""

UNSENT_BYTES = 16 << 10
"""What the kernel takes for one connection before the rest waits where old voice can be dropped (Linux and macOS)."""

FILES_SHORT = (
    "This process may open too few files for a server; raise the limit (ulimit -n, or LimitNOFILE in systemd)."
)

StartRelay = Callable[[list[tuple[str, int]]], RelayHandle]
"""Binds UDP to these addresses and starts. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a server listens with."""

    sockets: list[socket.socket]
    relay: RelayHandle
    port: int

    @property
    def hosts(self) -> list[str]:
        return [sock.getsockname()[0] for sock in self.sockets]

    def close(self) -> None:
        self.relay.stop()
        for sock in self.sockets:
            sock.close()


def bind(hosts: tuple[str, ...], port: int, start_relay: StartRelay) -> Binding:
    """port 0: any that is free. An IPv6 loopback that this machine lacks is left out, if it is not the only address.

    Raises InputError `port_busy`, `port_forbidden`, `address_unusable`, `files_short`.
    """
    for _ in range(ATTEMPTS):
        try:
            return _try_bind(hosts, port, start_relay)
        except OSError as error:
            if port == 0 and error.errno == errno.EADDRINUSE:
                continue
            raise _sentence(error, hosts, port) from None
    raise InputError("port_busy", f"No port of {' and '.join(hosts)} is free for both TCP and UDP.")


def _try_bind(hosts: tuple[str, ...], port: int, start_relay: StartRelay) -> Binding:
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for host in hosts:
            try:
                sock = _listen(host, port)
            except OSError as error:
                if host == "::1" and len(hosts) > 1 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue
                raise
            undo.callback(sock.close)
            sockets.append(sock)
            port = sock.getsockname()[1]
        relay = start_relay([(sock.getsockname()[0], port) for sock in sockets])
        undo.pop_all()
        return Binding(sockets, relay, port)


def _listen(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in host:
            with suppress(AttributeError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with suppress(AttributeError, OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        sock.bind((host, port))
        sock.listen(128)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _sentence(error: OSError, hosts: tuple[str, ...], port: int) -> InputError:
    place = " and ".join(hosts)
    if error.errno == errno.EADDRINUSE:
        return InputError("port_busy", f"Port {port} of {place} is used by another program; choose one with --port.")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return InputError("files_short", FILES_SHORT)
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError("port_forbidden", f"This user may not use port {port} of {place}; choose one above 1023.")
    if error.errno == errno.EAFNOSUPPORT:
        family = "IPv6" if any(":" in host for host in hosts) else "IPv4"
        return InputError("address_unusable", f"This machine has no {family}, so it cannot listen on {place}.")
    return InputError("address_unusable", f"This machine cannot listen on {place}: {error.strerror or error}.")
