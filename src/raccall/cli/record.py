"""Record a call as a visible member: a track per speaker, a mix, and everything needed to make them again."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from raccall.bots.keep import KeptCall, keep_call
from raccall.cli.outcome import render_and_tell
from raccall.cli.progress import ProgressLine, progress_line
from raccall.cli.screen import describe
from raccall.client import ConnectionLost, Event, Session, VoiceLost, connect, parse_link
from raccall.clock import monotonic_now, wall_now
from raccall.errors import ConnectionFailed, InputError, RaccallError, StorageError
from raccall.recorder import check_folder
from raccall.recorder.placement import JOURNAL
from raccall.units import NANOS_PER_SECOND

TALKING: int = NANOS_PER_SECOND // 2
"""Who sent a packet in the last half second is shown as talking."""

STATUS_EVERY_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall record`."""
    parser.add_argument("link", metavar="LINK", help="invite link, as `raccall serve` prints it")
    parser.add_argument("--name", default="recorder", help="how the others see the recorder (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="new or empty folder (default: recording-DATE-TIME)")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after this long")
    parser.add_argument("--until-empty", action="store_true", help="stop when the last other person has left")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Record until stopped (Ctrl-C, --seconds, --until-empty, or the server), then render. Returns the exit code."""
    if options.seconds is not None and not options.seconds > 0:
        raise InputError("seconds_out_of_range", "--seconds must be more than 0.")
    parse_link(options.link)
    folder = options.out or Path(f"recording-{wall_now():%Y%m%d-%H%M%S}")
    check_folder(folder)
    failure: RaccallError | None = None
    try:
        asyncio.run(_record(options, folder))
    except KeyboardInterrupt:  # where signals cannot be handled; the journal is closed already
        if not (folder / JOURNAL).exists():
            raise
    except RaccallError as error:
        if not (folder / JOURNAL).exists():
            raise
        failure = error
    # What was received is worth as much when the end was not wished for.
    with contextlib.suppress(StorageError) if failure else contextlib.nullcontext():
        render_and_tell(folder, as_json=options.json)
    if failure:
        raise failure
    return 0


async def _record(options: argparse.Namespace, folder: Path) -> None:
    """Returns when the recording ended as wished. Raises RaccallError; what was received is in the folder."""
    stop = asyncio.Event()
    _on_signals(stop.set)
    async with connect(options.link, name=options.name, recorder=True) as session:
        room = _Room(session)
        with progress_line() as show:

            def watch(event: Event) -> None:
                if (text := describe(event, session.user_id)) is not None:
                    show(text, stay=True)
                room.look(event)

            async with keep_call(session, folder, watch=watch) as kept:
                show(f"Recording {session.room_name} into {folder}; everyone there sees it. Ctrl-C ends.", stay=True)
                ends: list[Coroutine[Any, Any, object]] = [
                    stop.wait(),
                    room.lost.wait(),
                    kept.failed(),
                    _show_status(session, kept, show),
                ]
                if options.until_empty:
                    ends.append(room.empty.wait())
                await _first_of(ends, at_most_s=options.seconds)
            if room.lost.is_set():
                raise ConnectionFailed("call_ended", room.why)


async def _first_of(ends: Iterable[Coroutine[Any, Any, object]], *, at_most_s: float | None) -> None:
    """Return when one of them does, or after `at_most_s`; raise if it raised."""
    tasks = [asyncio.ensure_future(end) for end in ends]
    try:
        done, _ = await asyncio.wait(tasks, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _Room:
    """Tells when everyone who came has left (recorders do not count as people), and when the call is lost for good."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._someone_came = False
        self.empty = asyncio.Event()
        self.lost = asyncio.Event()
        self.why = ""

    def look(self, event: Event) -> None:
        """Call for every event of the session."""
        people = any(not member.recording for member in self._session.members.values())
        self._someone_came = self._someone_came or people
        if self._someone_came and not people:
            self.empty.set()
        match event:
            case VoiceLost(sentence=sentence, final=True) | ConnectionLost(sentence=sentence, final=True):
                self.why = sentence
                self.lost.set()


async def _show_status(session: Session, kept: KeptCall, show: ProgressLine) -> None:
    while True:
        show(_status(session, kept))
        await asyncio.sleep(STATUS_EVERY_S)


def _status(session: Session, kept: KeptCall) -> str:
    now, members, sources = monotonic_now(), session.members, session.sources
    talking = {ssrc for ssrc, at in kept.recorder.last_arrival.items() if now - at < TALKING}
    names = sorted({members[sources[ssrc]].name for ssrc in talking if sources.get(ssrc) in members})
    seconds = (now - kept.began) // NANOS_PER_SECOND
    people = [member for member in members.values() if not member.recording]
    agreed = f"{sum(member.kept for member in people)} of {len(people)} agreed"
    line = f"recording {seconds // 60}:{seconds % 60:02d}  {agreed}  {kept.recorder.counts.packets} packets"
    line += f"  {kept.recorder.counts.lost_here} LOST HERE" if kept.recorder.counts.lost_here else ""
    return line + (f"  talking: {', '.join(names)}" if names else "")


def _on_signals(stop: Callable[[], None]) -> None:
    """Ctrl-C and a polite kill end the recording; what was received is kept and rendered."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels the main task instead
            asyncio.get_running_loop().add_signal_handler(number, stop)
