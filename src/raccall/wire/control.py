"""Messages of the `/gateway` WebSocket, typed, and their JSON form.

Every message is one JSON object whose "type" names the class in snake case. Messages from the server that change what
a client shows carry `seq`; a client that lost its connection sends Resume with the last one it saw and gets the rest
again. Ids are 63-bit snowflakes, written as decimal strings.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

MAX_MESSAGE_BYTES = 64 * 1024
"""Of a client."""
MAX_SERVER_MESSAGE_BYTES = 1 << 20
"""Ready names everybody in the room: up to 300 bytes for each."""
MAX_TEXT_CHARS = 4000
MAX_NAME_CHARS = 32


class RecordingPolicy(StrEnum):
    """What a room lets recorders do."""

    OFF = "off"
    """No recorder may join."""
    ASK = "ask"
    """A recorder may join, and gets the voices of those who said yes."""
    AUTOMATIC = "automatic"
    """The server keeps every call; who joins is told, and may say no."""


class EncryptionPolicy(StrEnum):
    """Is a room's call encrypted end to end?"""

    REQUIRED = "required"
    """Always: clients that cannot are not let in."""
    PREFERRED = "preferred"
    """Unless a client is there that cannot; everyone sees that."""
    OFF = "off"
    """Never: the server could hear it."""


class Consent(StrEnum):
    """What a member answered to being recorded."""

    UNDECIDED = "undecided"
    YES = "yes"
    NO = "no"


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


_NEVER_SHOWN = ("token",)


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=_snake):
    def __repr__(self) -> str:
        """Without what lets somebody in, for it may end up in a log."""
        shown = [f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in _NEVER_SHOWN]
        return f"{type(self).__name__}({', '.join(shown)})"


class MemberInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person in a room. What is as usual is not written: hundreds of these go to hundreds."""

    user_id: str
    name: str
    recording: bool = False
    """True for a recorder: everyone is shown that the call is kept."""
    bot: bool = False
    """A program, let in as one by the server's owner: it hears everyone, however many speak."""
    muted: bool = False
    deafened: bool = False
    """Hears nobody."""
    silenced: bool = False
    """By the server's owner: nobody gets this member's voice."""
    consent: Consent = Consent.UNDECIDED
    kept: bool = False
    """A recorder in the room gets this member's voice and lines."""


class RecordingState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a room's call is recorded, and by whom."""

    policy: RecordingPolicy = RecordingPolicy.ASK
    retention_days: int | None = None
    """The server's own recordings of this room are deleted when they are older; None: never."""
    recorders: dict[str, str] = {}
    """user id → name of those who keep the call now."""
    since: str | None = None
    """When the first of them came: UTC, ISO 8601."""


class EncryptionState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a room's call is encrypted end to end, as the server says; members know by their own keys."""

    policy: EncryptionPolicy = EncryptionPolicy.OFF
    active: bool = False
    """The call is encrypted, or about to be."""
    without: list[str] = []
    """User ids of those in the call whose clients cannot do it."""


class RoomInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One room and who is in it."""

    room_id: str
    name: str
    members: list[MemberInfo] = []
    recording: RecordingState = msgspec.field(default_factory=RecordingState)
    encryption: EncryptionState = msgspec.field(default_factory=EncryptionState)


# ---- client to server ----


class Identify(_Message, frozen=True, kw_only=True):
    """First message on a new connection."""

    token: str
    """From POST /api/guests."""


class Resume(_Message, frozen=True, kw_only=True):
    """First message on a connection that replaces a lost one."""

    token: str
    session_id: str
    seq: int


class Heartbeat(_Message, frozen=True, kw_only=True):
    """Every `heartbeat_interval_ms`; answered by HeartbeatAck."""

    nonce: int


class JoinRoom(_Message, frozen=True, kw_only=True):
    """Enter a room's call; answered by VoiceServer."""

    room_id: str
    muted: bool = False
    deafened: bool = False
    consent: Consent = Consent.UNDECIDED
    """To being recorded, whenever a recorder is there."""


class LeaveRoom(_Message, frozen=True, kw_only=True):
    """Leave a room's call."""

    room_id: str


class SetMuted(_Message, frozen=True, kw_only=True):
    """Tell the others that the own microphone is off or on."""

    room_id: str
    muted: bool


class SetDeafened(_Message, frozen=True, kw_only=True):
    """Tell the others that one hears nobody, or hears them again."""

    room_id: str
    deafened: bool


class SetConsent(_Message, frozen=True, kw_only=True):
    """Agree to being recorded in this call, or do not; the answer may be changed at any time."""

    room_id: str
    agree: bool


