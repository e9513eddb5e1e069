"""The member's side of one voice session, as a core: no socket, no clock (the server's side is `gateway.server`).

    opened ─▶ Hello ─▶ Identify ─▶ Ready ─▶ (IP discovery, by the caller) ─▶ select_protocol ─▶ SessionDescription
                    └▶ Resume ─▶ Resumed, and what was missed             (only after a session was described once)
    a SessionDescription more ─▶ KeyChanged
    messages of end-to-end encryption ⇄ Handshake, whose events are among this core's (`voice.dave.handshake`)

One object lives as long as the session does, over any number of WebSockets: the caller says `opened` for each new one
and `lost` when it ended; Closed tells what to do next. After each input or command, drain `next_event` and `to_send`,
and ask `get_timer` again, before the next one.
"""

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from raccall.units import NANOS_PER_MS, Nanos, Ssrc
from raccall.voice.dave import events as dave
from raccall.voice.dave.handshake import Handshake
from raccall.voice.gateway import binary, messages, tunnel
from raccall.voice.gateway.codes import DAVE_PROTOCOL_VERSION
from raccall.voice.gateway.messages import NO_SEQ, CloseCode, VoiceMalformed

HELLO_TIMEOUT_MS = 10_000
"""From an open WebSocket to the server's Hello."""
SHORTEST_HEARTBEAT_MS = 50
LONGEST_HEARTBEAT_MS = 300_000
"""What a server may ask for; Discord's real value is 13 750."""
SEQ_VALUES = 1 << 16
"""Numbers of messages wrap there: a binary one has two bytes for it."""


class Next(enum.Enum):
    """What a lost voice connection asks of the caller."""

    RESUME = "open a new WebSocket for the same session"
    RECONNECT = "ask the control connection for a new voice session"
    STOP = "do not come back by yourself"


_NEXT = {
    CloseCode.NORMAL: Next.STOP,
    CloseCode.AUTHENTICATION_FAILED: Next.STOP,
    CloseCode.SERVER_NOT_FOUND: Next.STOP,
    CloseCode.UNKNOWN_PROTOCOL: Next.STOP,
    CloseCode.DISCONNECTED: Next.STOP,
    CloseCode.UNKNOWN_MODE: Next.STOP,
    CloseCode.ENCRYPTION_REQUIRED: Next.STOP,
    CloseCode.RATE_LIMITED: Next.STOP,
    CloseCode.CALL_TERMINATED: Next.STOP,
    CloseCode.SERVER_CRASHED: Next.RESUME,
}
"""By close code; any other means a full reconnect."""
_KNOWN = {int(code): code for code in CloseCode}
_BROKEN = frozenset({1005, 1006, 1011})
"""WebSocket codes without a decision of the server (RFC 6455 section 7.4.1): none, abnormal, internal error."""


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


@dataclass(frozen=True, slots=True)
class Closed:
    """The WebSocket is of no more use: close it and do what `next` says."""

    code: int | None
    """Close code; None when the connection broke or the server fell silent."""
    sentence: str
    """For people."""
    next: Next
    """What to do."""


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


