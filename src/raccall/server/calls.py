"""Voice sessions: who may open one, what the others are told, and what the relay must know of them.

    pass (from the control connection) ─▶ Identify ─▶ session ─▶ SelectProtocol ─▶ connected ─▶ gone
                                                         └── connection lost ─▶ resumed within GRACE_MS, or gone

Every change of the sessions, and of what their users agreed to, is planned into a table and handed to the relay as the
difference to the last one.
"""

import hmac
import ipaddress
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from raccall.server import routing
from raccall.server.batches import Batches
from raccall.server.encryption import Encryption
from raccall.server.keys import KeyWatch
from raccall.server.link import Link
from raccall.server.rooms import Rooms
from raccall.server.routing import RelayHandle, Table, Voice
from raccall.server.uplinks import Counts
from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.gateway.binary import DaveToClient, Proposals
from raccall.voice.gateway.messages import ClientDisconnect, ClientsConnect, CloseCode, UserSpeaking
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.voice.gateway.server import OFFERED_MODES, Announcement, VoiceGatewayServer, Wire, body_of, first_replay
from raccall.voice.gateway.server_events import (
    EncryptionMessage,
    Identified,
    ProtocolSelected,
    ResumeRequested,
    SpeakingChanged,
)

GRACE_MS = 30_000
"""A session whose connection was lost is kept this long. Media goes on meanwhile."""
GOODBYES = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})
"""A client that closes with one of these does not come back."""
RESUMABLE = frozenset({CloseCode.SESSION_TIMEOUT, CloseCode.SERVER_CRASHED})
"""Of the codes the server closes with: the client may be there still."""
PLANNED_AT_ONCE = 30
"""Voice sessions of a server; of more, the routes to those who come and go are planned together."""
STUN_COOKIE = 0x2112A442
"""Never an SSRC: an IP discovery request with it would look like STUN."""

log = logging.getLogger("raccall.server")

VoiceLink = Link[VoiceGatewayServer]
SessionEvent = Identified | ResumeRequested | ProtocolSelected | SpeakingChanged | EncryptionMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicePass:
    """Lets one user open a voice session in one room. A newer one replaces it."""

    session_id: str
    token: str = field(repr=False)
    user_id: int
    room_id: int


@dataclass(eq=False, slots=True, kw_only=True)
class VoiceSession:
    """One user's voice in one room; outlives its connections."""

    id: int
    """What the relay calls it."""
    voice_pass: VoicePass
    ssrc: int
    key: bytes = field(repr=False)
    link: VoiceLink | None
    """None while the connection is lost."""
    mode: str = OFFERED_MODES[0]
    connected: bool = False
    speaking: int | None = None
    """What the client said last; None before it spoke."""
    described_key: bytes = field(default=b"", repr=False)
    """The key that the client was told last."""
    dave_version: int
    """The newest of end-to-end encryption that the client speaks; 0: none."""
    described_dave_version: int = 0
    """What the client was told last that the call is at."""
    replay: ReplayBuffer[Wire] = field(default_factory=first_replay)
    expires: Nanos | None = None
    """When a lost connection can no longer be resumed."""
    user_id: int = field(init=False)
    room_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.user_id, self.room_id = self.voice_pass.user_id, self.voice_pass.room_id


News = tuple[VoiceSession, ClientsConnect | UserSpeaking]
"""Who it is about, and what the others are told."""


