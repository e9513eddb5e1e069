"""The server's side of one voice gateway connection: no socket, no clock, no task.

The order of things, C = client, S = server:

    S Hello · C Identify · S Ready · (IP discovery by UDP) · C SelectProtocol · S SessionDescription, ClientsConnect,
    UserSpeaking of those who are there · C Speaking · S UserSpeaking, ClientsConnect, ClientDisconnect as they happen,
    SessionDescription again when the key changes

Where a call is encrypted end to end, what clients say about that are events for its delivery service, and what that
says is announced like anything else: numbered, and repeated after a resume.

A lost connection is replaced by a new one that starts with Resume; the session (key, SSRC, ReplayBuffer) belongs to the
caller and outlives its connections. Whoever owns the core follows one rule: after each `receive`, `handle_timer` or
command, drain `next_event` and `to_send`, then look at `close_code` and `get_timer`, before the next call.
"""

import ipaddress
from collections import deque
from enum import Enum, auto

from raccall.units import Nanos
from raccall.voice.gateway import tunnel
from raccall.voice.gateway.allowance import Allowance
from raccall.voice.gateway.binary import DaveToClient, ServerBinary, parse_client_binary, payload_of
from raccall.voice.gateway.heartbeat import Patience
from raccall.voice.gateway.messages import (
    GATEWAY_VERSION,
    NO_SEQ,
    ClientDisconnect,
    ClientsConnect,
    ClientSpeaking,
    CloseCode,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Identify,
    Ready,
    Resume,
    Resumed,
    SelectProtocol,
    ServerMessage,
    SessionDescription,
    UserSpeaking,
    VoiceMalformed,
    parse_client_message,
    write_message,
)
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.voice.gateway.server_events import (
    EncryptionMessage,
    Event,
    Identified,
    ProtocolSelected,
    ResumeRequested,
    SpeakingChanged,
    Tunnelled,
)

OFFERED_MODES = ("aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize")
"""In order of preference; the second must always be offered (discord.py knows no other AEAD mode)."""
OLD_MODES = (
    "aead_aes256_gcm",
    "xsalsa20_poly1305_lite_rtpsize",
    "xsalsa20_poly1305_lite",
    "xsalsa20_poly1305_suffix",
    "xsalsa20_poly1305",
)
"""What Discord refuses since 2024-11-18: offered behind those above, and only by a server that was told to."""

HEARTBEAT_INTERVAL_MS = 13_750
"""What Discord's servers use."""
MAX_OUTGOING = 1000
"""Messages a client has not taken yet. One more and the connection is closed, to be resumed."""
MAX_OUTGOING_BYTES = 8 * 1024 * 1024

SPEAKING_BITS = 0b111
SEQ_BITS = 16
SEQ_MASK = (1 << SEQ_BITS) - 1


Announcement = ClientsConnect | ClientDisconnect | UserSpeaking | DaveToClient
"""What is numbered, and said again after a resume."""
Wire = str | bytes
"""A message as it is sent: text or binary."""


class _State(Enum):
    NEW = auto()  # waits for Identify or Resume
    ASKED = auto()  # one of them came, the owner has not answered
    READY = auto()  # waits for SelectProtocol
    SELECTED = auto()  # it came, the owner has not described
    CONNECTED = auto()
    CLOSED = auto()


