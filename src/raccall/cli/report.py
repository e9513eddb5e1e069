"""What a recording holds, as a table: people, talk, loss by hop, drift, notes, gaps, alarms, damage."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from raccall.cli.table import Column, cut, table, wrapped
from raccall.errors import InputError, StorageError
from raccall.recorder.events import read_events
from raccall.recorder.happenings import Happening, happenings
from raccall.recorder.placement import EVENTS, JOURNAL, refuse_sealed
from raccall.recorder.segments import read_segments
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.recorder.summary import Person, Summary, read_summary

WIDTH = 80

_COLUMNS = (
    Column("who", left=True, width=17),
    Column("talked"),
    Column("share"),
    Column("packets"),
    Column("lost"),
    Column("recov."),
    Column("conceal."),
    Column("drift"),
)


_LISTS = {
    "ALARMS": ("alarm",),
    "gaps": ("gap",),
    "notes": ("note",),
    "came and left": ("joined", "left", "agreed", "withdrew", "forgotten"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall report`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recording's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(options: argparse.Namespace) -> int:
    """Print the report. Returns the exit code."""
    summary, talked, happened = _read(options.folder)
    if options.json:
        print(json.dumps(_as_json(options.folder, summary, talked, happened), ensure_ascii=False))
    else:
        print("\n".join(_as_text(summary, talked, happened)))
    return 0


def _read(folder: Path) -> tuple[Summary, dict[str, float], list[Happening]]:
    """Summary, seconds of speech by track, and what happened."""
    if not (folder / SUMMARY).is_file():
        if (folder / JOURNAL).is_file():
            raise InputError("not_rendered", f"{folder} is not rendered yet: `raccall render {folder}` makes it so.")
        refuse_sealed(folder)
        raise InputError("not_a_recording", f"{folder} holds no recording: {SUMMARY} is missing.")
    try:
        summary = read_summary(folder)
        talked: dict[str, float] = {}
        for segment in read_segments(folder):
            track = f"tracks/{segment.file_name}.opus"
            talked[track] = talked.get(track, 0.0) + segment.end_s - segment.begin_s
        return summary, talked, happenings(read_events(folder / EVENTS).events, summary)
    except msgspec.DecodeError as error:
        raise InputError("summary_unreadable", f"{folder} must be rendered anew: {error}.") from None
    except OSError as error:
        raise StorageError("report_failed", f"{error.filename} cannot be read: {error.strerror}.") from None


def _as_json(folder: Path, summary: Summary, talked: dict[str, float], happened: list[Happening]) -> dict[str, Any]:
    report: dict[str, Any] = {"recording": str(folder), **msgspec.to_builtins(summary)}
    for person in report["people"]:
        person["talked_s"] = round(talked.get(person["track"], 0.0), 3)
        person["share_pct"] = _share_pct(person["track"], talked)
    return report | {"happenings": msgspec.to_builtins(happened)}


def _as_text(summary: Summary, talked: dict[str, float], happened: list[Happening]) -> list[str]:
    count = len(summary.people)
    facts = [
        _clock(summary.duration_s),
        "1 person" if count == 1 else f"{count} people",
        summary.started.replace("T", " ").split(".")[0].removesuffix("+00:00") + " UTC" if summary.started else "",
        f"ended: {summary.stopped or 'stopped'}" if summary.complete else "CUT SHORT: the recorder was killed",
    ]
    lines = [cut(summary.room or "A recording", WIDTH), cut(" · ".join(filter(None, facts)), WIDTH), ""]
    if summary.people:
        lines += table(_COLUMNS, [_row(person, talked) for person in summary.people])
    else:
        lines.append("Nobody was heard.")
    lines += ["", *_losses(summary)]
    for title, kinds in _LISTS.items():
        found = [one for one in happened if one.kind in kinds]
        if found:
            lines += ["", f"{title}:", *(line for one in found for line in _lines_of(one))]
    if shifts := [one for one in happened if one.kind == "shift"]:
        lines += ["", cut(f"{len(shifts)} corrections; --json lists them", WIDTH)]
    return lines


def _lines_of(one: Happening) -> Iterator[str]:
    """The time, and beside it the sentence in as many lines as it needs."""
    beside = f"  {_clock(one.at):>7}  "
    for line in wrapped(one.text, WIDTH - len(beside)):
        yield beside + line
        beside = " " * len(beside)


def _row(person: Person, talked: dict[str, float]) -> list[str]:
    share = _share_pct(person.track, talked)
    return [
        person.name or "unnamed",
        _clock(talked.get(person.track, 0.0)),
        f"{share:.0f} %",
        f"{person.packets}",
        f"{person.loss_pct:.1f} %",
        f"{person.recovered_s:.1f} s",
        f"{person.concealed_s:.1f} s",
        "-" if person.drift_ppm is None else f"{round(person.drift_ppm):+d} ppm",
    ]


def _losses(summary: Summary) -> list[str]:
    lines = [
        f"lost: {summary.lost_in_network} in the network, {summary.lost_in_kernel} in the kernel, "
        f"{summary.lost_in_tap} in the recorder"
    ]
    if summary.speakers_left_out:
        lines.append(f"LEFT OUT: {summary.speakers_left_out} voices with the fewest packets are in the journal only")
    damage = summary.damage
    if damage.journal_places or damage.journal_packets or damage.event_lines:
        lines.append(
            f"DAMAGE: {damage.journal_bytes} bytes at {damage.journal_places} places of the journal, "
            f"{damage.journal_packets} packets, {damage.event_lines} events"
        )
    return lines


def _share_pct(track: str, talked: dict[str, float]) -> float:
    """Of all that was said."""
    together = sum(talked.values())
    return round(100 * talked.get(track, 0.0) / together, 1) if together else 0.0


def _clock(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    whole = int(seconds)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"