class Say(_Message, frozen=True, kw_only=True):
    """A line of text for everyone in the room."""

    room_id: str
    text: str
    nonce: str = ""
    """Comes back in the resulting TextMessage, so that the sender knows its own line."""


ClientMessage = Identify | Resume | Heartbeat | JoinRoom | LeaveRoom | SetMuted | SetDeafened | SetConsent | Say


# ---- server to client ----


class Hello(_Message, frozen=True, kw_only=True):
    """First message of the server on every connection."""

    heartbeat_interval_ms: int


class HeartbeatAck(_Message, frozen=True, kw_only=True):
    nonce: int


class Ready(_Message, frozen=True, kw_only=True):
    """Identify was accepted."""

    session_id: str
    user_id: str
    name: str
    rooms: list[RoomInfo]
    seq: int = 0


class Resumed(_Message, frozen=True, kw_only=True):
    """Resume was accepted; what was missed follows."""


class VoiceServer(_Message, frozen=True, kw_only=True):
    """Where the voice gateway is and what to identify with. `server_id` is the room's id."""

    room_id: str
    endpoint: str
    """host:port of the voice gateway, as the client reached the server (or --public-address)."""
    token: str
    session_id: str
    recording: RecordingState = msgspec.field(default_factory=RecordingState)
    """Told here, so that nobody has a voice session before knowing."""
    encryption: EncryptionState = msgspec.field(default_factory=EncryptionState)
    """The same."""
    seq: int = 0


class MemberJoined(_Message, frozen=True, kw_only=True):
    room_id: str
    member: MemberInfo
    seq: int = 0


class MemberLeft(_Message, frozen=True, kw_only=True):
    room_id: str
    user_id: str
    seq: int = 0


class MemberUpdated(_Message, frozen=True, kw_only=True):
    room_id: str
    member: MemberInfo
    seq: int = 0


class MembersChanged(_Message, frozen=True, kw_only=True):
    """Several of the three above at once, when many come or go within a moment. `left` goes first."""

    room_id: str
    members: list[MemberInfo] = []
    """Who came, and who is not as before; as they are now."""
    left: list[str] = []
    """User ids."""
    seq: int = 0


class RecordingChanged(_Message, frozen=True, kw_only=True):
    """A recorder came or left, or the room's policy is another one."""

    room_id: str
    recording: RecordingState
    seq: int = 0


class EncryptionChanged(_Message, frozen=True, kw_only=True):
    """A client that cannot encrypt came or left, or the room's policy is another one."""

    room_id: str
    encryption: EncryptionState
    seq: int = 0


class UplinkLoss(_Message, frozen=True, kw_only=True):
    """How much of each voice was lost before it reached the server; to recorders only, every few seconds.

    Has no number: the next one says it anew.
    """

    room_id: str
    loss_pct: dict[str, float]
    """By user id, of the last few seconds; those who sent nothing are left out."""


class TextMessage(_Message, frozen=True, kw_only=True):
    """A line that someone typed."""

    message_id: str
    room_id: str
    user_id: str
    name: str
    text: str
    wall: str
    """UTC, ISO 8601."""
    nonce: str = ""
    seq: int = 0


class Refused(_Message, frozen=True, kw_only=True):
    """Something was not done, and why: a sentence for people, a code for programs."""

    code: str
    sentence: str
    seq: int = 0


ServerMessage = (
    Hello
    | HeartbeatAck
    | Ready
    | Resumed
    | VoiceServer
    | MemberJoined
    | MemberLeft
    | MemberUpdated
    | MembersChanged
    | RecordingChanged
    | EncryptionChanged
    | UplinkLoss
    | TextMessage
    | Refused
)

_to_client: "msgspec.json.Decoder[ServerMessage]" = msgspec.json.Decoder(ServerMessage)
_to_server: "msgspec.json.Decoder[ClientMessage]" = msgspec.json.Decoder(ClientMessage)
_encode = msgspec.json.Encoder().encode
M = TypeVar("M")


class MalformedMessage(Exception):
    """The bytes are not one of our messages; the text says what is wrong with them."""


def parse_client_message(data: str | bytes) -> ClientMessage:
    """Read what a client sent. Raises MalformedMessage, and nothing else."""
    return _parse(_to_server, data, MAX_MESSAGE_BYTES)


def parse_server_message(data: str | bytes) -> ServerMessage:
    """Read what a server sent. Raises MalformedMessage, and nothing else."""
    return _parse(_to_client, data, MAX_SERVER_MESSAGE_BYTES)


def write_message(message: _Message) -> str:
    """One line of JSON."""
    return _encode(message).decode()


def _parse(decoder: "msgspec.json.Decoder[M]", data: str | bytes, limit: int) -> M:
    if len(data) > limit:
        raise MalformedMessage(f"longer than {limit >> 10} KiB")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(str(error)) from None
