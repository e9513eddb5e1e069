"""How a server is started, checked before anything is opened."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from raccall.errors import InputError
from raccall.server.relay import MAX_THREADS, SPEAKERS_AT_ONCE
from raccall.server.rooms import DEFAULT_CAPACITY
from raccall.units import DEFAULT_PORT
from raccall.wire.control import EncryptionPolicy, RecordingPolicy

LOOPBACK = ("127.0.0.1", "::1")
FIRST_ROOM = "lounge"
INVITE_LASTS = timedelta(days=7)
MAX_RETENTION_DAYS = 36_500
"""A century."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """All of them have defaults but the folder."""

    data: Path
    """The folder for everything that must last; made if it is not there."""
    host: str | tuple[str, ...] = ()
    """IP addresses to listen on; none: loopback, IPv4 and (where there is) IPv6."""
    port: int = DEFAULT_PORT
    """TCP and UDP. 0: any free one."""
    tls: bool = False
    """Make and keep a self-signed certificate; invite links carry its fingerprint."""
    certificate: Path | None = None
    """A given certificate (PEM, with its chain) ..."""
    certificate_key: Path | None = None
    """... and its private key."""
    insecure: bool = False
    """Plain text beyond this machine. Voice keys can be read on the way."""
    public_address: str | None = None
    """host or host:port that clients are told, instead of the one they used."""
    room: str = FIRST_ROOM
    """Made if it is not there."""
    room_capacity: int = DEFAULT_CAPACITY
    recording: RecordingPolicy | None = None
    """Of that room, from now on; None: as it was stored, "ask" at first."""
    retention_days: int | None = None
    """Of that room, from now on; None: as it was stored, for ever at first."""
    encryption: EncryptionPolicy | None = None
    """Of that room, from now on; None: as it was stored, `rooms.DEFAULT_ENCRYPTION` at first."""
    speakers_at_once: int = SPEAKERS_AT_ONCE
    """How many of a room its members hear at once: the loudest. Recorders hear all."""
    old_modes: bool = False
    """Let in clients from before 2024-11-18 as well, whose seals protect less; new clients choose as ever."""
    relay_threads: int | None = None
    """Threads that forward voice; None: half of the processors."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to listen on."""
        if not self.host:
            return LOOPBACK
        return (self.host,) if isinstance(self.host, str) else self.host

    @property
    def encrypted(self) -> bool:
        return self.tls or self.certificate is not None

    def check(self) -> None:
        """Raises InputError `address_malformed`, `port_malformed`, `certificate_incomplete`, `tls_required`,
        `retention_malformed`, `speakers_malformed`, `threads_malformed`."""
        if not 0 <= self.port < 1 << 16:
            raise InputError("port_malformed", f"{self.port} is no port: 0 to 65535.")
        if (self.certificate is None) != (self.certificate_key is None):
            raise InputError("certificate_incomplete", "A certificate needs its key: give both --cert and --key.")
        if not all(_is_loopback(host) for host in self.hosts) and not self.encrypted and not self.insecure:
            raise InputError(
                "tls_required",
                "Off this machine voice keys would travel in plain text: add --tls, --cert with --key, or --insecure.",
            )
        if self.speakers_at_once < 1:
            raise InputError(
                "speakers_malformed",
                f"At least one speaker of a room must be heard at once, not {self.speakers_at_once}.",
            )
        if self.relay_threads is not None and not 1 <= self.relay_threads <= MAX_THREADS:
            raise InputError("threads_malformed", f"Voice is forwarded by 1 to {MAX_THREADS} threads.")
        if self.retention_days is not None:
            check_retention(self.retention_days)
        if self.public_address is not None:
            split_address(self.public_address, self.port)


def check_retention(days: int) -> None:
    """Raises InputError `retention_malformed`."""
    if not 1 <= days <= MAX_RETENTION_DAYS:
        raise InputError("retention_malformed", f"Recordings are kept for 1 to {MAX_RETENTION_DAYS} days.")


def split_address(text: str, default_port: int) -> tuple[str, int]:
    """host, host:port, [IPv6]:port or a bare IPv6 address. Raises InputError `address_malformed`."""
    host, port = text, str(default_port)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not int(port) < 1 << 16 or set(host) & set("/@[] "):
        raise InputError("address_malformed", f"{text} is no address: it looks like HOST or HOST:PORT.")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise InputError("address_malformed", f"{host} is no IP address to listen on.") from None