class Calls:
    """All voice sessions of this server."""

    def __init__(self, relay: RelayHandle, rooms: Rooms, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._relay = relay
        self._keys = KeyWatch(relay)
        self._rooms = rooms
        self._random_bytes = random_bytes
        self._passes: dict[str, VoicePass] = {}
        self._newest: dict[tuple[int, int], VoicePass] = {}  # by user and room
        self._voices: dict[tuple[int, int], VoiceSession] = {}  # by user and room
        self._sessions: dict[int, VoiceSession] = {}
        self._links: dict[VoiceLink, VoiceSession] = {}
        self._table: Table = {}
        self._routes: Batches[None] = Batches(lambda room_id, changes: self.reroute())
        self._news: Batches[News] = Batches(self._announce)
        self._last_id = 0
        self.encryption = Encryption(rooms, self)

    def __len__(self) -> int:
        return len(self._sessions)

    # ---- commands of the control connection ----

    def new_pass(self, user_id: int, room_id: int) -> VoicePass:
        """A running session of this user goes on until the new pass is used."""
        self._drop_pass(user_id, room_id)
        voice_pass = VoicePass(
            session_id=self._random_bytes(16).hex(),
            token=self._random_bytes(16).hex(),
            user_id=user_id,
            room_id=room_id,
        )
        self._passes[voice_pass.session_id] = self._newest[user_id, room_id] = voice_pass
        return voice_pass

    def revoke(self, user_id: int, room_id: int) -> None:
        """The user has left the room's call: end the voice session (4014) and let no new one begin."""
        self._drop_pass(user_id, room_id)
        if (session := self._voices.get((user_id, room_id))) is not None:
            self._end(session, CloseCode.DISCONNECTED)

    def reroute(self) -> None:
        """Plan anew: to be called when someone's consent or a room's policy has changed."""
        table = routing.plan(self._voice(session) for session in self._sessions.values())
        routing.apply(routing.diff(self._table, table), self._relay)
        self._table = table

    def uplinks(self, room_id: int) -> dict[int, Counts]:
        """What the relay received and missed of each voice in the room that may be kept, by user id."""
        counts = {}
        for session in self._sessions.values():
            if session.connected and session.room_id == room_id and self._rooms.get(room_id).may_keep(session.user_id):
                stats = self._relay.session_stats(session.id)
                if stats is not None:
                    counts[session.user_id] = (stats["received"], stats["lost"])
        return counts

    def session_ids(self, room_id: int) -> dict[int, int]:
        """The room's voice sessions, by user id."""
        return {s.user_id: s.id for s in self._sessions.values() if s.room_id == room_id and s.connected}

    def stats(self) -> dict[int, dict[str, int]]:
        """What the relay counts of each connected session, by session id."""
        connected = (session.id for session in self._sessions.values() if session.connected)
        stats = {session_id: self._relay.session_stats(session_id) for session_id in connected}
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
        own = link.core.close_code
        ended = own not in RESUMABLE if own is not None else code in GOODBYES
        if ended or not session.connected:
            self._end(session)
        else:
            session.expires = Nanos(now + GRACE_MS * NANOS_PER_MS)

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
        elif not _same(event.token, voice_pass.token) or event.user_id != str(voice_pass.user_id):
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
        self.encryption.touch(session.room_id)
        self._introduce(session)
        link.core.accept_identify(ssrc=session.ssrc, host=link.host, port=link.port, replay=session.replay)
        link.wake()

    def _on_protocol_selected(self, link: VoiceLink, event: ProtocolSelected) -> None:
        session = self._links[link]
        session.mode = event.mode
        session.connected = True
        self.encryption.touch(session.room_id)
        others = list(self._others(session))
        self._introduce(session, others)
        self._replan(session.room_id)
        proven = link.peer is not None and _same_address(link.peer, event.address)
        self._relay.set_address(session.id, (event.address, event.port), proven=proven)
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

    def _introduce(self, session: VoiceSession, others: Iterable[VoiceSession] = ()) -> None:
        """Let the relay know it now, with the mode it has, and who hears it: its first word does not wait, what the
        others say to it may."""
        voice = self._voice(session)
        members = self._rooms.get(session.room_id).members
        keeping = {other.id for other in others if (known := members.get(other.user_id)) is None or known.recording}
        destinations = routing.heard_by(voice, sorted(other.id for other in others), keeping)
        before = {session.id: self._table[session.id]} if session.id in self._table else {}
        alone = routing.plan([voice])
        alone[session.id] = replace(alone[session.id], destinations=tuple(destinations))
        routing.apply(routing.diff(before, alone), self._relay)
        self._table |= alone

    def _announce(self, room_id: int, news: list[News]) -> None:
        """Tell everybody in the room what is new of others, in as few messages as there can be."""
        news = [(session, message) for session, message in news if session.id in self._sessions]
        came = [str(session.user_id) for session, message in news if isinstance(message, ClientsConnect)]
        for listener in self._sessions.values():
            if listener.room_id != room_id or not listener.connected:
                continue
            own = str(listener.user_id)
            if others := [user_id for user_id in came if user_id != own]:
                self._tell(listener, ClientsConnect(user_ids=others))
            for session, message in news:
                if isinstance(message, UserSpeaking) and session is not listener:
                    self._tell(listener, message)

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
        if session is None or not session.connected or not _same(event.token, session.voice_pass.token):
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
        self._keys.forget(session.id)
        _log("voice_ended", session, code=int(code))
        if session.link is not None:
            del self._links[session.link]
            self._refuse(session.link, code)
            session.link = None
        self._replan(session.room_id)
        if self._table.pop(session.id, None) is not None:  # it is gone now, whenever the others' routes are planned
            self._relay.remove_session(session.id)
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

    def _others(self, session: VoiceSession) -> Iterator[VoiceSession]:
        for other in self._sessions.values():
            if other is not session and other.room_id == session.room_id and other.connected:
                yield other

    def _drop_pass(self, user_id: int, room_id: int) -> None:
        if (former := self._newest.pop((user_id, room_id), None)) is not None:
            del self._passes[former.session_id]

    def _new_ssrc(self, room_id: int) -> int:
        """24 random bits and the room's lane."""
        taken = {session.ssrc for session in self._sessions.values()} | {0, STUN_COOKIE}
        while (ssrc := int.from_bytes(self._random_bytes(3), "big") << 8 | routing.lane(room_id)) in taken:
            pass
        return ssrc

    def _voice(self, session: VoiceSession) -> Voice:
        """Who is not in the room any more counts as one who records and may not be kept, until the session ends."""
        room = self._rooms.get(session.room_id)
        member = room.members.get(session.user_id)
        return Voice(
            session_id=session.id,
            room_id=session.room_id,
            ssrc=session.ssrc,
            mode=session.mode,
            key=session.key,
            connected=session.connected,
            records=member is None or member.recording,
            bot=member is not None and member.bot,
            silenced=session.user_id in room.silenced,
            may_be_kept=room.may_keep(session.user_id),
        )


def _speaking(session: VoiceSession, speaking: int) -> UserSpeaking:
    return UserSpeaking(user_id=str(session.user_id), ssrc=session.ssrc, speaking=speaking)


def _log(event: str, session: VoiceSession, **fields: object) -> None:
    who = {"session": session.id, "user_id": str(session.user_id), "room_id": str(session.room_id)}
    log.info(event, extra={"fields": who | fields})


def _same_address(peer: str, address: str) -> bool:
    """Whether a TCP connection from `peer` proves that its client is at `address` (an IP literal) for UDP."""
    try:
        known = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return known == ipaddress.ip_address(address)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
