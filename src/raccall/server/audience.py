"""Who listens on `/gateway`: the control sessions, found by user, name and connection, and spoken to.

A lost connection's session stays for a while; what it is told meanwhile waits in its replay.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from raccall.server.control import Body, ControlGatewayServer, Numbered, body_of, first_replay
from raccall.server.link import Link
from raccall.server.rooms import fold
from raccall.server.tokens import User
from raccall.units import Nanos
from raccall.voice.gateway.codes import CloseCode
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.wire import control

ControlLink = Link[ControlGatewayServer]


@dataclass(eq=False, slots=True, kw_only=True)
class ControlSession:
    """One user's presence on this server; outlives its connections."""

    id: str
    user: User
    link: ControlLink | None
    """None while the connection is lost."""
    replay: ReplayBuffer[str] = field(default_factory=first_replay)
    expires: Nanos | None = None
    """When a lost connection can no longer be resumed."""


class Audience:
    """One session a user, one user a name in each room."""

    def __init__(self) -> None:
        self._sessions: dict[int, ControlSession] = {}  # by user id
        self._names: dict[tuple[int, str], ControlSession] = {}  # by room and folded name
        self._links: dict[ControlLink, ControlSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[ControlSession]:
        """In the order they came; may be changed meanwhile."""
        return iter(list(self._sessions.values()))

    def of_user(self, user_id: int) -> ControlSession | None:
        return self._sessions.get(user_id)

    def of_link(self, link: ControlLink) -> ControlSession | None:
        return self._links.get(link)

    def of_name(self, room_id: int, name: str) -> ControlSession | None:
        """However it is written."""
        return self._names.get((room_id, fold(name)))

    def add(self, session: ControlSession) -> None:
        """A new one, with its connection."""
        assert session.link is not None, "who identifies is connected"
        self._sessions[session.user.id] = self._names[session.user.room_id, fold(session.user.name)] = session
        self._links[session.link] = session

    def move(self, session: ControlSession, link: ControlLink) -> None:
        """The session goes on with this connection; the one before, if the server still has it, is closed."""
        self._hang_up(session, CloseCode.DISCONNECTED)
        session.link, session.expires = link, None
        self._links[link] = session

    def lose(self, link: ControlLink) -> ControlSession | None:
        """The connection is gone. Returns whose it was; None: nobody's."""
        session = self._links.pop(link, None)
        if session is not None:
            session.link = None
        return session

    def remove(self, session: ControlSession, code: CloseCode) -> None:
        """The session is over; its connection is closed with this code."""
        del self._sessions[session.user.id], self._names[session.user.room_id, fold(session.user.name)]
        self._hang_up(session, code)

    def tell(self, session: ControlSession, message: Numbered) -> None:
        """One of them."""
        self._pass_on(session, body_of(message))

    def tell_room(self, room_id: int, message: Numbered) -> None:
        """Everyone who was let into the room."""
        body = body_of(message)
        for session in self._sessions.values():
            if session.user.room_id == room_id:
                self._pass_on(session, body)

    def tell_line(self, room_id: int, line: control.TextMessage, *, may_be_kept: bool) -> None:
        """Everyone who was let into the room; a recorder only if it may keep what this user says."""
        body = body_of(line)
        for session in self._sessions.values():
            own = str(session.user.id) == line.user_id
            if session.user.room_id == room_id and (may_be_kept or own or not session.user.recorder):
                self._pass_on(session, body)

    def mention_to_recorders(self, room_id: int, message: control.UplinkLoss) -> None:
        """Those who are connected now; it is not said again."""
        for session in self._sessions.values():
            if session.user.recorder and session.user.room_id == room_id and session.link is not None:
                session.link.core.mention(message)
                session.link.wake()

    def _pass_on(self, session: ControlSession, body: Body) -> None:
        if session.link is None:
            session.replay.append(body)
        else:
            session.link.core.tell(body)
            session.link.wake()

    def _hang_up(self, session: ControlSession, code: CloseCode) -> None:
        if session.link is not None:
            del self._links[session.link]
            session.link.core.close(code)
            session.link.wake()
            session.link = None
