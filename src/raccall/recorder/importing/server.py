"""Which of a capture's datagrams are meant: those from and to the voice server, when a person says where it was."""

import ipaddress
from dataclasses import dataclass

from raccall.errors import InputError
from raccall.recorder.importing.datagrams import Datagram, Endpoint


@dataclass(frozen=True, slots=True)
class Server:
    """An address, a port, or both; None is any."""

    host: bytes | None = None
    """4 or 16 bytes."""
    port: int | None = None

    def has_part_in(self, datagram: Datagram) -> bool:
        """Whether it sent or received the datagram."""
        return self._is(datagram.source) or self._is(datagram.destination)

    def _is(self, end: Endpoint) -> bool:
        return self.host in (None, end.host) and self.port in (None, end.port)


def parse_server(text: str) -> Server:
    """ADDRESS, ADDRESS:PORT, [IPv6]:PORT or PORT. Raises InputError "server_malformed"."""
    host, port = text, ""
    if text.isascii() and text.isdigit():
        host, port = "", text
    elif text.startswith("[") and "]" in text:
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        number = int(port) if port else None
        address = ipaddress.ip_address(host).packed if host else None
    except ValueError:
        number = -1
        address = None
    if (number is not None and not 0 < number < 1 << 16) or (number is None and address is None):
        raise InputError(
            "server_malformed",
            f"{text} is no server in a capture: it looks like 203.0.113.5, 203.0.113.5:50004 or 50004.",
        )
    return Server(address, number)
