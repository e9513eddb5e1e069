"""A recording's health as a few rows of text. Pure: no terminal.

● REC 0:12:34  lounge  2 of 3 agreed  4.2 MB  38 h left  Ctrl-C ends
  anna              ██████████▌              talks           loss  0.2 %   3 ms
  ben                                        muted
  carla                                      has not agreed: not recorded
  lost so far: 12 in the network, 3 on this machine
  ALARM  The disk is nearly full: 18 MB are left to record, about 4 min.
"""

import unicodedata
from dataclasses import dataclass

from raccall.cli.amounts import clock, roughly
from raccall.cli.screen import printable
from raccall.recorder.health import HealthReport, SpeakerHealth
from raccall.recorder.space import megabytes

NAME_COLUMNS = 16
METER_COLUMNS = (4, 20)
"""Least and most: the meter gives way in a narrow terminal."""
OTHER_COLUMNS = 57
"""Of a speaker's row, beside the meter."""
METER_FLOOR_DB = -60.0
RECENTLY_S = 2.0
"""Who was heard so lately is not called silent: everyone takes a breath."""
_BLOCKS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    text: str
    loud: bool = False
    """An alarm: to be shown so that nobody overlooks it."""


def paint(report: HealthReport, room: str, columns: int, rows: int, *, blocks: bool = True) -> list[Row]:
    """At most `rows` rows of at most `columns` columns. blocks: the terminal has the characters of a smooth meter."""
    alarms = [Row(f"  ALARM  {alarm.text}", loud=True) for alarm in report.alarms]
    losses = [Row(f"  lost so far: {text}")] if (text := losses_of(report)) else []
    room_left = max(rows - 1 - len(alarms) - len(losses), 1)
    lines = [Row(_speaker(speaker, columns, blocks)) for speaker in _chosen(report.speakers, room_left)]
    if hidden := len(report.speakers) - len(lines):
        lines.append(Row(f"  ... and {hidden} more"))
    head = Row(f"{'●' if blocks else '*'} REC {_head(report, room)}  Ctrl-C ends")
    painted = [head, *lines, *losses, *alarms]
    return [Row(cut(row.text, columns), row.loud) for row in (painted if len(painted) <= rows else painted[-rows:])]


def summed_up(report: HealthReport, room: str) -> str:
    """The same in one line, for where nothing can be drawn."""
    talking = ", ".join(printable(speaker.name) for speaker in report.speakers if speaker.talking)
    parts = [_head(report, room), f"{report.packets} packets", f"loss {report.loss_pct:.1f} %"]
    parts += [f"lost so far: {losses_of(report)}"] if losses_of(report) else []
    return "  ".join([*parts, f"talking: {talking}" if talking else "nobody talks"])


def losses_of(report: HealthReport) -> str:
    """What was lost since the beginning, by where; empty for nothing."""
    here = report.lost.kernel + report.lost.reader
    parts = [
        f"{report.lost.network} in the network" if report.lost.network else "",
        f"{here} on this machine" if here else "",
        f"{report.refused} unreadable" if report.refused else "",
        *(f"{count} not decrypted ({reason})" for reason, count in report.undecrypted.items()),
    ]
    return ", ".join(part for part in parts if part)


def cut(text: str, columns: int) -> str:
    """As much of `text` as fits into `columns` columns; a Chinese letter takes two, a combining one none."""
    used = 0
    for index, letter in enumerate(text):
        used += _width(letter)
        if used > columns:
            return text[:index]
    return text


def width(text: str) -> int:
    """Columns that `text` takes."""
    return sum(map(_width, text))


def _head(report: HealthReport, room: str) -> str:
    people = [speaker for speaker in report.speakers if speaker.user_id]
    agreed = f"{sum(speaker.kept for speaker in people)} of {len(people)} agreed" if people else "nobody here"
    parts = [clock(report.seconds), printable(room), agreed]
    if report.disk is not None:
        parts.append(megabytes(report.disk.written_bytes))
        if report.disk.left_s is not None:
            parts.append(f"{roughly(report.disk.left_s)} left")
    return "  ".join(parts)


def _chosen(speakers: tuple[SpeakerHealth, ...], room: int) -> list[SpeakerHealth]:
    """All if they fit; else who talks and who was heard last, in the order they came."""
    if len(speakers) <= room:
        return list(speakers)
    last = sorted(range(len(speakers)), key=lambda index: _silence(speakers[index]))[: max(room - 1, 0)]
    return [speakers[index] for index in sorted(last)]


def _silence(speaker: SpeakerHealth) -> float:
    return float("inf") if speaker.silent_s is None else speaker.silent_s


def _speaker(speaker: SpeakerHealth, columns: int, blocks: bool) -> str:
    name = _fit(printable(speaker.name), NAME_COLUMNS)
    line = f"  {name}  {_meter(speaker.level_db, columns - OTHER_COLUMNS, blocks)}  {_state(speaker):<15}"
    if speaker.packets:
        line += f" loss {speaker.loss_pct:4.1f} %"
        uplink_pct = speaker.uplink_loss_pct or 0.0
        if uplink_pct >= 0.1:  # then that is what to look at, not jitter
            line += f"  up {uplink_pct:.{1 if uplink_pct < 9.95 else 0}f} %"
        else:
            line += f"  {speaker.jitter_ms:3.0f} ms"
    return line.rstrip()


def _state(speaker: SpeakerHealth) -> str:
    if not speaker.kept:
        return "has not agreed: not recorded"
    if speaker.talking:
        return "talks"
    if speaker.muted:
        return "muted"
    if speaker.silent_s is None:
        return "not heard yet"
    return "" if speaker.silent_s < RECENTLY_S else f"silent {roughly(speaker.silent_s)}"


def _meter(level_db: float, columns: int, blocks: bool) -> str:
    columns = min(max(columns, METER_COLUMNS[0]), METER_COLUMNS[1])
    share = min(max(1.0 - level_db / METER_FLOOR_DB, 0.0), 1.0)
    if not blocks:
        return ("#" * round(share * columns)).ljust(columns)
    eighths = round(share * columns * 8)
    return ("█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()).ljust(columns)


def _fit(text: str, columns: int) -> str:
    text = cut(text, columns)
    return text + " " * (columns - width(text))


def _width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
