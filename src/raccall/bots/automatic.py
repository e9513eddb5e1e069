"""Keep every call of the rooms whose policy is "automatic", as a visible recorder that comes with the first person.

    async with RunningServer(settings) as server, AutomaticRecorder(server, data / "recordings"):
        ...

One folder per call, ROOM-DATE-TIME. A call is over when nobody but recorders was in it for GRACE_S, or when the room's
policy has changed. Tracks, mix and page are made by a process of low priority, one recording at a time, so that those
who still talk notice nothing; what a stopped server left unmade is made at its next start. Once a day recordings older
than their room's retention are deleted. A recording that fails is logged as an error, and tried again while people
talk.
"""

import asyncio
import contextlib
import itertools
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from raccall.bots.keep import keep_call
from raccall.client import Session, connect
from raccall.clock import wall_now
from raccall.errors import RaccallError, RefusedError
from raccall.recorder import Alarm
from raccall.recorder.attribution import safe_file_name
from raccall.recorder.retention import prune, recordings_in
from raccall.server.app import RunningServer
from raccall.server.rooms import Room, fold
from raccall.waiting import first_of
from raccall.wire.control import RecordingPolicy

GRACE_S = 30.0
"""Who comes back within it goes on in the same recording."""
RETRY_S = 10.0
LONGEST_RETRY_S = 600.0
PRUNE_EVERY_S = 24 * 3600.0
NAMES = ("recorder", *(f"recorder {number}" for number in range(2, 10)))
"""A person may have taken the first one."""
RENDER = """
import os, sys
from pathlib import Path
from raccall.recorder import render
if hasattr(os, "nice"):
    os.nice(19)
render(Path(sys.argv[1]))
"""

log = logging.getLogger("raccall.recordings")


class AutomaticRecorder:
    """As an async context manager beside a running server, in its event loop. Leaving ends all recordings properly.

    folder: where the recordings go; made when the first one begins.
    """

    def __init__(self, server: RunningServer, folder: Path, *, grace_s: float = GRACE_S) -> None:
        self._server = server
        self._folder = folder
        self._grace_s = grace_s
        self._keepers: dict[int, asyncio.Task[None]] = {}  # by room id
        self._changed: dict[int, asyncio.Event] = {}  # by room id
        self._to_render: asyncio.Queue[Path] = asyncio.Queue()
        self._others: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "AutomaticRecorder":
        with contextlib.suppress(OSError):  # a folder that cannot be read is told when something is to be kept
            for kept in recordings_in(self._folder, wall_now()):
                if not kept.rendered and kept.room:
                    self._to_render.put_nowait(kept.path)
        self._others = [asyncio.create_task(self._render_all()), asyncio.create_task(self._prune_daily())]
        self._server.service.hub.watcher = self._look
        for room in self._server.service.rooms.all():  # who came before the recorder was loaded
            self._look(room)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.service.hub.watcher = lambda room: None
        tasks = [*self._keepers.values(), *self._others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self, room: Room) -> None:
        """Called by the server whenever a room may have to be kept, or no more."""
        self._changed.setdefault(room.id, asyncio.Event()).set()
        if _wanted(room) and room.id not in self._keepers:
            self._keepers[room.id] = asyncio.create_task(self._keep(room))

    async def _keep(self, room: Room) -> None:
        """One recording after another, until none is wanted."""
        retry_s = RETRY_S
        try:
            while _wanted(room):
                try:
                    await self._keep_one(room)
                    retry_s = RETRY_S
                except RaccallError as error:
                    if not _wanted(room):  # the last one left, or the policy changed, while the recorder came in
                        break
                    log.error("%s is NOT RECORDED: %s [%s]", room.name, error, error.code)
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, LONGEST_RETRY_S)
        finally:
            del self._keepers[room.id]

    async def _keep_one(self, room: Room) -> None:
        folder = self._new_folder(room)
        try:
            async with contextlib.AsyncExitStack() as stack:
                session = await self._connect(room, stack)
                kept = await stack.enter_async_context(keep_call(session, folder, on_alarm=_warn_of(room)))
                log.info("recording %s into %s", room.name, folder)
                await first_of([kept.failed(), self._over(room)])
                if kept.limit_reached is not None:
                    log.error("%s is NOT RECORDED any more: %s", room.name, kept.limit_reached)
        finally:
            if folder.exists():  # also when it failed: what was received is worth as much
                self._to_render.put_nowait(folder)

    async def _connect(self, room: Room, stack: contextlib.AsyncExitStack) -> Session:
        """As the server's own recorder, by the shortest way, under the first name that is free."""
        for name in NAMES:
            connecting = connect(
                self._server.own_link(room.id),
                name=name,
                recorder=True,
                owner_token=self._server.owner_token,
                voice_by_link=True,
            )
            try:
                return await stack.enter_async_context(connecting)
            except RefusedError as error:
                if error.code != "name_taken" or name == NAMES[-1]:
                    raise
        raise AssertionError("the last name was either free or taken")

    async def _over(self, room: Room) -> None:
        """Until nobody came back for a while, or the room is not to be kept any more."""
        changed = self._changed[room.id]
        while room.policy is RecordingPolicy.AUTOMATIC:
            changed.clear()
            try:
                async with asyncio.timeout(None if _wanted(room) else self._grace_s):
                    await changed.wait()
            except TimeoutError:
                return

    def _new_folder(self, room: Room) -> Path:
        base = f"{safe_file_name(room.name)}-{wall_now():%Y%m%d-%H%M%S}"
        names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
        return next(path for path in (self._folder / name for name in names) if not path.exists())

    # ---- afterwards ----

    async def _render_all(self) -> None:
        while True:
            await _render(await self._to_render.get())

    async def _prune_daily(self) -> None:
        while True:
            await asyncio.to_thread(
                self._prune, {fold(r.name): r.retention_days for r in self._server.service.rooms.all()}
            )
            await asyncio.sleep(PRUNE_EVERY_S)

    def _prune(self, days: dict[str, int | None]) -> None:
        try:
            for pruned in prune(self._folder, lambda room: days.get(fold(room)), wall_now()):
                if pruned.error is None:
                    log.info("deleted %s: it was older than its room keeps recordings", pruned.kept.path)
                else:
                    log.error("%s is too old and could NOT BE DELETED: %s", pruned.kept.path, pruned.error)
        except OSError as error:
            log.error("%s cannot be read, nothing was deleted: %s", self._folder, error.strerror)


async def _render(folder: Path) -> None:
    """Make tracks, mix and page in a process that yields to everything else; ended with this task."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RENDER, str(folder)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        log.info("%s is complete", folder)
    else:
        why = said.decode(errors="replace").strip().rpartition("\n")[2]
        log.error("tracks and mix of %s could NOT BE MADE: %s", folder, why)


def _warn_of(room: Room) -> Callable[[Alarm], None]:
    """What the recording notices itself: a disk that fills, voices that cannot be read."""
    return lambda alarm: log.warning("%s: %s", room.name, alarm.text)


def _wanted(room: Room) -> bool:
    """Somebody is in the call who was told that it is kept."""
    return room.policy is RecordingPolicy.AUTOMATIC and any(not member.recording for member in room.members.values())