class VoiceGatewayClient:
    """One voice session of one member.

    handshake: of end-to-end encryption; None: only calls in clear. `counts` says what was ignored: "malformed" (not a
    message, or with values that cannot be), "unknown" (opcodes of video, platforms, ...), "binary" (of end-to-end
    encryption, without a handshake), "repeated" (had already come).
    """

    def __init__(self, identity: VoiceIdentity, handshake: Handshake | None = None) -> None:
        self._identity = identity
        self._handshake = handshake
        self._may_answer = False  # the server takes what the handshake says
        self._events: deque[VoiceEvent] = deque()
        self._outgoing: deque[str | bytes] = deque()
        self._open = False
        self._described = False
        self._ssrc = Ssrc(0)  # until Ready
        self._seq = NO_SEQ
        self._heartbeat_interval: Nanos | None = None
        self._timer: Nanos | None = None
        self._nonce = 0
        self._unanswered_since: Nanos | None = None
        self.round_trip_ms: float | None = None
        """Of the newest answered heartbeat: the WebSocket's delay, not the media's."""
        self.counts = {"malformed": 0, "unknown": 0, "binary": 0, "repeated": 0}

    # ---- inputs ----

    def opened(self, now: Nanos) -> None:
        """A new WebSocket is open; the server speaks first."""
        self._open = True
        self._may_answer = False
        self._outgoing.clear()
        self._heartbeat_interval = None
        self._unanswered_since = None
        self._timer = Nanos(now + HELLO_TIMEOUT_MS * NANOS_PER_MS)

    def receive(self, data: str | bytes, now: Nanos) -> None:
        """One WebSocket message. Nothing in it is ever raised; see `counts`."""
        if not self._open:
            return
        message: messages.ServerMessage | binary.ServerBinary
        seq: int | None
        try:
            if isinstance(data, bytes):
                message, seq = binary.parse_server_binary(data)
            else:
                message, seq = messages.parse_server_message(data)
            if seq is not None and self._has(seq):
                self.counts["repeated"] += 1
                return
            self._on_message(message, now)
        except (VoiceMalformed, ValueError):
            self.counts["malformed"] += 1
            return
        finally:
            self._take_handshake_events()
        if seq is not None:
            self._seq = seq

    def lost(self, code: int | None, now: Nanos) -> None:
        """The WebSocket ended, with its close code if one came."""
        if code is None or code in _BROKEN:
            self._lose(None, "The voice connection broke.", Next.RESUME)
        elif code in _KNOWN:
            self._lose(code, _KNOWN[code].sentence, _NEXT.get(_KNOWN[code], Next.RECONNECT))
        else:
            self._lose(code, f"The server closed the voice connection with code {code}.", Next.RECONNECT)

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called; None: this WebSocket is of no more use."""
        if self._timer is None or self._handshake is None or (other := self._handshake.get_timer()) is None:
            return self._timer
        return min(self._timer, other)

    def handle_timer(self, now: Nanos) -> None:
        """Send the next heartbeat, or give the connection up when the last one was not answered."""
        if self._handshake is not None:
            self._handshake.handle_timer(now)
            self._take_handshake_events()
        if self._timer is None or now < self._timer:
            return
        if self._heartbeat_interval is None or self._unanswered_since is not None:
            self._lose(None, "The voice server stopped answering.", Next.RESUME)
            return
        self._nonce += 1
        self._unanswered_since = now
        self._timer = Nanos(now + self._heartbeat_interval)
        self._write(messages.Heartbeat(t=self._nonce, seq_ack=self._seq))

    # ---- commands ----

    def select_protocol(self, address: str, port: int, mode: str) -> None:
        """Answer VoiceReady with the own public UDP address and one of its modes."""
        chosen = messages.ProtocolAddress(address=address, port=port, mode=mode)
        self._write(messages.SelectProtocol(protocol="udp", data=chosen))

    def set_speaking(self, speaking: int) -> None:
        """Say whose SSRC this is; once before the first packet is enough. `speaking`: bits of `messages.Speaking`."""
        self._write(messages.ClientSpeaking(speaking=speaking, ssrc=self._ssrc))

    def expect(self, user_ids: Iterable[int], now: Nanos) -> None:
        """People are shown these as being in the room: nobody else may be let into the call's encryption."""
        if self._handshake is not None:
            self._handshake.expect(user_ids, now)
            self._take_handshake_events()

    def allow_clear(self, allowed: bool) -> None:
        """May the server have the call in clear?"""
        if self._handshake is not None:
            self._handshake.allow_clear(allowed)
            self._take_handshake_events()

    def finish(self, outcome: dave.Outcome, now: Nanos) -> None:
        """What the handshake's `Work` gave."""
        assert self._handshake is not None, "without a handshake there is no work"
        self._handshake.finish(outcome, now)
        self._take_handshake_events()

    # ---- outputs ----

    def next_event(self) -> VoiceEvent | None:
        """The oldest event not yet taken."""
        return self._events.popleft() if self._events else None

    def to_send(self, now: Nanos) -> list[str | bytes]:
        """Text and binary messages for the WebSocket, in order."""
        if self._may_answer and self._handshake is not None:
            for answer in self._handshake.to_send():
                if isinstance(answer, binary.KeyPackage | binary.CommitWelcome):
                    self._outgoing.append(binary.write_client_binary(answer))
                else:
                    self._write(answer)
        ready = list(self._outgoing)
        self._outgoing.clear()
        return ready

    # ---- inside ----

    def _on_message(self, message: messages.ServerMessage | binary.ServerBinary, now: Nanos) -> None:
        match message:
            case messages.Hello(heartbeat_interval=interval_ms):
                self._on_hello(interval_ms, now)
            case messages.HeartbeatAck(t=nonce):
                if nonce == self._nonce and self._unanswered_since is not None:
                    self.round_trip_ms = (now - self._unanswered_since) / NANOS_PER_MS
                    self._unanswered_since = None
            case messages.Ready(ssrc=ssrc, ip=host, port=port, modes=modes, raccall_tunnel=version):
                if not (0 < ssrc < 1 << 32 and 0 < port < 1 << 16) or self._ssrc:
                    raise ValueError("no such SSRC or port, or ready twice")
                self._ssrc = Ssrc(ssrc)
                self._events.append(VoiceReady(self._ssrc, (host, port), tuple(modes), version == tunnel.VERSION))
            case messages.SessionDescription(mode=mode):
                key = message.key
                if not self._ssrc:
                    raise ValueError("described before ready")
                self._on_description(SessionDescription(mode, key, message.dave_protocol_version), now)
            case messages.Resumed():
                self._may_answer = True
                self._events.append(VoiceResumed())
            case messages.UserSpeaking(user_id=user_id, ssrc=ssrc, speaking=speaking):
                if not 0 < ssrc < 1 << 32:
                    raise ValueError("no such SSRC")
                self._events.append(UserSpeaking(user_id, Ssrc(ssrc), speaking))
            case messages.ClientVideo(user_id=user_id, audio_ssrc=ssrc):
                if 0 < ssrc < 1 << 32:  # else there is only a camera
                    self._events.append(UserSpeaking(user_id, Ssrc(ssrc), messages.Speaking.NOTHING))
            case messages.ClientsConnect(user_ids=user_ids):
                self._tell_handshake(message, now)
                self._events.append(UsersConnected(tuple(user_ids)))
            case messages.ClientDisconnect(user_id=user_id):
                self._tell_handshake(message, now)
                self._events.append(UserDisconnected(user_id))
            case messages.PrepareTransition() | messages.ExecuteTransition() | messages.PrepareEpoch():
                self._tell_handshake(message, now)
            case binary.ExternalSender() | binary.Proposals() | binary.AnnounceCommit() | binary.Welcome():
                self._tell_handshake(message, now)
                self.counts["binary"] += self._handshake is None
            case messages.ClientFlags() | messages.ClientPlatform() | messages.Unknown():
                self.counts["unknown"] += 1

    def _on_description(self, description: SessionDescription, now: Nanos) -> None:
        version = description.dave_version
        if not 0 <= version <= (DAVE_PROTOCOL_VERSION if self._handshake else 0):
            raise ValueError("a version that was not offered")
        again, self._described, self._may_answer = self._described, True, True
        self._events.append(KeyChanged(description.mode, description.key) if again else description)
        if self._handshake is not None:
            tell = self._handshake.describe_again if again else self._handshake.describe
            tell(version, now)

    def _tell_handshake(self, message: dave.Incoming, now: Nanos) -> None:
        if self._handshake is not None:
            self._handshake.receive(message, now)

    def _take_handshake_events(self) -> None:
        while self._handshake is not None and (event := self._handshake.next_event()) is not None:
            self._events.append(event)

    def _has(self, seq: int) -> bool:
        """The message of this number has come, or one after it: a resume repeats more than was missed."""
        return self._seq != NO_SEQ and (seq - self._seq) % SEQ_VALUES not in range(1, SEQ_VALUES // 2)

    def _on_hello(self, interval_ms: float, now: Nanos) -> None:
        if not SHORTEST_HEARTBEAT_MS <= interval_ms <= LONGEST_HEARTBEAT_MS:
            raise ValueError("no such heartbeat interval")
        self._heartbeat_interval = Nanos(int(interval_ms * NANOS_PER_MS))
        self._timer = Nanos(now + self._heartbeat_interval)
        who = self._identity
        if self._described:
            self._write(
                messages.Resume(server_id=who.server_id, session_id=who.session_id, token=who.token, seq_ack=self._seq)
            )
        else:
            self._seq, self._ssrc = NO_SEQ, Ssrc(0)
            self._write(
                messages.Identify(
                    server_id=who.server_id,
                    user_id=who.user_id,
                    session_id=who.session_id,
                    token=who.token,
                    max_dave_protocol_version=DAVE_PROTOCOL_VERSION if self._handshake is not None else 0,
                )
            )

    def _lose(self, code: int | None, sentence: str, then: Next) -> None:
        if not self._open:
            return
        self._open = self._may_answer = False
        self._timer = None
        self._outgoing.clear()
        if then is Next.RESUME and not self._described:
            then = Next.RECONNECT
        self._events.append(Closed(code, sentence, then))

    def _write(self, message: messages.ClientMessage) -> None:
        if self._open:
            self._outgoing.append(messages.write_message(message))
