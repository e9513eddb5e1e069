"""Keep a call: a session with a server is the recorder's ears, and what happens in the room becomes its events.

    async with connect(link, name="recorder", recorder=True) as session, keep_call(session, Path("monday")) as kept:
        ...
        summary = await kept.finish()

The session should be one that was connected with `recorder=True`, so that everyone sees that the call is kept.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from raccall import recorder as rec
from raccall.bots.observe import Observer
from raccall.client import Session, events
from raccall.recorder import Recorder
from raccall.recorder.alarms import SILENCE_S
from raccall.recorder.append import AppendOnly, OpenFile
from raccall.recorder.health import Observation
from raccall.recorder.keeper import Keeper, OnAlarm
from raccall.recorder.space import Disk, Limits, check_space
from raccall.voice.engine import PacketTap
from raccall.voice.tap import engine_tap
from raccall.wire.control import MemberInfo

Watch = Callable[[events.Event], None]


class KeptCall(Keeper):
    """A call that is being kept. Made by `keep_call`."""

    def __init__(
        self,
        session: Session,
        recorder: Recorder,
        watch: Watch | None,
        *,
        limits: Limits | None = None,
        on_alarm: OnAlarm | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._session = session
        self._observer = Observer(session, recorder)
        self._watch = watch
        self._joined: set[str] = set()
        super().__init__(recorder, limits=limits, on_alarm=on_alarm, silence_s=silence_s)
        self._follow(self._take_events())

    def read(self, packet_tap: PacketTap) -> None:
        """Write what an engine receives, until it closes."""
        self._read(engine_tap(packet_tap, rec.TICK_MS))

    def _observe(self, disk: Disk | None) -> Observation:
        return self._observer.observe(disk)

    async def _leave(self) -> None:
        self._note_drops()
        await self._session.leave()

    async def _take_events(self) -> None:
        async for event in self._session.events():
            self._observer.note(event)
            self._note(event)
            if self._watch is not None:
                self._watch(event)

    def _note(self, event: events.Event) -> None:
        write, now = self.recorder.event, self.recorder.now
        match event:
            case events.VoiceConnected():
                for member in self._session.members.values():
                    self._note_joined(member)
            case events.MemberJoined(member=member):
                self._note_joined(member)
            case events.MemberLeft(member=member) if member.user_id in self._joined:
                self._joined.discard(member.user_id)
                write(rec.MemberLeft(now=now, user_id=member.user_id))
            case events.MemberChanged(before=before, member=member) if _mute(before) != _mute(member):
                if member.kept:
                    write(rec.Muted(now=now, user_id=member.user_id, muted=_mute(member)))
            case events.ConsentChanged(before=before, member=member) if before.kept != member.kept:
                self._note_joined(member)
                change = rec.ConsentGiven if member.kept else rec.ConsentWithdrawn
                write(change(now=now, user_id=member.user_id))
            case events.SourceKnown(user_id=user_id, ssrc=ssrc) if user_id in self._joined:
                write(rec.Source(now=now, ssrc=ssrc, user_id=user_id, name=self._name_of(user_id)))
            case events.TextReceived(user_id=user_id, name=name, text=text):
                write(rec.Note(now=now, text=text, user_id=user_id, name=name))
            case events.EncryptionChanged():
                self._note_keys(event)
            case events.VoiceLost():
                self._forget_kernel_drops()
        self._note_drops()

    def _note_joined(self, member: MemberInfo) -> None:
        """Of one who does not agree to be kept not even the name is written."""
        if member.user_id in self._joined or not (member.kept or member.recording):
            return
        self._joined.add(member.user_id)
        now = self.recorder.now
        self.recorder.event(rec.MemberJoined(now=now, user_id=member.user_id, name=member.name))
        for ssrc, user_id in self._session.sources.items():
            if user_id == member.user_id:
                self.recorder.event(rec.Source(now=now, ssrc=ssrc, user_id=user_id, name=member.name))

    def _name_of(self, user_id: str) -> str:
        members = self._session.members
        return members[user_id].name if user_id in members else ""

    def _note_drops(self) -> None:
        if (stats := self._session.stats()) is not None:
            self._note_kernel_drops(stats.kernel_drops)


@asynccontextmanager
async def keep_call(
    session: Session,
    folder: Path,
    *,
    watch: Watch | None = None,
    limits: Limits | None = None,
    on_alarm: OnAlarm | None = None,
    silence_s: float = SILENCE_S,
    open_file: OpenFile = AppendOnly,
) -> AsyncIterator[KeptCall]:
    """Join the session's room as a listener and write everything to `folder`, which must be new or empty.

    watch: told every event of the session. limits: how much room the recording may take; at one it ends and `failed`
    returns. on_alarm: told when something goes wrong and when it is over; the events have it, too. silence_s: before
    the alarm "no_sound"; 0: never. open_file: makes journal and events; `Sealer.open` encrypts them.
    Nothing is left in the folder when joining fails. Raises StorageError "disk_nearly_full" and what `Recorder` and
    `Session.join` raise.
    """
    check_space(folder, limits or Limits())
    recorder = Recorder(folder, room=session.room_name, open_file=open_file)
    kept = KeptCall(session, recorder, watch, limits=limits, on_alarm=on_alarm, silence_s=silence_s)
    try:
        try:
            await session.join(None, on_tap=kept.read)
        except BaseException:
            await kept.close()
            kept.recorder.discard()
            raise
        yield kept
    finally:
        await kept.close()


def _mute(member: MemberInfo) -> bool:
    """By themselves, or by the server's owner."""
    return member.muted or member.silenced
