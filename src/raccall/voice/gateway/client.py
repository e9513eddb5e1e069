"""The member's side of one voice session, as a core: no socket, no clock (the server's side is `gateway.server`).

    opened ─▶ Hello ─▶ Identify ─▶ Ready ─▶ (IP discovery, by the caller) ─▶ select_protocol ─▶ SessionDescription
                    └▶ Resume ─▶ Resumed, and what was missed             (only after a session was described once)
    a SessionDescription more ─▶ KeyChanged
    messages of end-to-end encryption ⇄ Handshake, whose events are among this core's (`voice.dave.handshake`)

One object lives as long as the session does, over any number of WebSockets: the caller says `opened` for each new one
and `lost` when it ended; Closed tells what to do next. After each input or command, drain `next_event` and `to_send`,
and ask `get_timer` again, before the next one.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from raccall.units import Nanos, Ssrc
from raccall.voice.dave import events as dave
from raccall.voice.dave.handshake import Handshake
from raccall.voice.gateway import binary, messages, tunnel
from raccall.voice.gateway.client_events import (
    KeyChanged,
    SessionDescription,
    UserDisconnected,
    UsersConnected,
    UserSpeaking,
    VoiceEvent,
    VoiceIdentity,
    VoiceReady,
    VoiceResumed,
)
from raccall.voice.gateway.closing import Closed, Next, closed_by
from raccall.voice.gateway.codes import DAVE_PROTOCOL_VERSION
from raccall.voice.gateway.heartbeat import Pulse
from raccall.voice.gateway.messages import NO_SEQ, VoiceMalformed

SEQ_VALUES = 1 << 16
"""Numbers of messages wrap there: a binary one has two bytes for it."""


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
        self._pulse = Pulse()
        self.counts = {"malformed": 0, "unknown": 0, "binary": 0, "repeated": 0}

    @property
    def round_trip_ms(self) -> float | None:
        """Of the newest answered heartbeat: the WebSocket's delay, not the media's."""
        return self._pulse.round_trip_ms

    # ---- inputs ----

    def opened(self, now: Nanos) -> None:
        """A new WebSocket is open; the server speaks first."""
        self._open = True
        self._may_answer = False
        self._outgoing.clear()
        self._pulse.opened(now)

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
        self._lose(closed_by(code))

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called; None: this WebSocket is of no more use."""
        own = self._pulse.timer
        if own is None or self._handshake is None or (other := self._handshake.get_timer()) is None:
            return own
        return min(own, other)

    def handle_timer(self, now: Nanos) -> None:
        """Send the next heartbeat, or give the connection up when the last one was not answered."""
        if self._handshake is not None:
            self._handshake.handle_timer(now)
            self._take_handshake_events()
        if not self._pulse.is_due(now):
            return
        if (nonce := self._pulse.beat(now)) is None:
            self._lose(Closed(None, "The voice server stopped answering.", Next.RESUME))
        else:
            self._write(messages.Heartbeat(t=nonce, seq_ack=self._seq))

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
                self._pulse.answered(nonce, now)
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
        self._pulse.begin(interval_ms, now)
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

    def _lose(self, closed: Closed) -> None:
        if not self._open:
            return
        self._open = self._may_answer = False
        self._pulse.stop()
        self._outgoing.clear()
        if closed.next is Next.RESUME and not self._described:
            closed = replace(closed, next=Next.RECONNECT)
        self._events.append(closed)

    def _write(self, message: messages.ClientMessage) -> None:
        if self._open:
            self._outgoing.append(messages.write_message(message))
