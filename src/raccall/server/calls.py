"""Voice sessions: how each begins, is resumed and ends, and what the others are told.

    pass (from the control connection) ─▶ Identify ─▶ session ─▶ SelectProtocol ─▶ connected ─▶ gone
                                                         └── connection lost ─▶ resumed within GRACE_MS, or gone

Every change of the sessions, and of what their users agreed to, is told to the relay (`server.forwarding`).
"""

import logging
import os
from collections.abc import Callable, Iterable

from raccall.server import routing
from raccall.server.batches import Batches
from raccall.server.encryption import Encryption
from raccall.server.forwarding import Forwarding
from raccall.server.keys import KeyWatch
from raccall.server.resuming import resumable_until
from raccall.server.rooms import Rooms
from raccall.server.routing import RelayHandle
from raccall.server.uplinks import Counts
from raccall.server.voice_session import Passes, VoiceLink, VoicePass, VoiceSession
from raccall.units import Nanos
from raccall.voice.gateway.binary import DaveToClient, Proposals
from raccall.voice.gateway.messages import ClientDisconnect, ClientsConnect, CloseCode, UserSpeaking
from raccall.voice.gateway.server import Announcement, Wire, body_of
from raccall.voice.gateway.server_events import (
    EncryptionMessage,
    Identified,
    ProtocolSelected,
    ResumeRequested,
    SpeakingChanged,
)

PLANNED_AT_ONCE = 30
"""Voice sessions of a server; of more, the routes to those who come and go are planned together."""
STUN_COOKIE = 0x2112A442
"""Never an SSRC: an IP discovery request with it would look like STUN."""

log = logging.getLogger("raccall.server")

SessionEvent = Identified | ResumeRequested | ProtocolSelected | SpeakingChanged | EncryptionMessage


News = tuple[VoiceSession, ClientsConnect | UserSpeaking]
"""Who it is about, and what the others are told."""


