"""What the server's side of a voice gateway connection tells its owner (`gateway.server`)."""

from dataclasses import dataclass, field

from raccall.voice.gateway.binary import DaveFromClient


@dataclass(frozen=True, slots=True)
class Identified:
    """The client says who it is. Answer with `accept_identify` or `close`."""

    server_id: str
    user_id: str
    session_id: str
    token: str = field(repr=False)
    dave_version: int = 0
    """The newest of end-to-end encryption that the client speaks; 0: none."""


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """The client wants to go on with a session. Answer with `accept_resume` or `close`."""

    server_id: str
    session_id: str
    token: str = field(repr=False)
    seq_ack: int


@dataclass(frozen=True, slots=True)
class ProtocolSelected:
    """The client chose. Answer with `describe`."""

    address: str
    """Its own address as IP discovery showed it: an IP literal."""
    port: int
    mode: str
    """One of the offered ones."""


@dataclass(frozen=True, slots=True)
class SpeakingChanged:
    """The client is about to send, or says that it stopped."""

    speaking: int
    """Bits of `messages.Speaking`."""


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """A datagram that the client could not send by UDP."""

    datagram: bytes


@dataclass(frozen=True, slots=True)
class EncryptionMessage:
    """For the call's delivery service."""

    message: DaveFromClient


Event = Identified | ResumeRequested | ProtocolSelected | SpeakingChanged | Tunnelled | EncryptionMessage
