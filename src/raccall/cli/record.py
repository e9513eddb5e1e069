"""Record a call as a visible member: a track per speaker, a mix, and everything needed to make them again."""

import argparse
import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from raccall.bots.ends import CallEnds
from raccall.bots.keep import KeptCall, keep_call
from raccall.cli.amounts import parse_duration, parse_size, roughly
from raccall.cli.display import Display, open_display
from raccall.cli.interrupts import Interrupts
from raccall.cli.outcome import NOT_RENDERED, render_and_tell, tell_journal, tell_only_tracks, tell_sealed
from raccall.cli.progress import say
from raccall.cli.screen import describe
from raccall.client import Event, connect, parse_link
from raccall.client.identity import identity_key, load_secret, server_of
from raccall.clock import wall_now
from raccall.errors import InputError, RaccallError, StorageError
from raccall.recorder import Alarm, check_folder
from raccall.recorder.append import AppendOnly, OpenFile
from raccall.recorder.health import HealthReport
from raccall.recorder.placement import has_begun
from raccall.recorder.sealed import Sealer
from raccall.recorder.space import MIN_FREE_BYTES, Keep, Limit, Limits, check_space, check_space_to_render, megabytes
from raccall.store.folder import default_data_folder
from raccall.units import NANOS_PER_SECOND
from raccall.waiting import first_of

