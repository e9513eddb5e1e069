"""The control connection of one user, as a core: no socket, no clock.

    opened ─▶ Hello ─▶ Identify ─▶ Ready ─▶ join_room ─▶ VoiceServer, members, lines, ...
                    └▶ Resume ─▶ Resumed, and what was missed   (refused: Identify, all is new)

One object lives over any number of WebSockets: the caller says `opened` for each new one and `lost` when it ended.
After each input or command, drain `next_event` and `to_send`, and ask `get_timer` again, before the next one.
"""

from collections import deque

import msgspec

from raccall.client import events
from raccall.client.events import Event
from raccall.client.room import RoomMirror
from raccall.units import Nanos
from raccall.voice.gateway.heartbeat import Pulse
from raccall.voice.gateway.messages import CloseCode
from raccall.wire import control
from raccall.wire.control import Consent, EncryptionState, MemberInfo, RecordingState


class ControlSession:
    """What a client knows and wants on `/gateway`.

    `rooms` mirrors the rooms; `counts["malformed"]` says how many messages could not be read.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._events: deque[Event] = deque()
        self._outgoing: deque[str] = deque()
        self._open = False
        self._greeting: control.Identify | control.Resume | None = None  # sent and not yet answered
        self._session_id = ""
        self._seq = 0
        self._pulse = Pulse()
        self._lines = 0
        self.user_id = ""
        self.rooms = RoomMirror()
        self.uplink_loss_pct: dict[str, float] = {}
        """user id → loss on their way to the server, in the last seconds. Told to recorders only."""
        self.counts = {"malformed": 0}

    @property
    def round_trip_ms(self) -> float | None:
        """Of the newest answered heartbeat."""
        return self._pulse.round_trip_ms

    # ---- inputs ----

    def opened(self, now: Nanos) -> None:
        """A new WebSocket is open; the server speaks first."""
        self._open = True
        self._outgoing.clear()
        self._greeting = None
        self._pulse.opened(now)

    def receive(self, data: str | bytes, now: Nanos) -> None:
        """One WebSocket message. Nothing in it is ever raised."""
        if not self._open:
            return
        try:
            message = control.parse_server_message(data)
        except control.MalformedMessage:
            self.counts["malformed"] += 1
            return
        seq = getattr(message, "seq", 0)
        if not isinstance(message, control.Ready) and 0 < seq <= self._seq:
            return  # repeated after a resume
        self._on_message(message, now)
        self._seq = max(self._seq, seq)

    def lost(self, code: int | None, now: Nanos) -> None:
        """The WebSocket ended, with its close code if one came."""
        if code == CloseCode.GOING_AWAY:
            self._lose("server_stopped", "The server stopped.")
        elif code == CloseCode.DISCONNECTED:
            self._lose("session_replaced", "A newer session took the place of this one.", final=True)
        else:
            self._lose("connection_broken", "The connection to the server broke.")

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        return self._pulse.timer

    def handle_timer(self, now: Nanos) -> None:
        """Send the next heartbeat, or give the connection up when the last one was not answered."""
        if not self._pulse.is_due(now):
            return
        if (nonce := self._pulse.beat(now)) is None:
            self._lose("server_silent", "The server stopped answering.")
        else:
            self._write(control.Heartbeat(nonce=nonce))

    # ---- commands ----

    def join_room(
        self, room_id: str, *, muted: bool = False, deafened: bool = False, consent: Consent = Consent.UNDECIDED
    ) -> None:
        """Enter a room's call; VoiceServerGiven or Refused follows."""
        self._write(control.JoinRoom(room_id=room_id, muted=muted, deafened=deafened, consent=consent))

    def leave_room(self, room_id: str) -> None:
        self._write(control.LeaveRoom(room_id=room_id))

    def set_muted(self, room_id: str, muted: bool) -> None:
        """Show the others that the own microphone is off or on."""
        self._write(control.SetMuted(room_id=room_id, muted=muted))

    def set_deafened(self, room_id: str, deafened: bool) -> None:
        """Show the others that one hears nobody, or hears them again."""
        self._write(control.SetDeafened(room_id=room_id, deafened=deafened))

    def set_consent(self, room_id: str, agree: bool) -> None:
        """Agree to being recorded, or do not any more."""
        self._write(control.SetConsent(room_id=room_id, agree=agree))

    def say(self, room_id: str, text: str) -> str:
        """A line for everyone in the room. Returns the nonce by which its TextReceived is known as the own one."""
        self._lines += 1
        nonce = f"{self._session_id}-{self._lines}"
        self._write(control.Say(room_id=room_id, text=text, nonce=nonce))
        return nonce

    # ---- outputs ----

    def next_event(self) -> Event | None:
        """The oldest event not yet taken."""
        return self._events.popleft() if self._events else None

    def to_send(self, now: Nanos) -> list[str]:
        """Text messages for the WebSocket, in order."""
        ready = list(self._outgoing)
        self._outgoing.clear()
        return ready

    # ---- inside ----

    def _on_message(self, message: control.ServerMessage, now: Nanos) -> None:
        match message:
            case control.Hello(heartbeat_interval_ms=interval_ms):
                self._on_hello(interval_ms, now)
            case control.HeartbeatAck(nonce=nonce):
                self._pulse.answered(nonce, now)
            case control.UplinkLoss(loss_pct=loss_pct):
                self.uplink_loss_pct = loss_pct
            case control.Ready():
                self._greeting = None
                self._session_id, self._seq = message.session_id, message.seq
                self._events.append(events.Identified(message.user_id, message.name))
                if self.user_id:
                    self._catch_up(message.rooms)
                self.user_id = message.user_id
                self.rooms.replace(message.rooms)
            case control.Resumed():
                self._greeting = None
                self._events.append(events.Resumed())
            case control.VoiceServer():
                self._on_recording(message.room_id, message.recording)
                self._on_encryption(message.room_id, message.encryption)
                self._events.append(
                    events.VoiceServerGiven(
                        message.room_id,
                        message.endpoint,
                        message.token,
                        message.session_id,
                        message.recording,
                        message.encryption,
                    )
                )
            case control.RecordingChanged():
                self._on_recording(message.room_id, message.recording)
            case control.EncryptionChanged():
                self._on_encryption(message.room_id, message.encryption)
            case control.TextMessage():
                self._events.append(
                    events.TextReceived(
                        message.room_id, message.user_id, message.name, message.text, message.wall, message.nonce
                    )
                )
            case control.Refused():
                self._on_refused(message)
            case control.MemberLeft():
                self._on_gone(message.room_id, message.user_id)
            case control.MemberJoined() | control.MemberUpdated():
                self._on_member(message.room_id, message.member)
            case control.MembersChanged():
                for user_id in message.left:
                    self._on_gone(message.room_id, user_id)
                for member in message.members:
                    self._on_member(message.room_id, member)

    def _on_hello(self, interval_ms: int, now: Nanos) -> None:
        try:
            self._pulse.begin(interval_ms, now)
        except ValueError:
            self.counts["malformed"] += 1
            return
        if self._session_id:
            self._greet(control.Resume(token=self._token, session_id=self._session_id, seq=self._seq))
        else:
            self._greet(control.Identify(token=self._token))

    def _greet(self, greeting: control.Identify | control.Resume) -> None:
        self._greeting = greeting
        self._write(greeting)

    def _on_refused(self, message: control.Refused) -> None:
        match self._greeting:
            case control.Resume():
                self._session_id, self._seq = "", 0
                self._greet(control.Identify(token=self._token))
            case control.Identify():
                self._lose(message.code, message.sentence, final=True)
            case _:
                self._events.append(events.Refused(message.code, message.sentence))

    def _on_gone(self, room_id: str, user_id: str) -> None:
        if (gone := self.rooms.remove(room_id, user_id)) is not None:
            self._events.append(events.MemberLeft(room_id, gone))

    def _on_member(self, room_id: str, member: MemberInfo) -> None:
        before = self.rooms.put(room_id, member)
        if before is None:
            self._events.append(events.MemberJoined(room_id, member))
        else:
            self._tell_change(room_id, before, member)

    def _tell_change(self, room_id: str, before: MemberInfo, member: MemberInfo) -> None:
        consent = {"consent": member.consent, "kept": member.kept}
        if msgspec.structs.replace(before, **consent) != member:
            self._events.append(events.MemberChanged(room_id, before, member))
        if (before.consent, before.kept) != (member.consent, member.kept):
            self._events.append(events.ConsentChanged(room_id, before, member))

    def _on_recording(self, room_id: str, recording: RecordingState) -> None:
        before = self.rooms.put_recording(room_id, recording)
        for user_id, name in before.recorders.items():
            if user_id not in recording.recorders:
                self._events.append(events.RecordingStopped(room_id, user_id, name))
        for user_id, name in recording.recorders.items():
            if user_id not in before.recorders:
                self._events.append(events.RecordingStarted(room_id, user_id, name))
        if (before.policy, before.retention_days) != (recording.policy, recording.retention_days):
            self._events.append(events.RecordingPolicyChanged(room_id, recording))

    def _on_encryption(self, room_id: str, encryption: EncryptionState) -> None:
        before = self.rooms.put_encryption(room_id, encryption)
        if (before.policy, before.without) != (encryption.policy, encryption.without):
            members = self.rooms.members(room_id)
            names = (members[user_id].name if user_id in members else user_id for user_id in encryption.without)
            self._events.append(events.EncryptionPolicyChanged(room_id, encryption.policy, tuple(names)))

    def _catch_up(self, rooms: list[control.RoomInfo]) -> None:
        """What happened while a connection was lost that could not be resumed. The own user is joined again later."""
        for room in rooms:
            before = self.rooms.members(room.room_id)
            after = {member.user_id: member for member in room.members}
            for user_id, gone in before.items():
                if user_id not in after and user_id != self.user_id:
                    self._events.append(events.MemberLeft(room.room_id, gone))
            for user_id, member in after.items():
                if (known := before.get(user_id)) is None:
                    self._events.append(events.MemberJoined(room.room_id, member))
                else:
                    self._tell_change(room.room_id, known, member)
            self._on_recording(room.room_id, room.recording)
            self._on_encryption(room.room_id, room.encryption)

    def _lose(self, code: str, sentence: str, *, final: bool = False) -> None:
        if not self._open:
            return
        self._open = False
        self._pulse.stop()
        self._outgoing.clear()
        self._events.append(events.ConnectionLost(code, sentence, final))

    def _write(self, message: control.ClientMessage) -> None:
        if self._open:
            self._outgoing.append(control.write_message(message))
