"""Messages of the voice gateway (version 8, JSON), typed: what both sides parse and write (binary: `gateway.binary`).

On the wire each is `{"op": number, "d": fields}`; messages of the server that a resume must repeat also carry "seq".
Fields have the names and types of the published protocol; fields and opcodes that we do not know are let through, so
that libraries written for Discord can talk to us and we to Discord.

    VoiceMalformed          not one of these messages; `code` is the close code that a server answers with
"""

from typing import Any, ClassVar, NamedTuple

import msgspec

from raccall.voice.gateway.codes import CloseCode as CloseCode
from raccall.voice.gateway.codes import Opcode as Opcode
from raccall.voice.gateway.codes import Speaking as Speaking
from raccall.voice.gateway.codes import VoiceMalformed as VoiceMalformed

GATEWAY_VERSION = 8
MAX_SERVER_MESSAGE_BYTES = 1 << 20
"""ClientsConnect names everybody in the room: 22 bytes for each."""
MAX_MESSAGE_BYTES = 16 * 1024
"""Ours are under 1 KiB; a key as a list of 32 numbers is the longest field."""

KEY_BYTES = 32
NO_SEQ = -1
"""What a client sends as `seq_ack` before it got a numbered message."""


_NEVER_SHOWN = ("token", "secret_key")


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    opcode: ClassVar[Opcode]

    def __repr__(self) -> str:
        """Without what opens something, for it may end up in a log."""
        shown = [f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in _NEVER_SHOWN]
        return f"{type(self).__name__}({', '.join(shown)})"


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
    """The newest version of end-to-end encryption that the client speaks; 0: none."""


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
    ssrc: int = 0
    """Left out by py-cord; the server knows it anyway."""
    delay: int = 0


class Resume(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.RESUME
    server_id: str
    session_id: str
    token: str
    seq_ack: int = NO_SEQ


class TransitionReady(_Message, frozen=True, kw_only=True):
    """The client can open frames of the transition's new epoch (or version)."""

    opcode: ClassVar = Opcode.DAVE_TRANSITION_READY
    transition_id: int


class InvalidCommitWelcome(_Message, frozen=True, kw_only=True):
    """The client could not use the commit or welcome of this transition. It has begun anew; its new key package
    follows."""

    opcode: ClassVar = Opcode.MLS_INVALID_COMMIT_WELCOME
    transition_id: int


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
    """Of the call, now. Not 0: the server's external sender follows, and the client answers with a key package."""
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


class ClientVideo(_Message, frozen=True, kw_only=True):
    """Somebody's camera; told for those without one, too, and so one more source of whose voice an SSRC is."""

    opcode: ClassVar = Opcode.VIDEO
    user_id: str
    audio_ssrc: int = 0


class ClientFlags(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.CLIENT_FLAGS
    user_id: str
    flags: int | None = None
    """Bit 1: clips of this user may be made."""


class ClientPlatform(_Message, frozen=True, kw_only=True):
    opcode: ClassVar = Opcode.CLIENT_PLATFORM
    user_id: str
    platform: int | None = None
    """0 desktop, 1 mobile, 2 Xbox, 3 PlayStation."""


class PrepareTransition(_Message, frozen=True, kw_only=True):
    """The call is about to use this version. Answer TransitionReady; with id 0, switch at once and say nothing."""

    opcode: ClassVar = Opcode.DAVE_PREPARE_TRANSITION
    protocol_version: int
    transition_id: int


class ExecuteTransition(_Message, frozen=True, kw_only=True):
    """Send with the new epoch's keys (or version) from now on. Older transitions that are still open are void."""

    opcode: ClassVar = Opcode.DAVE_EXECUTE_TRANSITION
    transition_id: int


class PrepareEpoch(_Message, frozen=True, kw_only=True):
    """With `epoch` 1 a new group is to be made: forget the old one and send a new key package."""

    opcode: ClassVar = Opcode.DAVE_PREPARE_EPOCH
    protocol_version: int
    epoch: int


class Unknown(_Message, frozen=True, kw_only=True):
    """A message of a server with an opcode that is not used here (video, sessions, ...): ignore it."""

    op: int


ClientMessage = Identify | SelectProtocol | Heartbeat | ClientSpeaking | Resume | TransitionReady | InvalidCommitWelcome
ServerMessage = (
    Hello
    | Ready
    | SessionDescription
    | UserSpeaking
    | HeartbeatAck
    | Resumed
    | ClientsConnect
    | ClientDisconnect
    | ClientVideo
    | ClientFlags
    | ClientPlatform
    | PrepareTransition
    | ExecuteTransition
    | PrepareEpoch
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
_from_client = _decoders(
    Identify, SelectProtocol, Heartbeat, ClientSpeaking, Resume, TransitionReady, InvalidCommitWelcome
)
_from_server = _decoders(
    Hello,
    Ready,
    SessionDescription,
    UserSpeaking,
    HeartbeatAck,
    ClientsConnect,
    ClientDisconnect,
    ClientVideo,
    ClientFlags,
    ClientPlatform,
    PrepareTransition,
    ExecuteTransition,
    PrepareEpoch,
)  # Resumed carries nothing worth reading


def parse_client_message(data: str | bytes) -> ClientMessage:
    """Read what a client sent. Raises VoiceMalformed, and nothing else."""
    envelope = _open(data, MAX_MESSAGE_BYTES)
    if (decoder := _from_client.get(envelope.op)) is None:
        raise VoiceMalformed(CloseCode.UNKNOWN_OPCODE, f"opcode {envelope.op}")
    message: ClientMessage = _fields(decoder, envelope.d)
    return message


def parse_server_message(data: str | bytes) -> Numbered:
    """Read what a server sent; an opcode not used here becomes Unknown. Raises VoiceMalformed, and nothing else."""
    envelope = _open(data, MAX_SERVER_MESSAGE_BYTES)
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


def _open(data: str | bytes, limit: int) -> _Envelope:
    if len(data) > limit:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, f"longer than {limit} bytes")
    try:
        return _envelope.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, str(error)) from None


def _fields(decoder: "msgspec.json.Decoder[Any]", raw: msgspec.Raw) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise VoiceMalformed(CloseCode.DECODE_ERROR, str(error)) from None
