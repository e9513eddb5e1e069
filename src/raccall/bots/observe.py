"""What a session and a recorder know, put together for the recording's health."""

from raccall.client import Session, events
from raccall.recorder import Recorder
from raccall.recorder.health import Observation, Person
from raccall.recorder.space import Disk

UNREAD = ("too_short", "malformed", "bad_seal", "payload_type", "too_many_sources")
"""Reasons to refuse a datagram that may have held a voice. A duplicate or a replay holds nothing new."""
UNDECRYPTED = ("waiting", "expired", "overflowed", "unencrypted")
"""Reasons why a frame is not decrypted, or not yet. A replayed one holds nothing new."""


class Observer:
    """One call's. Follows the session's events to know which of its connections are up."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder
        self._connection = 0
        self._control_lost = self._voice_lost = ""

    def note(self, event: events.Event) -> None:
        """Call for every event of the session."""
        match event:
            case events.ConnectionLost(sentence=sentence):
                self._control_lost = sentence
            case events.Identified() | events.Resumed():
                self._control_lost = ""
            case events.VoiceLost(sentence=sentence):
                self._voice_lost = sentence
            case events.VoiceConnected():
                self._voice_lost = ""
                self._connection += 1

    def observe(self, disk: Disk | None) -> Observation:
        """As of now."""
        members, stats, uplinks = self._session.members, self._session.stats(), self._session.uplink_loss_pct
        return Observation(
            connection=self._connection,
            people=[
                Person(
                    member.user_id,
                    member.name,
                    muted=member.muted,
                    kept=member.kept,
                    uplink_loss_pct=uplinks.get(member.user_id),
                )
                for member in members.values()
                if not member.recording
            ],
            owners=self._session.sources,
            sources=stats.sources if stats else (),
            refused=sum(stats.refused.get(reason, 0) for reason in UNREAD) if stats else 0,
            decrypted=stats.encryption.decrypted + stats.encryption.plain if stats else 0,
            undecrypted={reason: getattr(stats.encryption, reason) for reason in UNDECRYPTED} if stats else {},
            ghosts=len(self._session.ghosts),
            kernel_drops=stats.kernel_drops if stats else 0,
            lost_in_reader=self._recorder.counts.lost_here,
            outage=self._voice_lost or self._control_lost,
            backlog=self._recorder.backlog,
            disk=disk,
        )
