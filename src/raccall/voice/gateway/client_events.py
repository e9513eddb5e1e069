"""What a member's side of the voice gateway tells (`gateway.client`), and who it enters as."""

from dataclasses import dataclass, field

from raccall.units import Ssrc
from raccall.voice.dave import events as dave
from raccall.voice.gateway.closing import Closed


@dataclass(frozen=True, slots=True)
class VoiceIdentity:
    """Who enters which call; from the control connection."""

    server_id: str
    """The room (Discord: the guild)."""
    user_id: str
    session_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VoiceReady:
    """Identify was accepted: find the own address, then call `select_protocol`."""

    ssrc: Ssrc
    """Of the own voice."""
    address: tuple[str, int]
    """Host (a name or an IP address) and UDP port of the relay."""
    modes: tuple[str, ...]
    """Transport modes in the server's order of preference."""
    tunnel: bool = False
    """The server takes datagrams by this WebSocket too (`gateway.tunnel`)."""


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """Media may flow."""

    mode: str
    """The transport mode in use."""
    key: bytes = field(repr=False)
    """32 bytes, for both directions."""
    dave_version: int = 0
    """Of end-to-end encryption; 0: the call is in clear."""


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """Seal with this key from now on; the former one still opens what is under way."""

    mode: str
    """The transport mode in use."""
    key: bytes = field(repr=False)
    """32 bytes, for both directions."""


@dataclass(frozen=True, slots=True)
class VoiceResumed:
    """The session goes on over a new WebSocket; media never stopped."""


@dataclass(frozen=True, slots=True)
class UserSpeaking:
    """Whose voice an SSRC is. Not voice activity: it is told once."""

    user_id: str
    ssrc: Ssrc
    speaking: int
    """Bits of `messages.Speaking`; 0 where nothing was said of it."""


@dataclass(frozen=True, slots=True)
class UsersConnected:
    """These are in the call now; the first one lists who was there already."""

    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserDisconnected:
    """Has left the call; the SSRC is free again."""

    user_id: str


VoiceEvent = (
    VoiceReady
    | SessionDescription
    | KeyChanged
    | VoiceResumed
    | UserSpeaking
    | UsersConnected
    | UserDisconnected
    | Closed
    | dave.Event
)