class Calls:
    """All voice sessions of this server."""

    def __init__(self, relay: RelayHandle, rooms: Rooms, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._keys = KeyWatch(relay)
        self._rooms = rooms
        self._random_bytes = random_bytes
        self.forwarding = Forwarding(relay, rooms)
        self._passes = Passes(random_bytes)
        self._voices: dict[tuple[int, int], VoiceSession] = {}  # by user and room
        self._sessions: dict[int, VoiceSession] = {}
        self._links: dict[VoiceLink, VoiceSession] = {}
        self._routes: Batches[None] = Batches(lambda room_id, changes: self.reroute())
        self._news: Batches[News] = Batches(self._announce)
        self._ssrcs = {0, STUN_COOKIE}  # none of these may be given
        self._last_id = 0
        self.encryption = Encryption(rooms, self)

    def __len__(self) -> int:
        return len(self._sessions)

    # ---- commands of the control connection ----

    def new_pass(self, user_id: int, room_id: int) -> VoicePass:
        """A running session of this user goes on until the new pass is used."""
        return self._passes.new(user_id, room_id)

    def revoke(self, user_id: int, room_id: int) -> None:
        """The user has left the room's call: end the voice session (4014) and let no new one begin."""
        self._passes.drop(user_id, room_id)
        if (session := self._voices.get((user_id, room_id))) is not None:
            self._end(session, CloseCode.DISCONNECTED)

    def reroute(self) -> None:
        """Plan anew: to be called when someone's consent or a room's policy has changed."""
        self.forwarding.plan(self._sessions.values())

    def uplinks(self, room_id: int) -> dict[int, Counts]:
        """What the relay received and missed of each voice in the room that may be kept, by user id."""
        counts = {}
        for session in self._sessions.values():
            if session.connected and session.room_id == room_id and self._rooms.get(room_id).may_keep(session.user_id):
                stats = self.forwarding.stats(session)
                if stats is not None:
                    counts[session.user_id] = (stats["received"], stats["lost"])
        return counts

    def session_ids(self, room_id: int) -> dict[int, int]:
        """The room's voice sessions, by user id."""
        return {s.user_id: s.id for s in self._sessions.values() if s.room_id == room_id and s.connected}

    def stats(self) -> dict[int, dict[str, int]]:
        """What the relay counts of each connected session, by session id."""
        connected = (session for session in self._sessions.values() if session.connected)
        stats = {session.id: self.forwarding.stats(session) for session in connected}
        return {session_id: counts for session_id, counts in stats.items() if counts is not None}

    def renew_keys(self, now: Nanos) -> None:
        """Give new keys where needed; to be called every LOOK_EVERY_S. Who ignores one has to begin anew (4006)."""
        for session_id in self._keys.wanted([s.id for s in self._sessions.values() if s.connected], now):
            session = self._sessions[session_id]
            session.key = self._random_bytes(routing.KEY_BYTES)
            self.reroute()
            self._describe(session)
        for session_id in self._keys.ignored(now):
            self._end(self._sessions[session_id], CloseCode.SESSION_INVALID)

    # ---- what happens on voice connections ----

    def on_event(self, link: VoiceLink, event: SessionEvent) -> None:
        """One event of a link's core."""
        match event:
            case Identified():
                self._on_identified(link, event)
            case ResumeRequested():
                self._on_resume(link, event)
            case ProtocolSelected():
                self._on_protocol_selected(link, event)
            case SpeakingChanged():
                self._on_speaking(link, event.speaking)
            case EncryptionMessage():
                session = self._links[link]
                self.encryption.receive(session.room_id, session, event.message)

    def on_lost(self, link: VoiceLink, code: int | None, now: Nanos) -> None:
        """The WebSocket is gone. `code`: what the client closed with, None if it did not."""
        session = self._links.pop(link, None)
        if session is None:
            return
        session.link = None
        session.expires = resumable_until(link.core.close_code, code, now)
        if session.expires is None or not session.connected:
            self._end(session)

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        timers = [session.expires for session in self._sessions.values()]
        timers += [self._routes.get_timer(), self._news.get_timer(), self.encryption.get_timer()]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """End what was not resumed in time; plan and tell what has waited."""
        self._routes.handle_timer(now)
        self._news.handle_timer(now)
        for session in list(self._sessions.values()):
            if session.expires is not None and now >= session.expires:
                self._end(session)
        self.encryption.handle_timer(now)

    # ---- what encryption asks ----

    def parties(self, room_id: int) -> list[VoiceSession]:
        """Who is connected, or about to be."""
        return [session for session in self._sessions.values() if session.room_id == room_id]

    def pass_on(self, room_id: int, user_ids: Iterable[int], message: DaveToClient) -> None:
        """The same bytes to each of these users."""
        if isinstance(message, Proposals):
            self._news.flush(room_id)  # who is to be added is known to all
        body, users = body_of(message), set(user_ids)
        for session in self.parties(room_id):
            if session.connected and session.user_id in users:
                self._pass_on(session, body)

    def describe_again(self, party: VoiceSession) -> None:
        """The call is at another version than the client was told."""
        self._describe(party)

    def send_away(self, party: VoiceSession, code: CloseCode) -> None:
        """End a session."""
        self._end(party, code)

    # ---- inside ----

    def _on_identified(self, link: VoiceLink, event: Identified) -> None:
        voice_pass = self._passes.get(event.session_id)
        if voice_pass is None:
            self._refuse(link, CloseCode.SESSION_INVALID)
        elif not voice_pass.fits(event.token) or event.user_id != str(voice_pass.user_id):
            self._refuse(link, CloseCode.AUTHENTICATION_FAILED)
        elif event.server_id != str(voice_pass.room_id):
            self._refuse(link, CloseCode.SERVER_NOT_FOUND)
        elif not self.encryption.admits(self._rooms.get(voice_pass.room_id), event.dave_version):
            self._refuse(link, CloseCode.ENCRYPTION_REQUIRED)
        else:
            if (former := self._voices.get((voice_pass.user_id, voice_pass.room_id))) is not None:
                self._end(former, CloseCode.DISCONNECTED)
            self._begin(link, voice_pass, event.dave_version)

    def _begin(self, link: VoiceLink, voice_pass: VoicePass, dave_version: int) -> None:
        self._last_id += 1
        session = VoiceSession(
            id=self._last_id,
            voice_pass=voice_pass,
            ssrc=self._new_ssrc(voice_pass.room_id),
            key=self._random_bytes(routing.KEY_BYTES),
            link=link,
            dave_version=dave_version,
        )
        self._sessions[session.id] = self._voices[session.user_id, session.room_id] = session
        self._links[link] = session
        self._ssrcs.add(session.ssrc)
        self.encryption.touch(session.room_id)
        self.forwarding.introduce(session)
        link.core.accept_identify(ssrc=session.ssrc, host=link.host, port=link.port, replay=session.replay)
        link.wake()

    def _on_protocol_selected(self, link: VoiceLink, event: ProtocolSelected) -> None:
        session = self._links[link]
        session.mode = event.mode
        session.connected = True
        self.encryption.touch(session.room_id)
        others = self._others(session)
        self.forwarding.introduce(session, others)
        self._replan(session.room_id)
        self.forwarding.set_address(session, (event.address, event.port), link.peer)
        _log("voice_connected", session, mode=session.mode)
        self._describe(session)
        self._tell(session, ClientsConnect(user_ids=[str(other.user_id) for other in others]))
        for other in others:
            if other.speaking is not None:
                self._tell(session, _speaking(other, other.speaking))
        self._news.add(session.room_id, (session, ClientsConnect(user_ids=[str(session.user_id)])))

    def _replan(self, room_id: int) -> None:
        """Somebody came or went. For few a plan takes a millisecond, and their first word does not wait; hundreds are
        planned together."""
        if len(self._sessions) <= PLANNED_AT_ONCE:
            self.reroute()
        else:
            self._routes.add(room_id, None)

    def _announce(self, room_id: int, news: list[News]) -> None:
        """Tell everybody in the room what is new of others, in as few messages as there can be."""
        news = [(session, message) for session, message in news if session.id in self._sessions]
        came = [str(session.user_id) for session, message in news if isinstance(message, ClientsConnect)]
        spoke = [(session, body_of(message)) for session, message in news if isinstance(message, UserSpeaking)]
        everyone = body_of(ClientsConnect(user_ids=came))
        for listener in self._sessions.values():
            if listener.room_id != room_id or not listener.connected:
                continue
            own = str(listener.user_id)
            if own not in came:
                if came:
                    self._pass_on(listener, everyone)
            elif others := [user_id for user_id in came if user_id != own]:
                self._tell(listener, ClientsConnect(user_ids=others))
            for session, body in spoke:
                if session is not listener:
                    self._pass_on(listener, body)

    def _describe(self, session: VoiceSession) -> None:
        """Tell the client its key; one whose connection is lost is told when it resumes."""
        if session.link is not None:
            version = self.encryption.version(session.room_id)
            session.link.core.describe(
                mode=session.mode, key=session.key, media_session_id=str(session.id), dave_version=version
            )
            session.described_key, session.described_dave_version = session.key, version
            session.link.wake()

    def _on_speaking(self, link: VoiceLink, speaking: int) -> None:
        session = self._links[link]
        session.speaking = speaking
        if session.connected:
            self._news.add(session.room_id, (session, _speaking(session, speaking)))

    def _on_resume(self, link: VoiceLink, event: ResumeRequested) -> None:
        session = next((s for s in self._sessions.values() if s.voice_pass.session_id == event.session_id), None)
        if session is None or not session.connected or not session.voice_pass.fits(event.token):
            self._refuse(link, CloseCode.SESSION_INVALID)
            return
        if link.core.accept_resume(seq_ack=event.seq_ack, replay=session.replay):
            if session.link is not None:  # the client noticed the loss before the server did
                del self._links[session.link]
                self._refuse(session.link, CloseCode.DISCONNECTED)
            session.link, session.expires = link, None
            self._links[link] = session
            self.encryption.resumed(session.room_id, session)
            if session.described_key != session.key:
                self._describe(session)
        link.wake()

    def _end(self, session: VoiceSession, code: CloseCode = CloseCode.NORMAL) -> None:
        del self._sessions[session.id], self._voices[session.user_id, session.room_id]
        self._ssrcs.remove(session.ssrc)
        self._keys.forget(session.id)
        _log("voice_ended", session, code=int(code))
        if session.link is not None:
            del self._links[session.link]
            self._refuse(session.link, code)
            session.link = None
        self._replan(session.room_id)
        self.forwarding.drop(session)
        self.encryption.touch(session.room_id)
        if session.connected:
            self._news.flush(session.room_id)
            for other in self._others(session):
                self._tell(other, ClientDisconnect(user_id=str(session.user_id)))

    def _refuse(self, link: VoiceLink, code: CloseCode) -> None:
        link.core.close(code)
        link.wake()

    def _tell(self, session: VoiceSession, message: Announcement) -> None:
        self._pass_on(session, body_of(message))

    def _pass_on(self, session: VoiceSession, body: Wire) -> None:
        """For a lost connection the replay alone is told."""
        if session.link is None:
            session.replay.append(body)
        else:
            session.link.core.announce(body)
            session.link.wake()

    def _others(self, session: VoiceSession) -> list[VoiceSession]:
        """In the room with it, and connected; in the order they came."""
        room_id, all = session.room_id, self._sessions.values()
        return [other for other in all if other.connected and other.room_id == room_id and other is not session]

    def _new_ssrc(self, room_id: int) -> int:
        """24 random bits and the room's lane."""
        while (ssrc := int.from_bytes(self._random_bytes(3), "big") << 8 | routing.lane(room_id)) in self._ssrcs:
            pass
        return ssrc


def _speaking(session: VoiceSession, speaking: int) -> UserSpeaking:
    return UserSpeaking(user_id=str(session.user_id), ssrc=session.ssrc, speaking=speaking)


def _log(event: str, session: VoiceSession, **fields: object) -> None:
    who = {"session": session.id, "user_id": str(session.user_id), "room_id": str(session.room_id)}
    log.info(event, extra={"fields": who | fields})
