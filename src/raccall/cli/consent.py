"""What a person who joins is told about recording, and what becomes of their answer."""

import sys

from raccall.cli.screen import Screen
from raccall.client import ConsentChanged, Event, RecordingStarted, Session
from raccall.wire.control import RecordingPolicy

CHOICES = ("yes", "no", "ask")
ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


class ConsentDialogue:
    """Of one call. Says nothing as long as nothing is recorded.

    may_ask: a person sits at a terminal, who can be asked a question; others are told which command answers it.
    """

    def __init__(self, session: Session, screen: Screen, *, may_ask: bool) -> None:
        self._session = session
        self._screen = screen
        self._may_ask = may_ask
        self._asked = False

    async def before_joining(self, choice: str) -> None:
        """Pass `--consent` on, and tell of a room that is always recorded before anything can be said in it."""
        if choice in ANSWERS:
            await self._session.consent(ANSWERS[choice])
        recording = self._session.recording
        if recording.policy is RecordingPolicy.AUTOMATIC:
            lasts = f" and kept for {recording.retention_days} days" if recording.retention_days is not None else ""
            self._screen.line(f"● RECORDING: every call in this room is recorded by its server{lasts}.")
            self._screen.line(_own_part(agreed=self._session.agreed, kept=self._session.agreed is not False))

    def after_joining(self) -> None:
        """Tell of the recorders who are there already."""
        for name in self._session.recording.recorders.values():
            self._tell(name)

    def look(self, event: Event) -> None:
        """Call for every event of the session."""
        match event:
            case RecordingStarted(name=name):
                self._tell(name)
            case ConsentChanged(before=before, member=member) if member.user_id == self._session.user_id:
                if before.kept != member.kept:
                    self._screen.line(f"You are {'' if member.kept else 'NOT '}recorded from now on.")

    async def answer(self, line: str) -> bool:
        """True if the line was `/record ...`, or the answer to the open question."""
        words = line.lower().split()
        if words[:1] == ["/record"]:
            agreed = ANSWERS.get(words[1]) if len(words) == 2 else None
        elif self._asked and len(words) == 1 and words[0] in ANSWERS:
            agreed = ANSWERS[words[0]]
        else:
            return False
        if agreed is None:
            self._screen.line("May you be recorded? /record yes or /record no.")
        else:
            self._asked = False
            await self._session.consent(agreed)
            if not self._session.recording.recorders:
                self._screen.line(f"Should a recorder come, you are {'' if agreed else 'NOT '}recorded.")
        return True

    def _tell(self, name: str) -> None:
        agreed = self._session.agreed
        member = self._session.members.get(self._session.user_id)
        kept = member is not None and member.kept
        self._screen.line(f"● RECORDING: {name} records this call.")
        self._screen.line(_own_part(agreed=agreed, kept=kept))
        if agreed is None and not kept and self._may_ask:
            self._asked = True
            self._screen.line("May you be recorded? y/n")


def someone_can_answer(*, as_json: bool) -> bool:
    """A person types and reads."""
    return not as_json and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _own_part(*, agreed: bool | None, kept: bool) -> str:
    if kept:
        return "  You are recorded; /record no ends that."
    if agreed is False:
        return "  You are NOT recorded, as you wished; /record yes changes that."
    return "  You are NOT recorded unless you agree: /record yes or /record no."
