"""Messages of the voice gateway (version 8, JSON), typed: what both sides parse and write.

On the wire each is `{"op": number, "d": fields}`; messages of the server that a resume must repeat also carry "seq".
Fields have the names and types of the published protocol; fields and opcodes that we do not know are let through, so
that libraries written for Discord can talk to us and we to Discord.

    VoiceMalformed          not one of these messages; `code` is the close code that a server answers with
"""

from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

import msgspec

GATEWAY_VERSION = 8
MAX_MESSAGE_BYTES = 16 * 1024
"""Ours are under 1 KiB; a key as a list of 32 numbers is the longest field."""

KEY_BYTES = 32
NO_SEQ = -1
"""What a client sends as `seq_ack` before it got a numbered message."""


class Opcode(IntEnum):
    """The ones of a call without end-to-end encryption. C = client to server, S = server to client."""

    IDENTIFY = 0  # C
    SELECT_PROTOCOL = 1  # C
    READY = 2  # S
    HEARTBEAT = 3  # C
    SESSION_DESCRIPTION = 4  # S
    SPEAKING = 5  # C and S, with different fields
    HEARTBEAT_ACK = 6  # S
    RESUME = 7  # C
    HELLO = 8  # S
    RESUMED = 9  # S
    CLIENTS_CONNECT = 11  # S
    CLIENT_DISCONNECT = 13  # S


class CloseCode(IntEnum):
    """WebSocket close codes of the voice gateway, each with a sentence for people."""

    sentence: str

    def __new__(cls, code: int, sentence: str) -> "CloseCode":
        member = int.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    NORMAL = 1000, "The connection was closed."
    GOING_AWAY = 1001, "The server is stopping."
    UNKNOWN_OPCODE = 4001, "The server does not know this opcode."
    DECODE_ERROR = 4002, "The server could not read the message."
    NOT_AUTHENTICATED = 4003, "A message came before identify."
    AUTHENTICATION_FAILED = 4004, "The token is wrong."
    ALREADY_AUTHENTICATED = 4005, "Identify came twice."
    SESSION_INVALID = 4006, "The session is not valid any more."
    SESSION_TIMEOUT = 4009, "No heartbeat came in time."
    SERVER_NOT_FOUND = 4011, "The room does not exist."
    UNKNOWN_PROTOCOL = 4012, "The server does not know this protocol or gateway version."
    DISCONNECTED = 4014, "The session was ended: by a move, a removal, or a newer session of the same person."
    SERVER_CRASHED = 4015, "The voice server stopped unexpectedly."
    UNKNOWN_MODE = 4016, "The server does not know this encryption mode."
    ENCRYPTION_REQUIRED = 4017, "The call needs end-to-end encryption."
    BAD_REQUEST = 4020, "The message makes no sense here."
    RATE_LIMITED = 4021, "Too many messages."
    CALL_TERMINATED = 4022, "The call is over."


class Speaking(IntEnum):
    """Bits of the speaking field."""

    NOTHING = 0
    MICROPHONE = 1
    SOUNDSHARE = 2
    PRIORITY = 4


class VoiceMalformed(Exception):
    """The data is not one of these messages; the text says what is wrong with it."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    opcode: ClassVar[Opcode]


# ---- client to server ----


class Identify(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.IDENTIFY
    server_id: str
    """The room (Discord: the guild)."""
    user_id: str
    session_id: str
    """From the control connection, as is the token."""
    token: str
    max_dave_protocol_version: int = 0


class ProtocolAddress(msgspec.Struct, frozen=True, kw_only=True):
    """What IP discovery told the client about itself, and the mode it chose from Ready."""

    address: str
    port: int
    mode: str


class SelectProtocol(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.SELECT_PROTOCOL
    protocol: str
    """Only "udp"."""
    data: ProtocolAddress


class Heartbeat(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.HEARTBEAT
    t: int
    """A nonce; comes back in HeartbeatAck."""
    seq_ack: int = NO_SEQ
    """The newest `seq` the client has."""


class ClientSpeaking(_Message, frozen=True, kw_only=True):
    """The client is about to send. Sent once, not at each pause."""

    opcode: ClassVar = Opcode.SPEAKING
    speaking: int
    ssrc: int
    delay: int = 0


class Resume(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.RESUME
    server_id: str
    session_id: str
    token: str
    seq_ack: int = NO_SEQ


# ---- server to client ----


class Hello(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.HELLO
    heartbeat_interval: float
    """Milliseconds."""
    v: int = GATEWAY_VERSION


class Ready(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.READY
    ssrc: int
    ip: str
    port: int
    """Where media goes: UDP."""
    modes: list[str]
    """In the server's order of preference."""
    raccall_tunnel: int = 0
    """Version of `tunnel` that the server speaks; no field of the published protocol."""


