"""The server's side of one `/gateway` connection: no socket, no clock, no task.

    S Hello · C Identify · S Ready · then both as things happen

A lost connection is replaced by a new one that starts with Resume; the session and its ReplayBuffer[str] belong to the
caller. If a resume is refused the client may identify on the same connection. After each `receive`, `handle_timer` or
command, drain `next_event` and `to_send`, then look at `close_code` and `get_timer`, before the next call.
"""

from collections import deque
from enum import Enum, auto
from typing import NewType

from raccall.units import Nanos
from raccall.voice.gateway.heartbeat import Patience
from raccall.voice.gateway.limit import RateLimit
from raccall.voice.gateway.messages import CloseCode
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.wire import control

HEARTBEAT_INTERVAL_MS = 15_000
RATE_BURST = 60
RATE_PER_SECOND = 5.0
MAX_OUTGOING = 1000
"""Messages a client has not taken yet. One more and the connection is closed, to be resumed."""

Event = (
    control.Identify
    | control.Resume
    | control.JoinRoom
    | control.LeaveRoom
    | control.SetMuted
    | control.SetDeafened
    | control.SetConsent
    | control.Say
)
Numbered = (
    control.VoiceServer
    | control.MemberJoined
    | control.MemberLeft
    | control.MemberUpdated
    | control.MembersChanged
    | control.RecordingChanged
    | control.EncryptionChanged
    | control.TextMessage
    | control.Refused
)


class _State(Enum):
    NEW = auto()  # waits for Identify or Resume
    ASKED = auto()  # one of them came, the owner has not answered
    READY = auto()
    CLOSED = auto()


def first_replay() -> ReplayBuffer[str]:
    """Of a new session. Numbers begin with 1: 0 in a message means that it has none."""
    return ReplayBuffer[str](first=1)


Body = NewType("Body", str)
"""A message as it is written, up to its number: the same for everyone who is told."""


def body_of(message: Numbered) -> Body:
    """`seq` is the last field of each."""
    text = control.write_message(message)
    assert text.endswith('"seq":0}'), "a numbered message is given without its number"
    return Body(text[:-2])


class ControlGatewayServer:
    """One connection. Its events are the client's own messages; Identify and Resume want an answer."""

    def __init__(self, now: Nanos, *, heartbeat_interval_ms: int = HEARTBEAT_INTERVAL_MS) -> None:
        self.close_code: CloseCode | None = None
        """Set when the server ends the connection: send what `to_send` has, then close with it."""
        self._patience = Patience(now, heartbeat_interval_ms)
        self._state = _State.NEW
        self._events: deque[Event] = deque()
        self._outgoing: list[str] = [control.write_message(control.Hello(heartbeat_interval_ms=heartbeat_interval_ms))]
        self._replay = first_replay()
        self._limit = RateLimit(now, burst=RATE_BURST, per_second=RATE_PER_SECOND)

    # ---- the five verbs ----

    def receive(self, data: str | bytes, now: Nanos) -> None:
        """One message of the client. Anything wrong with it closes the connection with a code; nothing is raised."""
        if self.closed:
            return
        if not self._limit.allow(now):
            self.close(CloseCode.RATE_LIMITED)
            return
        try:
            message = control.parse_client_message(data)
        except control.MalformedMessage:
            self.close(CloseCode.DECODE_ERROR)
            return
        match message:
            case control.Heartbeat(nonce=nonce):
                self._patience.heard(now)
                self._send(control.write_message(control.HeartbeatAck(nonce=nonce)))
            case control.Identify() | control.Resume():
                if self._state is not _State.NEW:
                    self.close(CloseCode.ALREADY_AUTHENTICATED)
                    return
                self._state = _State.ASKED
                self._events.append(message)
            case _ if self._state is not _State.READY:
                self.close(CloseCode.NOT_AUTHENTICATED)
            case _:
                self._events.append(message)

    def next_event(self) -> Event | None:
        """What the client wants, oldest first."""
        return self._events.popleft() if self._events else None

    def to_send(self, now: Nanos) -> list[str]:
        """Messages for the client, to be sent in this order."""
        outgoing, self._outgoing = self._outgoing, []
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
    def known(self) -> bool:
        """Who is there was said and accepted."""
        return self._state is _State.READY

    def accept_identify(self, ready: control.Ready, replay: ReplayBuffer[str]) -> None:
        """The token is right. `replay` is the new session's, empty."""
        self._answer(_State.READY)
        self._replay = replay
        self._send(control.write_message(ready))

    def accept_resume(self, *, seq: int, replay: ReplayBuffer[str]) -> bool:
        """The session goes on here. False, and nothing was said yet, if messages that the client lacks are gone."""
        missed = replay.since(seq)
        if missed is None:
            return False
        self._answer(_State.READY)
        self._replay = replay
        self._send(control.write_message(control.Resumed()))
        for text in missed:
            self._send(text)
        return True

    def refuse_identity(self, refused: control.Refused) -> None:
        """The token or the session is wrong: say why. The client may try again on this connection."""
        self._answer(_State.NEW)
        self._send(control.write_message(refused))

    def tell(self, body: Body) -> None:
        """Something happened. For a lost connection the replay alone is told."""
        self._send(self._replay.append(body))

    def mention(self, message: control.UplinkLoss) -> None:
        """Something that is not said again after a resume."""
        self._send(control.write_message(message))

    def close(self, code: CloseCode) -> None:
        """End the connection. The first code counts."""
        if not self.closed:
            self.close_code = code
            self._state = _State.CLOSED

    def _send(self, text: str) -> None:
        if self.closed:
            return
        if len(self._outgoing) >= MAX_OUTGOING:
            self.close(CloseCode.SERVER_CRASHED)
            return
        self._outgoing.append(text)

    def _answer(self, state: _State) -> None:
        if self._state is not _State.ASKED:
            raise RuntimeError(f"the connection is {self._state.name}: nobody asked")
        self._state = state
