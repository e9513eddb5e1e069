"""What the relay knows of the voice sessions: each change is planned into a table, and what differs is handed over."""

import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from raccall.server import routing
from raccall.server.rooms import Rooms
from raccall.server.routing import RelayHandle, Table, Voice
from raccall.server.voice_session import VoiceSession


class Forwarding:
    """The one that gives the relay sessions, keys and routes. `table`: what it was given last."""

    def __init__(self, relay: RelayHandle, rooms: Rooms) -> None:
        self._relay = relay
        self._rooms = rooms
        self.table: Table = {}

    def plan(self, sessions: Iterable[VoiceSession]) -> None:
        """All of them anew: somebody came or went, agreed or did not, or has another key."""
        table = routing.plan(self._voice(session) for session in sessions)
        routing.apply(routing.diff(self.table, table), self._relay)
        self.table = table

    def introduce(self, session: VoiceSession, others: Iterable[VoiceSession] = ()) -> None:
        """Let the relay know it now, with the mode it has, and who hears it: its first word does not wait, what the
        others say to it may."""
        voice = self._voice(session)
        members = self._rooms.get(session.room_id).members
        keeping = {other.id for other in others if (known := members.get(other.user_id)) is None or known.recording}
        destinations = routing.heard_by(voice, sorted([other.id for other in others]), keeping)
        before = {session.id: self.table[session.id]} if session.id in self.table else {}
        alone = routing.plan([voice])
        alone[session.id] = replace(alone[session.id], destinations=tuple(destinations))
        routing.apply(routing.diff(before, alone), self._relay)
        self.table |= alone

    def drop(self, session: VoiceSession) -> None:
        """It is gone now, whenever the others' routes are planned. A no-op if the relay does not know it."""
        if self.table.pop(session.id, None) is not None:
            self._relay.remove_session(session.id)

    def set_address(self, session: VoiceSession, address: tuple[str, int], peer: str | None) -> None:
        """Where its client is, as IP discovery showed it (an IP literal and a port). peer: where its voice gateway's
        connection comes from; the same IP address proves it."""
        proven = peer is not None and _same_address(peer, address[0])
        self._relay.set_address(session.id, address, proven=proven)

    def stats(self, session: VoiceSession) -> dict[str, int] | None:
        """What the relay counts of it."""
        return self._relay.session_stats(session.id)

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


def _same_address(peer: str, address: str) -> bool:
    """Whether a TCP connection from `peer` proves that its client is at `address` (an IP literal) for UDP."""
    if peer == address:
        return True
    try:
        known = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return known == ipaddress.ip_address(address)