class SessionDescription(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.SESSION_DESCRIPTION
    mode: str
    secret_key: list[int]
    """32 numbers."""
    dave_protocol_version: int = 0
    audio_codec: str = "opus"
    media_session_id: str = ""

    @property
    def key(self) -> bytes:
        """The transport key. Raises ValueError if it is not 32 bytes."""
        key = bytes(self.secret_key)
        if len(key) != KEY_BYTES:
            raise ValueError(f"a transport key has {KEY_BYTES} bytes, not {len(key)}")
        return key


class UserSpeaking(_Message, frozen=True, kw_only=True):
    """Whose voice an SSRC is. `speaking` is not voice activity."""

    opcode: ClassVar = Opcode.SPEAKING
    user_id: str
    ssrc: int
    speaking: int


class HeartbeatAck(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.HEARTBEAT_ACK
    t: int


class Resumed(_Message, frozen=True, kw_only=True):
    """The session goes on; numbered messages that the client lacks follow."""

    opcode: ClassVar = Opcode.RESUMED


class ClientsConnect(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.CLIENTS_CONNECT
    user_ids: list[str]
    """The first one after SessionDescription lists who is there already."""


class ClientDisconnect(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.CLIENT_DISCONNECT
    user_id: str


class Unknown(_Message, frozen=True, kw_only=True):
    """A message of a server with an opcode that is not used here (video, platform, ...): ignore it."""

    op: int


ClientMessage = Identify | SelectProtocol | Heartbeat | ClientSpeaking | Resume
ServerMessage = (
    Hello
    | Ready
    | SessionDescription
    | UserSpeaking
    | HeartbeatAck
    | Resumed
    | ClientsConnect
    | ClientDisconnect
    | Unknown
)


class Numbered(NamedTuple):
    """A message of the server and its number, if it has one."""

    message: ServerMessage
    seq: int | None


class _Envelope(msgspec.Struct):
    op: int
    d: msgspec.Raw = msgspec.Raw(b"null")
    seq: int | None = None


def _decoders(*types: Any) -> dict[int, "msgspec.json.Decoder[Any]"]:
    return {int(kind.opcode): msgspec.json.Decoder(kind) for kind in types}


_envelope = msgspec.json.Decoder(_Envelope)
_encode = msgspec.json.Encoder().encode
_from_client = _decoders(Identify, SelectProtocol, Heartbeat, ClientSpeaking, Resume)
_from_server = _decoders(
    Hello, Ready, SessionDescription, UserSpeaking, HeartbeatAck, ClientsConnect, ClientDisconnect
)  # Resumed carries nothing worth reading


def parse_client_message(data: str | bytes) -> ClientMessage:
    """Read what a client sent. Raises VoiceMalformed, and nothing else."""
    envelope = _open(data)
    if (decoder := _from_client.get(envelope.op)) is None:
        raise VoiceMalformed(CloseCode.UNKNOWN_OPCODE, f"opcode {envelope.op}")
    message: ClientMessage = _fields(decoder, envelope.d)
    return message


def parse_server_message(data: str | bytes) -> Numbered:
    """Read what a server sent; an opcode not used here becomes Unknown. Raises VoiceMalformed, and nothing else."""
    envelope = _open(data)
    if envelope.op == Opcode.RESUMED:
        return Numbered(Resumed(), envelope.seq)
    if (decoder := _from_server.get(envelope.op)) is None:
        return Numbered(Unknown(op=envelope.op), envelope.seq)
    return Numbered(_fields(decoder, envelope.d), envelope.seq)


def write_message(message: ClientMessage | ServerMessage, seq: int | None = None) -> str:
    """One JSON object. `seq` is left out if None."""
    fields = None if isinstance(message, Resumed) else message
    envelope: dict[str, object] = {"op": int(message.opcode), "d": fields}
    if seq is not None:
        envelope["seq"] = seq
    return _encode(envelope).decode()


def _open(data: str | bytes) -> _Envelope:
    if len(data) > MAX_MESSAGE_BYTES:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, f"longer than {MAX_MESSAGE_BYTES} bytes")
    try:
        return _envelope.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, str(error)) from None


def _fields(decoder: "msgspec.json.Decoder[Any]", raw: msgspec.Raw) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, str(error)) from None
