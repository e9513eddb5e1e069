"""Say what is left of a recording after a kill, a full disk or damage, and make its tracks if they are not there."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from raccall.cli.progress import progress_line
from raccall.cli.table import Column, table
from raccall.errors import StorageError
from raccall.recorder import render
from raccall.recorder.placement import EVENTS
from raccall.recorder.recovery import Findings, examine, restore_events

_COLUMNS = (
    Column("who", left=True, width=24),
    Column("packets"),
    Column("lost"),
    Column("last heard"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall recover`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recording's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Look, render when needed, tell. Returns the exit code: 0 even after damage, which the output tells."""
    folder: Path = options.folder
    try:
        found = examine(folder)
        if found.events_missing:
            restore_events(folder)
    except OSError as error:
        raise StorageError("recover_failed", f"{error.filename or folder} cannot be read: {error.strerror}.") from None
    if found.rendered != "whole":
        with progress_line() as show:
            render(folder, progress=lambda share: show(f"making tracks and mix: {share:4.0%}"))
    if options.json:
        done = {"made_anew": found.rendered != "whole", "events_restored": found.events_missing}
        print(json.dumps(msgspec.to_builtins(found) | done, ensure_ascii=False))
    else:
        print("\n".join(_as_text(found)))
    return 0


def _as_text(found: Findings) -> Iterator[str]:
    ended = "complete" if found.complete else "cut short: the recorder was killed before it could write its end"
    yield f"{found.recording}: {ended}"
    yield f"begun {found.started or 'at an unknown time'}; the last packet came {_clock(found.duration_s)} later"
    yield f"{found.packets} packets can be read"
    if found.speakers:
        yield ""
        rows = [[one.name, f"{one.packets}", f"{one.lost}", _clock(one.last_heard_s)] for one in found.speakers]
        yield from (f"  {line}" for line in table(_COLUMNS, rows))
    yield ""
    yield from _damage(found)
    if found.events_missing:
        yield f"{EVENTS} was missing and was begun anew: nothing says any more whose voices these are"
    yield {
        "whole": "Tracks, mix and page are there; nothing needs to be done.",
        "outdated": "Tracks, mix and page did not fit the journal and were made anew; nothing more needs to be done.",
        "missing": "Tracks, mix and page were missing and were made; nothing more needs to be done.",
    }[found.rendered]


def _damage(found: Findings) -> Iterator[str]:
    damage = found.damage
    if not found.is_damaged:
        yield "no damage: all that was written can be read"
        return
    if damage.journal_places:
        yield f"damage: {damage.journal_bytes} bytes at {damage.journal_places} places of the journal were skipped"
    if damage.journal_packets:
        yield f"damage: {damage.journal_packets} packets in the middle of the journal are lost"
    if damage.event_lines:
        yield f"damage: {damage.event_lines} lines of {EVENTS} cannot be read"


def _clock(seconds: float) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(int(minutes), 60)
    return f"{hours}:{minute:02d}:{second:04.1f}"