class VoiceGatewayServer:
    """One connection. `version` is the `v` of its URL, as text; only "8" is served."""

    def __init__(
        self,
        now: Nanos,
        *,
        version: str | None,
        modes: tuple[str, ...] = OFFERED_MODES,
        heartbeat_interval_ms: int = HEARTBEAT_INTERVAL_MS,
    ) -> None:
        self.close_code: CloseCode | None = None
        """Set when the server ends the connection: send what `to_send` has, then close with it."""
        self._modes = modes
        self._patience = Patience(now, heartbeat_interval_ms)
        self._state = _State.NEW
        self._events: deque[Event] = deque()
        self._outgoing: list[Wire] = []
        self._outgoing_bytes = 0
        self._replay = first_replay()
        self._allowance = Allowance(now)
        if version != str(GATEWAY_VERSION):
            self.close(CloseCode.UNKNOWN_PROTOCOL)
            return
        self._send(Hello(heartbeat_interval=heartbeat_interval_ms))

    # ---- the five verbs ----

    def receive(self, data: str | bytes, now: Nanos) -> None:
        """One message of the client. Anything wrong with it closes the connection with a code; nothing is raised."""
        if self.closed:
            return
        if isinstance(data, bytes) and (datagram := tunnel.from_client(data)) is not None:
            self._on_datagram(datagram, now)
            return
        try:
            message = parse_client_binary(data) if isinstance(data, bytes) else parse_client_message(data)
        except VoiceMalformed as error:
            self.close(error.code)
            return
        if not self._allowance.message(message, len(data), now):
            self.close(CloseCode.RATE_LIMITED)
            return
        match message:
            case Heartbeat():
                self._on_heartbeat(message, now)
            case Identify() | Resume():
                self._on_identity(message)
            case _ if self._state in (_State.NEW, _State.ASKED):
                self.close(CloseCode.NOT_AUTHENTICATED)
            case SelectProtocol():
                self._on_select_protocol(message)
            case ClientSpeaking():
                self._events.append(SpeakingChanged(message.speaking & SPEAKING_BITS))
            case _ if not self.connected:
                self.close(CloseCode.BAD_REQUEST)
            case _:
                self._events.append(EncryptionMessage(message))

    def next_event(self) -> Event | None:
        """What happened, oldest first."""
        return self._events.popleft() if self._events else None

    def to_send(self, now: Nanos) -> list[Wire]:
        """Messages for the client, to be sent in this order."""
        outgoing, self._outgoing, self._outgoing_bytes = self._outgoing, [], 0
        return outgoing

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        return None if self.closed else self._patience.ends(spoken=self._state is not _State.NEW)

    def handle_timer(self, now: Nanos) -> None:
        """Close a connection that is silent for too long."""
        timer = self.get_timer()
        if timer is not None and now >= timer:
            self.close(CloseCode.SESSION_TIMEOUT)

    # ---- commands of the owner ----

    @property
    def closed(self) -> bool:
        return self._state is _State.CLOSED

    @property
    def connected(self) -> bool:
        """The client has a key and is told what happens in the room."""
        return self._state is _State.CONNECTED

    @property
    def known(self) -> bool:
        """Who is there was said and accepted."""
        return self._state in (_State.READY, _State.SELECTED, _State.CONNECTED)

    def accept_identify(self, *, ssrc: int, host: str, port: int, replay: ReplayBuffer[Wire]) -> None:
        """The identity is right: tell the client where media goes. `replay` is the new session's, empty."""
        self._expect(_State.ASKED)
        self._replay = replay
        self._state = _State.READY
        self._send(Ready(ssrc=ssrc, ip=host, port=port, modes=list(self._modes), raccall_tunnel=tunnel.VERSION))

    def describe(self, *, mode: str, key: bytes, media_session_id: str, dave_version: int = 0) -> None:
        """Hand over the transport key: the client may send from now on. Again, with another key: it is to use that.

        dave_version: of end-to-end encryption, that the call is at."""
        if self.closed:
            return
        if not self.connected:
            self._expect(_State.SELECTED)
        self._state = _State.CONNECTED
        self._send(
            SessionDescription(
                mode=mode, secret_key=list(key), media_session_id=media_session_id, dave_protocol_version=dave_version
            )
        )

    def accept_resume(self, *, seq_ack: int, replay: ReplayBuffer[Wire]) -> bool:
        """The session goes on here. False (and closed, 4006) if messages that the client lacks are gone."""
        self._expect(_State.ASKED)
        missed = replay.since(_extend(seq_ack, replay))
        if missed is None:
            self.close(CloseCode.SESSION_INVALID)
            return False
        self._replay = replay
        self._state = _State.CONNECTED
        self._send(Resumed())
        for message in missed:
            self._queue(message)
        return True

    def announce(self, body: Wire) -> None:
        """Tell the client what happened in the call: `body_of` a message. For a lost connection the replay alone is
        told."""
        self._queue(self._replay.append(body))

    def close(self, code: CloseCode) -> None:
        """End the connection. The first code counts."""
        if not self.closed:
            self.close_code = code
            self._state = _State.CLOSED

    # ---- what messages do ----

    def _on_heartbeat(self, message: Heartbeat, now: Nanos) -> None:
        self._patience.heard(now)
        if message.seq_ack != NO_SEQ:
            self._replay.acknowledge(_extend(message.seq_ack, self._replay))
        self._send(HeartbeatAck(t=message.t))

    def _on_datagram(self, datagram: bytes, now: Nanos) -> None:
        if self._state in (_State.NEW, _State.ASKED):
            self.close(CloseCode.NOT_AUTHENTICATED)
        elif self._allowance.datagram(now):
            self._events.append(Tunnelled(datagram))

    def _on_identity(self, message: Identify | Resume) -> None:
        if self._state is not _State.NEW:
            self.close(CloseCode.ALREADY_AUTHENTICATED)
            return
        self._state = _State.ASKED
        if isinstance(message, Identify):
            event: Event = Identified(
                message.server_id,
                message.user_id,
                message.session_id,
                message.token,
                message.max_dave_protocol_version,
            )
        else:
            event = ResumeRequested(message.server_id, message.session_id, message.token, message.seq_ack)
        self._events.append(event)

    def _on_select_protocol(self, message: SelectProtocol) -> None:
        chosen = message.data
        if self._state is not _State.READY:
            self.close(CloseCode.BAD_REQUEST)
        elif message.protocol != "udp":
            self.close(CloseCode.UNKNOWN_PROTOCOL)
        elif chosen.mode not in self._modes:
            self.close(CloseCode.UNKNOWN_MODE)
        elif not _is_address(chosen.address, chosen.port):
            self.close(CloseCode.BAD_REQUEST)
        else:
            self._state = _State.SELECTED
            self._events.append(ProtocolSelected(chosen.address, chosen.port, chosen.mode))

    def _send(self, message: ServerMessage) -> None:
        self._queue(write_message(message))

    def _queue(self, message: Wire) -> None:
        if self.closed:
            return
        self._outgoing_bytes += len(message)
        if len(self._outgoing) >= MAX_OUTGOING or self._outgoing_bytes > MAX_OUTGOING_BYTES:
            self.close(CloseCode.SERVER_CRASHED)
            return
        self._outgoing.append(message)

    def _expect(self, state: _State) -> None:
        if self._state is not state:
            raise RuntimeError(f"the connection is {self._state.name}, not {state.name}")


def body_of(message: Announcement) -> Wire:
    """As it is written, but for its number: the same for everyone who is told."""
    if isinstance(message, ServerBinary):
        return bytes([message.opcode]) + payload_of(message)
    return write_message(message, seq=0)[: -len("0}")]


def first_replay() -> ReplayBuffer[Wire]:
    """Of a new session. `seq` is 16 bits on the wire, because a binary message carries it in two bytes."""
    return ReplayBuffer(wire_bits=SEQ_BITS)


def _extend(seq: int, replay: ReplayBuffer[Wire]) -> int:
    """The number that a 16 bit `seq` stands for: the newest one with these bits that was given out."""
    if seq == NO_SEQ:
        return NO_SEQ
    return replay.newest - ((replay.newest - seq) & SEQ_MASK)


def _is_address(address: str, port: int) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return "%" not in address and 0 < port < 1 << 16  # a zone means something on the client's machine only