SHOW_EVERY_S = 0.5
EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall record`."""
    parser.add_argument("link", metavar="LINK", help="invite link, as `raccall serve` prints it")
    parser.add_argument("--name", default="recorder", help="how the others see the recorder (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="new or empty folder (default: recording-DATE-TIME)")
    ends = parser.add_argument_group("when to stop, besides Ctrl-C")
    ends.add_argument("--until-empty", action="store_true", help="when the last other person has left")
    ends.add_argument("--max-time", "--seconds", metavar="TIME", help="after this long: 90, 15m, 1h30m")
    ends.add_argument("--max-size", metavar="SIZE", help="before the folder, tracks included, is larger: 500MB, 2GB")
    ends.add_argument(
        "--min-free",
        metavar="SIZE",
        help=f"before less than this is free on the disk (default: {megabytes(MIN_FREE_BYTES)})",
    )
    parser.add_argument(
        "--keep",
        choices=[str(keep) for keep in Keep],
        default=str(Keep.BOTH),
        help="journal: what was received, nothing made of it; tracks: tracks and mix, what was received is deleted"
        " once they are proven whole, and nothing can be made anew (default: %(default)s)",
    )
    parser.add_argument(
        "--encrypt-to",
        action="append",
        metavar="KEY",
        help="public key (age1…, ssh-…) or a file of them; may be given again. Nothing is written in clear, and no"
        " tracks are made: see `raccall decrypt`",
    )
    parser.add_argument(
        "--silence-alarm",
        metavar="TIME",
        default="5m",
        help="alarm when nobody was heard for so long; 0: never (default: %(default)s)",
    )
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--plain", action="store_true", help="a line every ten seconds and alarms, nothing drawn")
    shown.add_argument("--json", action="store_true", help="print one JSON object at the end")
    shown.add_argument("--json-lines", action="store_true", help="print health, alarms and the end as JSON, one a line")


def run(options: argparse.Namespace) -> int:
    """Record until stopped (Ctrl-C, a limit, --until-empty, or the server), then render. Returns the exit code."""
    limits, silence_s, seconds = _check(options)
    folder = options.out or Path(f"recording-{wall_now():%Y%m%d-%H%M%S}")
    check_folder(folder)
    check_space(folder, limits)
    open_file = Sealer(options.encrypt_to).open if options.encrypt_to else AppendOnly
    interrupts = Interrupts()
    failure: RaccallError | None = None
    recording = _Recording(options, folder, limits, silence_s, interrupts, open_file)
    try:
        asyncio.run(recording.run(seconds))
    except KeyboardInterrupt:  # where signals cannot be handled; the journal is closed already
        if not has_begun(folder):
            raise
    except RaccallError as error:
        if not has_begun(folder):
            raise
        failure = error
    # What was received is worth as much when the end was not wished for.
    with contextlib.suppress(StorageError) if failure else contextlib.nullcontext():
        try:
            with interrupts.raised():
                _finish(options, folder, limits, recording.health)
        except KeyboardInterrupt:
            say(f"Not rendered. {NOT_RENDERED.format(folder=folder)}")
            if failure is None:
                return EXIT_INTERRUPTED
    if failure:
        raise failure
    return 0


def _check(options: argparse.Namespace) -> tuple[Limits, float, float | None]:
    """Limits, seconds of silence before the alarm, and seconds to record. Raises InputError."""
    if options.encrypt_to and Keep(options.keep) is Keep.TRACKS:
        raise InputError("keep_impossible", "--keep tracks and --encrypt-to exclude each other: tracks are in clear.")
    limits = Limits(
        max_bytes=parse_size(options.max_size, "--max-size") if options.max_size else None,
        min_free_bytes=parse_size(options.min_free, "--min-free") if options.min_free else MIN_FREE_BYTES,
        keep=Keep.JOURNAL if options.encrypt_to else Keep(options.keep),
    )
    silence_s = 0.0 if options.silence_alarm == "0" else parse_duration(options.silence_alarm, "--silence-alarm")
    seconds = parse_duration(options.max_time, "--max-time") if options.max_time else None
    parse_link(options.link)
    return limits, silence_s, seconds


def _finish(options: argparse.Namespace, folder: Path, limits: Limits, health: HealthReport) -> None:
    """Make of the recording what is wished for, and tell. Raises StorageError; what was received is safe then."""
    as_json = options.json or options.json_lines
    if options.encrypt_to:
        tell_sealed(folder, health.seconds, as_json=as_json)
        return
    if limits.keep is Keep.JOURNAL:
        tell_journal(folder, health.seconds, as_json=as_json)
        return
    if health.disk is not None:
        check_space_to_render(folder, health.disk.render_bytes)
    summary = render_and_tell(folder, as_json=as_json)
    if limits.keep is Keep.TRACKS:
        tell_only_tracks(folder, summary)


class _Recording:
    """One run of the command, from the connection to the last packet."""

    def __init__(
        self,
        options: argparse.Namespace,
        folder: Path,
        limits: Limits,
        silence_s: float,
        interrupts: Interrupts,
        open_file: OpenFile = AppendOnly,
    ) -> None:
        self.health = HealthReport(0.0)
        """As of the end."""
        self._options = options
        self._folder = folder
        self._limits = limits
        self._silence_s = silence_s
        self._interrupts = interrupts
        self._open_file = open_file

    async def run(self, seconds: float | None) -> None:
        """Returns when the recording ended as wished. Raises RaccallError; what was received is in the folder."""
        options, folder, interrupts = self._options, self._folder, self._interrupts
        interrupts.catch()
        server = server_of(parse_link(options.link))
        key = identity_key(load_secret(default_data_folder() / "identity"), server, options.name)
        async with connect(options.link, name=options.name, recorder=True, identity_key=key) as session:
            ends = CallEnds(session)
            began = 0
            with open_display(session.room_name, plain=options.plain, json_lines=options.json_lines) as display:

                def watch(event: Event) -> None:
                    if (text := describe(event, session.user_id)) is not None:
                        display.say(text)
                    ends.look(event)

                def alarm(alarm: Alarm) -> None:
                    display.alarm(alarm, (alarm.now - began) / NANOS_PER_SECOND)

                async with keep_call(
                    session,
                    folder,
                    watch=watch,
                    limits=self._limits,
                    on_alarm=alarm,
                    silence_s=self._silence_s,
                    open_file=self._open_file,
                ) as kept:
                    began = kept.began
                    display.say(
                        f"Recording {session.room_name} into {folder}; everyone there sees it, and those who agree are"
                        " kept. Ctrl-C ends."
                    )
                    waits: list[Coroutine[Any, Any, object]] = [
                        interrupts.stop.wait(),
                        ends.lost(),
                        kept.failed(),
                        self._show(kept, display),
                        self._unattended(ends, display),
                    ]
                    if options.until_empty:
                        waits.append(ends.empty.wait())
                    await first_of(waits, at_most_s=seconds)
                    self._check_limit(kept, display)

    async def _show(self, kept: KeptCall, display: Display) -> None:
        while True:
            self.health = kept.health
            display.show(self.health)
            await asyncio.sleep(SHOW_EVERY_S)

    async def _unattended(self, ends: CallEnds, display: Display) -> None:
        """The terminal was closed: nobody can press Ctrl-C any more, so the last to leave ends the recording."""
        await self._interrupts.hung_up.wait()
        display.say("The terminal is gone; recording until the last other person has left.")
        await ends.empty.wait()

    def _check_limit(self, kept: KeptCall, display: Display) -> None:
        self.health = kept.health
        after = roughly(self.health.seconds)
        if kept.limit_reached is Limit.SIZE:
            display.say(f"Stopped after {after}: the folder would have grown past {self._options.max_size}.")
        elif kept.limit_reached is Limit.DISK:
            raise StorageError(
                "disk_full",
                f"The disk is full but for the {megabytes(self._limits.min_free_bytes)} that stay free (--min-free);"
                f" the recording ended after {after}.",
            )
