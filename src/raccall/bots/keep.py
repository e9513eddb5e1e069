"""Keep a call: a session with a server is the recorder's ears, and what happens in the room becomes its events.

    async with connect(link, name="recorder", recorder=True) as session, keep_call(session, Path("monday")) as kept:
        ...
        summary = await kept.finish()

The session should be one that was connected with `recorder=True`, so that everyone sees that the call is kept.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from raccall import recorder as rec
from raccall.bots.observe import Observer
from raccall.client import Session, events
from raccall.recorder import Alarm, Recorder, Summary, render
from raccall.recorder.alarms import SILENCE_S
from raccall.recorder.append import AppendOnly, OpenFile
from raccall.recorder.health import Health, HealthReport
from raccall.recorder.space import Disk, Limit, Limits, Space, check_space
from raccall.units import Nanos
from raccall.voice.engine import PacketTap
from raccall.voice.tap import engine_tap
from raccall.wire.control import MemberInfo

LOOK_EVERY_S = 0.5
"""How often health is looked at: a meter that lives, at a cost that does not count."""

Watch = Callable[[events.Event], None]
OnAlarm = Callable[[Alarm], None]


class KeptCall:
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
        self.recorder = recorder
        self.began: Nanos = recorder.now
        """When the recording began, on its own clock."""
        self._session = session
        self.limit_reached: Limit | None = None
        """Why the recording ended by itself, if it did."""
        self._watch = watch
        self._on_alarm = on_alarm
        self._health = Health(self.began, silence_s=silence_s)
        self._observer = Observer(session, recorder)
        self._space = Space(recorder.folder, limits or Limits(), self.began)
        self._joined: set[str] = set()
        self._kernel_drops = 0
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._begin(self._follow()).add_done_callback(self._session_ended)
        self._begin(self._look_after())

    @property
    def folder(self) -> Path:
        return self.recorder.folder

    @property
    def health(self) -> HealthReport:
        """How the recording goes, at most half a second old."""
        return self._health.report

    async def failed(self) -> None:
        """Wait until the recording cannot go on, and raise why (StorageError).

        Returns when the session has ended, or when a limit is reached: `limit_reached` says which.
        """
        await asyncio.shield(self._ended)

    async def finish(self, progress: Callable[[float], None] | None = None) -> Summary:
        """Leave the call, write what waits and make tracks, mix and summary.

        progress: called with the share done, 0 to 1, from another thread. Raises StorageError.
        """
        await self.close()
        return await asyncio.to_thread(render, self.folder, progress=progress)

    async def close(self) -> None:
        """Leave the call and end the journal without making anything of it. May be called twice."""
        self._note_kernel_drops()
        await self._session.leave()  # ends the taps, and with them their tasks
        follow, look_after, *readers = self._tasks
        follow.cancel()
        look_after.cancel()
        ends = await asyncio.gather(follow, look_after, *readers, return_exceptions=True)
        self._ended.cancel()
        await self.recorder.close(self.limit_reached or "stopped")
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _read(self, packet_tap: PacketTap) -> None:
        self._begin(self.recorder.run(engine_tap(packet_tap, rec.TICK_MS)))

    def _begin(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        task.add_done_callback(self._work_ended)
        self._tasks.append(task)
        return task

    def _work_ended(self, task: "asyncio.Task[None]") -> None:
        """One reader's end is normal: a voice session was made anew. Its failure is the recording's."""
        if not task.cancelled() and (error := task.exception()) and not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # looked at: `failed` need not be awaited

    def _session_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and not self._ended.done():
            self._ended.set_result(None)

    async def _look_after(self) -> None:
        """Look at health and room until a limit is reached."""
        while True:
            disk = self._disk()
            for alarm in self._health.look(self.recorder.now, self._observer.observe(disk)):
                self.recorder.event(alarm)
                if self._on_alarm is not None:
                    self._on_alarm(alarm)
            if disk is not None and disk.full and not self._ended.done():
                self.limit_reached = disk.limit
                self._ended.set_result(None)
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _disk(self) -> Disk | None:
        report = self._health.report
        with contextlib.suppress(OSError):  # what cannot be looked at will fail to be written, and say so
            return self._space.look(self.recorder.now, speakers=report.voices, packets=report.packets)
        return None

    async def _follow(self) -> None:
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
            case events.MemberChanged(before=before, member=member) if before.muted != member.muted:
                if member.kept:
                    write(rec.Muted(now=now, user_id=member.user_id, muted=member.muted))
            case events.ConsentChanged(before=before, member=member) if before.kept != member.kept:
                self._note_joined(member)
                change = rec.ConsentGiven if member.kept else rec.ConsentWithdrawn
                write(change(now=now, user_id=member.user_id))
            case events.SourceKnown(user_id=user_id, ssrc=ssrc) if user_id in self._joined:
                write(rec.Source(now=now, ssrc=ssrc, user_id=user_id, name=self._name_of(user_id)))
            case events.TextReceived(user_id=user_id, name=name, text=text):
                write(rec.Note(now=now, text=text, user_id=user_id, name=name))
            case events.VoiceLost():
                self._kernel_drops = 0  # the next engine counts anew
        self._note_kernel_drops()

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

    def _note_kernel_drops(self) -> None:
        stats = self._session.stats()
        if stats is not None and stats.kernel_drops > self._kernel_drops:
            lost = stats.kernel_drops - self._kernel_drops
            self._kernel_drops = stats.kernel_drops
            self.recorder.event(rec.Gap(now=self.recorder.now, packets=lost, where="kernel"))


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
            await session.join(None, on_tap=kept._read)
        except BaseException:
            await kept.close()
            kept.recorder.discard()
            raise
        yield kept
    finally:
        await kept.close()
