"""Record a call in one line.

    recording = await raccall.record(link, seconds=30)

The recorder is a visible member of the call, as with `raccall record`: everyone in the room sees it, and it gets the
voices of those who agree.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from raccall.bots.ends import CallEnds
from raccall.bots.keep import KeptCall, Watch, keep_call
from raccall.client import Event, Session, connect
from raccall.errors import InputError
from raccall.recorder import check_folder
from raccall.recorder.destination import destination
from raccall.recorder.placement import Progress
from raccall.recorder.recording import Recording
from raccall.waiting import first_of

STATUS_EVERY_S = 0.5
RECORDING_SHARE = 0.9
"""Of the progress shown; the rest is making the tracks."""


async def record(
    room: str | Session,
    *,
    seconds: float | None = None,
    until_empty: bool = False,
    stop: asyncio.Event | None = None,
    path: str | PathLike[str] | None = None,
    name: str = "recorder",
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Recording:
    """Record a call until the first of the given ends, make its tracks, and return it.

    room: an invite link, or a session that was connected with `recorder=True`; its events are read here meanwhile.
    seconds: stop after this long. until_empty: stop when the last other person has left. stop: stop when it is set.
    path: new or empty folder for the recording; without it, a temporary one that is deleted with the Recording
    (`Recording.save` keeps it).
    name: how the others see the recorder, 1–32 characters.
    watch: told what happens in the room.
    progress: called with the share done, 0 to 1; while the call goes on only if `seconds` says how long.

    When the call is lost or the disk fails, that error is raised; what was received until then stays in the folder that
    the error's note names, and `Recording.open` opens it.
    Raises InputError, RefusedError, ConnectionFailed, StorageError (`raccall.errors`), each with one sentence.
    """
    if seconds is None and not until_empty and stop is None:
        raise InputError("no_end", "Say when to stop: seconds, until_empty or stop.")
    if seconds is not None and not seconds > 0:
        raise InputError("seconds_out_of_range", "seconds must be more than 0.")
    if path is not None:
        check_folder(Path(path))
    with destination(path) as target:
        async with _session(room, name) as session:
            ends = CallEnds(session)

            def look(event: Event) -> None:
                ends.look(event)
                if watch is not None:
                    watch(event)

            async with keep_call(session, target.folder, watch=look) as kept:
                await _check_visible(session, kept)
                waits: list[Coroutine[Any, Any, object]] = [ends.lost(), kept.failed()]
                if until_empty:
                    waits.append(ends.empty.wait())
                if stop is not None:
                    waits.append(stop.wait())
                if progress is not None and seconds is not None:
                    waits.append(_tell(progress, seconds))
                await first_of(waits, at_most_s=seconds)
                await kept.finish(_later_part(progress))
    return target.recording()


@asynccontextmanager
async def _session(room: str | Session, name: str) -> AsyncIterator[Session]:
    if isinstance(room, str):
        async with connect(room, name=name, recorder=True) as session:
            yield session
    else:
        yield room


async def _check_visible(session: Session, kept: KeptCall) -> None:
    """Nobody is recorded without being able to see it."""
    own = session.members.get(session.user_id)
    if own is None or not own.recording:
        await kept.close()
        kept.recorder.discard()
        raise InputError("recorder_hidden", "This session is not shown as a recorder: connect it with recorder=True.")


async def _tell(progress: Progress, seconds: float) -> None:
    """Call `progress` while the recording goes on."""
    elapsed = 0.0
    while True:
        progress(min(elapsed / seconds, 1.0) * RECORDING_SHARE)
        await asyncio.sleep(STATUS_EVERY_S)
        elapsed += STATUS_EVERY_S


def _later_part(progress: Progress | None) -> Progress | None:
    if progress is None:
        return None
    return lambda share: progress(RECORDING_SHARE + (1 - RECORDING_SHARE) * share)
