"""What a recording needs while it goes on: readers of its Taps, an eye on its health, room on the disk.

It knows no network: what joins a call and a recorder is a Keeper that adds who the call's people are (`bots.keep` for
our rooms, `discord.keep` for Discord's channels).
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from pathlib import Path

from raccall.recorder.alarms import SILENCE_S
from raccall.recorder.events import Alarm, Gap, KeysChanged
from raccall.recorder.health import Health, HealthReport, Observation
from raccall.recorder.recorder import Recorder
from raccall.recorder.render import render
from raccall.recorder.space import Disk, Limit, Limits, Space
from raccall.recorder.summary import Summary
from raccall.units import Nanos
from raccall.voice.events import EncryptionChanged
from raccall.voice.tap import Tap

LOOK_EVERY_S = 0.5
"""How often health is looked at: a meter that lives, at a cost that does not count."""

OnAlarm = Callable[[Alarm], None]


class Keeper(ABC):
    """A call that is being kept. Made inside an event loop, ended by `finish` or `close`."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        limits: Limits | None = None,
        on_alarm: OnAlarm | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        """limits: how much room the recording may take; at one it ends and `failed` returns. on_alarm: told when
        something goes wrong and when it is over; the events have it, too. silence_s: before the alarm "no_sound";
        0: never."""
        self.recorder = recorder
        self.began: Nanos = recorder.now
        """When the recording began, on its own clock."""
        self.limit_reached: Limit | None = None
        """Why the recording ended by itself, if it did."""
        self._on_alarm = on_alarm
        self._health = Health(self.began, silence_s=silence_s)
        self._space = Space(recorder.folder, limits or Limits(), self.began)
        self._kernel_drops = 0
        self._encrypted = False
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = [self._begin(self._look_after())]

    @property
    def folder(self) -> Path:
        return self.recorder.folder

    @property
    def health(self) -> HealthReport:
        """How the recording goes, at most half a second old."""
        return self._health.report

    async def failed(self) -> None:
        """Wait until the recording cannot go on, and raise why (StorageError).

        Returns when the call has ended, or when a limit is reached: `limit_reached` says which.
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
        await self._leave()
        for task in self._others:
            task.cancel()
        ends = await asyncio.gather(*self._others, *self._readers, return_exceptions=True)
        self._ended.cancel()
        await self.recorder.close(self.limit_reached or "stopped")
        for end in ends:
            if isinstance(end, Exception):
                raise end

    # ---- for who knows the call ----

    @abstractmethod
    def _observe(self, disk: Disk | None) -> Observation:
        """What is known of the call now."""

    @abstractmethod
    async def _leave(self) -> None:
        """Leave the call, so that every Tap ends. Called by each `close`."""

    def _read(self, tap: Tap) -> None:
        """Write what comes from here, until it ends. One reader's end is normal: a voice session was made anew."""
        self._readers.append(self._begin(self.recorder.run(tap)))

    def _follow(self, events: Coroutine[None, None, None]) -> None:
        """Run this beside the recording. When it returns, the call has ended."""

        def on_done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and not self._ended.done():
                self._ended.set_result(None)

        task = self._begin(events)
        task.add_done_callback(on_done)
        self._others.append(task)

    def _note_kernel_drops(self, kernel_drops: int) -> None:
        """The socket's count so far; it begins anew with `_forget_kernel_drops`."""
        if kernel_drops > self._kernel_drops:
            lost = kernel_drops - self._kernel_drops
            self._kernel_drops = kernel_drops
            self.recorder.event(Gap(now=self.recorder.now, packets=lost, where="kernel"))

    def _forget_kernel_drops(self) -> None:
        """The next socket counts anew."""
        self._kernel_drops = 0

    def _note_keys(self, change: EncryptionChanged) -> None:
        """For reports of bugs, and to compare the code with what the others see. Nothing of calls that are in clear
        from the beginning, nor of a group that nobody else is in."""
        if change.code or (self._encrypted and not change.encrypted):
            keys = KeysChanged(
                now=self.recorder.now,
                encrypted=change.encrypted,
                epoch=change.epoch,
                transition_id=change.transition_id,
                code=change.code,
            )
            self.recorder.event(keys)
        self._encrypted = change.encrypted

    # ---- inside ----

    def _begin(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        task.add_done_callback(self._work_ended)
        return task

    def _work_ended(self, task: "asyncio.Task[None]") -> None:
        """Its failure is the recording's."""
        if not task.cancelled() and (error := task.exception()) and not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # looked at: `failed` need not be awaited

    async def _look_after(self) -> None:
        """Look at health and room until a limit is reached."""
        while True:
            disk = self._disk()
            for alarm in self._health.look(self.recorder.now, self._observe(disk)):
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
