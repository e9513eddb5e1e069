"""When a kept call is over: everyone has left, the call is lost for good, or time is up."""

import asyncio

from raccall.client import ConnectionLost, Event, Session, VoiceLost
from raccall.errors import ConnectionFailed


class CallEnds:
    """Tells when everyone who came has left (recorders do not count as people), and when the call is lost for good."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._someone_came = False
        self._lost = asyncio.Event()
        self._why = ""
        self.empty = asyncio.Event()
        """Set when the last person has left."""

    def look(self, event: Event) -> None:
        """Call for every event of the session."""
        people = any(not member.recording for member in self._session.members.values())
        self._someone_came = self._someone_came or people
        if self._someone_came and not people:
            self.empty.set()
        match event:
            case VoiceLost(sentence=sentence, final=True) | ConnectionLost(sentence=sentence, final=True):
                self._why = sentence
                self._lost.set()

    async def lost(self) -> None:
        """Wait until the call is lost for good, and raise why (ConnectionFailed "call_ended")."""
        await self._lost.wait()
        raise ConnectionFailed("call_ended", self._why)
