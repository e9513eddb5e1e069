"""What people see of each other: control sessions, who is in a call, who said what. No socket, no clock.

A user has one control session; a newer one replaces it. Its connection may be lost and resumed; when it is not resumed
in time, the user leaves the call. Everyone let into a room is told what happens there, in the call or not.
"""

import logging
import os
from collections.abc import Callable
from datetime import datetime

from raccall.clock import wall_now
from raccall.errors import RaccallError, RefusedError
from raccall.server.announcements import Announcements
from raccall.server.audience import Audience, ControlLink, ControlSession
from raccall.server.calls import Calls
from raccall.server.control import Event
from raccall.server.recording import check_recorder, member_infos, recording_state, room_info
from raccall.server.resuming import resumable_until
from raccall.server.rooms import ENCRYPTED_CAPACITY, Member, Room, Rooms, name_taken
from raccall.server.tokens import Tokens, User
from raccall.units import Nanos
from raccall.voice.gateway.messages import CloseCode
from raccall.wire import control

log = logging.getLogger("raccall.server")


class Hub:
    """Answers everything that comes in on `/gateway`, except for lines of text: those are stored first (`line_allowed`,
    then `tell_line`)."""

    def __init__(
        self,
        rooms: Rooms,
        calls: Calls,
        tokens: Tokens,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
        wall: Callable[[], datetime] = wall_now,
    ) -> None:
        self._rooms = rooms
        self._calls = calls
        self._tokens = tokens
        self._random_bytes = random_bytes
        self._wall = wall
        self.watcher: Callable[[Room], None] = lambda room: None
        """Told of each room whose call somebody entered or left, or whose recording policy changed."""
        self._audience = Audience()
        self._announcements = Announcements(self._audience, rooms, calls)

    def __len__(self) -> int:
        return len(self._audience)

    def check_guest(self, user: User) -> None:
        """Would this new guest be let in? Raises RefusedError `room_unknown`, `room_full`, `name_taken`, and what
        `check_recorder` raises."""
        check_recorder(self._rooms.get(user.room_id), user)
        self._rooms.check_space(user.room_id, recorder=user.recorder)
        self._check_name(user.room_id, user.name, user_id=None)

    def set_policy(self, room_id: int, policy: control.RecordingPolicy, retention_days: int | None) -> None:
        """A room's owner decided anew. Recorders who may not be there any more are sent away; who is there already and
        never answered is kept by no policy."""
        room = self._rooms.get(room_id)
        before = member_infos(room)
        room.policy, room.retention_days = policy, retention_days
        self._calls.reroute()
        for session in [session for session in self._audience if session.user.id in room.members]:
            try:
                check_recorder(room, session.user)
            except RefusedError as error:
                self._audience.tell(session, control.Refused(code=error.code, sentence=str(error)))
                self._leave(session.user, room_id)
        self._announcements.changed(room, before)
        self._announcements.recording(room)
        self.watcher(room)

    def silence(self, room_id: int, user_id: int, silenced: bool) -> Member:
        """The owner lets nobody get a member's voice, or lets all get it again; everyone is shown it. Raises
        RefusedError `member_unknown`, `room_unknown`."""
        room = self._rooms.get(room_id)
        before = member_infos(room)
        member = self._rooms.set_silenced(room_id, user_id, silenced)
        self._calls.reroute()
        self._announcements.changed(room, before)
        log.info("member_silenced" if silenced else "member_heard_again", extra={"fields": _who(room, member)})
        return member

    def check_encryption(self, room_id: int, policy: control.EncryptionPolicy) -> None:
        """May a room be set so? Raises RefusedError `room_unknown`, `encryption_too_many`."""
        room = self._rooms.get(room_id)
        if policy is control.EncryptionPolicy.REQUIRED and len(room.members) > ENCRYPTED_CAPACITY:
            raise RefusedError(
                "encryption_too_many",
                f"{room.name} has {len(room.members)} members now: an encrypted call holds {ENCRYPTED_CAPACITY}.",
            )

    def set_encryption(self, room_id: int, policy: control.EncryptionPolicy) -> None:
        """A room's owner decided anew; it takes effect at the next look at the clock."""
        self._calls.encryption.set_policy(self._rooms.get(room_id), policy)

    # ---- what happens on control connections ----

    def on_event(self, link: ControlLink, event: Event) -> None:
        """One event of a link's core."""
        try:
            match event:
                case control.Identify(token=token):
                    self._identify(link, self._tokens.read_guest(token))
                case control.Resume():
                    self._resume(link, event)
                case control.JoinRoom(room_id=room_id):
                    self._join(link, self._room_of(link, room_id), event)
                case control.LeaveRoom(room_id=room_id):
                    self._leave(self._user(link), self._room_of(link, room_id).id)
                case control.SetMuted(room_id=room_id, muted=muted):
                    room = self._room_of(link, room_id)
                    before = member_infos(room)
                    self._rooms.set_muted(room.id, self._user(link).id, muted)
                    self._announcements.changed(room, before)
                case control.SetDeafened(room_id=room_id, deafened=deafened):
                    room = self._room_of(link, room_id)
                    before = member_infos(room)
                    self._rooms.set_deafened(room.id, self._user(link).id, deafened)
                    self._announcements.changed(room, before)
                case control.SetConsent(room_id=room_id, agree=agree):
                    room = self._room_of(link, room_id)
                    before = member_infos(room)
                    consent = control.Consent.YES if agree else control.Consent.NO
                    self._rooms.set_consent(room.id, self._user(link).id, consent)
                    self._calls.reroute()
                    self._announcements.changed(room, before)
        except RefusedError as error:
            if isinstance(event, control.Identify | control.Resume):
                self._refuse_identity(link, event, error)
            else:
                self.refuse(link, error)

    def line_allowed(self, link: ControlLink, room_id: str, text: str) -> User | None:
        """Who says this line, if it may be said; if not, the client is told why and None is returned."""
        try:
            self._room_of(link, room_id)
            if not text.strip() or len(text) > control.MAX_TEXT_CHARS:
                raise RefusedError("text_malformed", f"A line has 1 to {control.MAX_TEXT_CHARS} characters.")
        except RefusedError as error:
            self.refuse(link, error)
            return None
        return self._user(link)

    def refuse(self, link: ControlLink, error: RaccallError) -> None:
        """Tell one client why something was not done."""
        if (session := self._audience.of_link(link)) is not None:
            self._audience.tell(session, control.Refused(code=error.code, sentence=str(error)))

    def tell_line(self, room_id: int, line: control.TextMessage) -> None:
        """To everyone who was let into the room; to a recorder only if it may keep what this user says."""
        may_be_kept = self._rooms.get(room_id).may_keep(int(line.user_id))
        self._audience.tell_line(room_id, line, may_be_kept=may_be_kept)

    def on_lost(self, link: ControlLink, code: int | None, now: Nanos) -> None:
        """The WebSocket is gone. `code`: what the client closed with, None if it did not."""
        session = self._audience.lose(link)
        if session is None:
            return
        session.expires = resumable_until(link.core.close_code, code, now)
        if session.expires is None:
            self._end(session)

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called: the voice sessions' timer included."""
        timers = [session.expires for session in self._audience]
        timers += [self._calls.get_timer(), self._announcements.get_timer()]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """End what was not resumed in time, and tell what has waited."""
        for session in self._audience:
            if session.expires is not None and now >= session.expires:
                self._end(session)
        self._calls.handle_timer(now)
        self._announcements.handle_timer(now)

    # ---- inside ----

    def _identify(self, link: ControlLink, user: User) -> None:
        room = self._rooms.get(user.room_id)
        self._check_name(room.id, user.name, user_id=user.id)
        if (former := self._audience.of_user(user.id)) is not None:
            self._end(former, CloseCode.DISCONNECTED)
        session = ControlSession(id=self._random_bytes(16).hex(), user=user, link=link)
        self._audience.add(session)
        ready = control.Ready(
            session_id=session.id,
            user_id=str(user.id),
            name=user.name,
            rooms=[room_info(room, self._calls.encryption.state(room.id))],
            seq=session.replay.newest,
        )
        link.core.accept_identify(ready, session.replay)
        link.wake()

    def _resume(self, link: ControlLink, event: control.Resume) -> None:
        session = self._audience.of_user(self._tokens.read_guest(event.token).id)
        if session is None or session.id != event.session_id:
            raise RefusedError("session_invalid", "The session is over; a new one begins.")
        if not link.core.accept_resume(seq=event.seq, replay=session.replay):
            raise RefusedError("session_invalid", "The connection was lost for too long; a new session begins.")
        self._audience.move(session, link)
        link.wake()

    def _join(self, link: ControlLink, room: Room, wish: control.JoinRoom) -> None:
        user = self._user(link)
        check_recorder(room, user)
        before = member_infos(room) if user.id in room.members else []
        member = Member(
            user_id=user.id,
            name=user.name,
            recording=user.recorder,
            bot=user.bot,
            muted=wish.muted,
            deafened=wish.deafened,
            consent=wish.consent,
            told=room.policy is control.RecordingPolicy.AUTOMATIC,
        )
        if self._rooms.join(room.id, member):
            _log("member_joined", room, user, recorder=user.recorder)
            if user.recorder:
                room.recorded_since = room.recorded_since or self._wall().isoformat(timespec="milliseconds")
            self._announcements.joined(room, member)
            self.watcher(room)
        else:
            self._calls.reroute()
            self._announcements.changed(room, before)
        voice_pass = self._calls.new_pass(user.id, room.id)
        host = f"[{link.host}]" if ":" in link.host else link.host
        self._audience.tell(
            self._session(link),
            control.VoiceServer(
                room_id=str(room.id),
                endpoint=f"{host}:{link.port}",
                token=voice_pass.token,
                session_id=voice_pass.session_id,
                recording=recording_state(room),
                encryption=self._calls.encryption.state(room.id),
            ),
        )

    def _leave(self, user: User, room_id: int) -> None:
        if self._rooms.leave(room_id, user.id):
            self._calls.revoke(user.id, room_id)
            room = self._rooms.get(room_id)
            _log("member_left", room, user)
            if user.recorder:
                room.recorded_since = room.recorded_since if room.recorders else None
            self._announcements.left(room, user.id, recorder=user.recorder)
            self.watcher(room)

    def _end(self, session: ControlSession, code: CloseCode = CloseCode.NORMAL) -> None:
        self._audience.remove(session, code)
        self._leave(session.user, session.user.room_id)

    def _check_name(self, room_id: int, name: str, user_id: int | None) -> None:
        """A lost connection gives its name up, so that one who crashed can come back at once."""
        session = self._audience.of_name(room_id, name)
        if session is None or session.user.id == user_id:
            return
        if session.link is not None:
            raise name_taken(name)
        self._end(session)

    def _room_of(self, link: ControlLink, room_id: str) -> Room:
        room = self._rooms.get(self._user(link).room_id)
        if room_id != str(room.id):
            raise RefusedError("room_unknown", "This room does not exist, or you were not let into it.")
        return room

    def _session(self, link: ControlLink) -> ControlSession:
        session = self._audience.of_link(link)
        assert session is not None, "the core lets nobody speak before they are known"
        return session

    def _user(self, link: ControlLink) -> User:
        return self._session(link).user

    def _refuse_identity(
        self, link: ControlLink, event: control.Identify | control.Resume, error: RefusedError
    ) -> None:
        """Who may not resume may identify on the same connection; who may not identify has to go."""
        log.info("identity_refused", extra={"fields": {"code": error.code}})
        link.core.refuse_identity(control.Refused(code=error.code, sentence=str(error)))
        if isinstance(event, control.Identify):
            link.core.close(CloseCode.AUTHENTICATION_FAILED)
        link.wake()


def _who(room: Room, member: Member) -> dict[str, object]:
    return {"room": room.name, "user_id": str(member.user_id), "name": member.name}


def _log(event: str, room: Room, user: User, **fields: object) -> None:
    log.info(event, extra={"fields": {"room": room.name, "user_id": str(user.id), "name": user.name, **fields}})
