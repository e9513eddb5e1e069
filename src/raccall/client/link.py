"""An invite link, taken apart: where the server is, what lets one in, and which certificate to expect.

http://HOST[:PORT]/join/TOKEN
https://HOST[:PORT]/join/TOKEN[#SHA256 of the certificate, 64 hexadecimal digits]
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from raccall.errors import InputError

_PATH = re.compile(r"/join/([A-Za-z0-9._~-]+)/?")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_EXAMPLE = "it looks like http://HOST:PORT/join/TOKEN"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class InviteLink:
    """Where to go and what to show there."""

    secure: bool
    """True for https."""
    host: str
    """Name or IP address, without brackets."""
    port: int
    token: str = field(repr=False)
    """What the server signed."""
    fingerprint: bytes | None = None
    """SHA-256 of the one certificate to accept, 32 bytes; None: whatever the system's authorities vouch for."""

    @property
    def api_url(self) -> str:
        """Of the REST interface."""
        return f"{'https' if self.secure else 'http'}://{self.authority}/api"

    @property
    def gateway_url(self) -> str:
        """Of the control WebSocket."""
        return f"{self.websocket_scheme}://{self.authority}/gateway"

    @property
    def websocket_scheme(self) -> str:
        return "wss" if self.secure else "ws"

    @property
    def authority(self) -> str:
        """host:port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_link(text: str) -> InviteLink:
    """Read an invite link. Raises InputError `invite_malformed` with what is wrong with it."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _malformed(f"This is not an invite link; {_EXAMPLE}.") from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise _malformed(f"This is not an invite link; {_EXAMPLE}.")
    if (path := _PATH.fullmatch(parts.path)) is None:
        raise _malformed(f"The invite link has no token after /join/; {_EXAMPLE}.")
    fingerprint = parts.fragment.replace(":", "").lower()
    secure = parts.scheme == "https"
    if fingerprint and not secure:
        raise _malformed("The invite link names a certificate but is http; the part before :// should be https.")
    if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
        raise _malformed("The invite link's part after # is not a whole fingerprint (64 hexadecimal digits).")
    return InviteLink(
        secure=secure,
        host=host,
        port=DEFAULT_PORTS[parts.scheme] if port is None else port,
        token=path[1],
        fingerprint=bytes.fromhex(fingerprint) if fingerprint else None,
    )


def _malformed(sentence: str) -> InputError:
    return InputError("invite_malformed", sentence)
