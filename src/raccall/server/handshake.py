"""How a connection begins: the head of its first request, and the answer to one that wants a WebSocket. Pure.

Only what a gateway needs is read here; every other request is left to the HTTP server, which gets the bytes as they
came.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from websockets.utils import accept_key

MAX_HEAD_BYTES = 16 << 10
"""Ours are under 300 bytes; browsers add cookies."""

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_NONCE_BYTES = 16

SWITCHING = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"
)
REFUSALS = {
    400: "Bad Request",
    404: "Not Found",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class HeadMalformed(Exception):
    """Not the beginning of a WebSocket; `status` is the HTTP status that says so."""

    def __init__(self, status: int) -> None:
        super().__init__(REFUSALS[status])
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """The first lines of a request. Header names are in lower case; values of one name are joined by commas."""

    target: str
    headers: dict[str, str]
    size: int
    """Bytes, up to where the body or the first WebSocket frame begins."""
    _begin: tuple[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def wants_websocket(self) -> bool:
        return "websocket" in self.headers.get("upgrade", "").lower()

    def query(self, name: str) -> str | None:
        """The last value of one name in the target's query."""
        values = parse_qs(self.target.partition("?")[2]).get(name)
        return values[-1] if values else None

    def switching(self) -> bytes:
        """The answer that makes a WebSocket of the connection (RFC 6455 section 4.2). Raises HeadMalformed."""
        connection = [option.strip() for option in self.headers.get("connection", "").lower().split(",")]
        if self._begin != ("GET", "HTTP/1.1") or "upgrade" not in connection:
            raise HeadMalformed(400)
        if self.headers.get("sec-websocket-version") != "13":
            raise HeadMalformed(426)
        key = self.headers.get("sec-websocket-key", "")
        try:
            nonce = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise HeadMalformed(400) from None
        if len(nonce) != _NONCE_BYTES:
            raise HeadMalformed(400)
        return SWITCHING.format(accept_key(key)).encode()


def read_head(data: bytes | bytearray) -> Head | None:
    """None if it is not whole yet. Raises HeadMalformed if it will never be."""
    if (end := _HEAD_END.search(data)) is None:
        if len(data) > MAX_HEAD_BYTES:
            raise HeadMalformed(431)
        return None
    first, *lines = _LINE_END.split(bytes(data[: end.start()]))
    method, _, rest = first.decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or name != name.strip():
            raise HeadMalformed(400)
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(target, headers, end.end(), (method, version))


def refusal(status: int) -> bytes:
    """An answer after which the connection is closed."""
    version = "Sec-WebSocket-Version: 13\r\n" if status == 426 else ""
    return f"HTTP/1.1 {status} {REFUSALS[status]}\r\n{version}Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
