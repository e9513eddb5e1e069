"""Who is in the call, as rows of text. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rich.text import Text

from raccall.cli.screen import printable
from raccall.console import METER_COLUMNS, METER_FLOOR_DB, meter
from raccall.units import Ssrc
from raccall.voice.engine import EngineStats
from raccall.wire.control import MemberInfo

CLIPPING_DB = -1.0


@dataclass(frozen=True, slots=True)
class Person:
    """One row."""

    user_id: str
    name: str
    own: bool
    muted: bool
    recording: bool
    """A recorder."""
    kept: bool
    """A recorder gets this voice."""
    talking: bool
    level_db: float
    deafened: bool = False
    silenced: bool = False
    """By the server's owner."""
    verified: bool = False
    """Their identity key is one that was compared."""
    volume_db: float = 0.0
    """How loud we chose to hear them."""


def people_of(
    members: Mapping[str, MemberInfo],
    sources: Mapping[Ssrc, str],
    stats: EngineStats | None,
    own_id: str,
    volumes_db: Mapping[str, float],
    verified: Collection[str] = (),
) -> list[Person]:
    """Everyone, oneself first, recorders last, else by name.

    volumes_db: user id → dB, of those whose volume was changed. verified: user ids.
    """
    levels: dict[str, float] = {}
    talkers: set[str] = set()
    for source in stats.sources if stats is not None else ():
        if (owner := sources.get(source.ssrc)) is not None:
            levels[owner] = max(levels.get(owner, -127.0), source.level_db)
            talkers |= {owner} if source.talking else set()
    people = []
    for member in members.values():
        own = member.user_id == own_id
        if own and stats is not None:
            level_db, talking = stats.input_level_db, stats.sending and stats.input_level_db > METER_FLOOR_DB
        else:
            level_db, talking = levels.get(member.user_id, -127.0), member.user_id in talkers
        people.append(
            Person(
                member.user_id,
                member.name,
                own=own,
                muted=member.muted,
                recording=member.recording,
                kept=member.kept,
                talking=talking and not member.muted,
                level_db=level_db,
                deafened=member.deafened,
                silenced=member.silenced,
                verified=member.user_id in verified,
                volume_db=volumes_db.get(member.user_id, 0.0),
            )
        )
    return sorted(people, key=lambda person: (not person.own, person.recording, person.name.casefold()))


def row_of(person: Person, columns: int) -> Text:
    """One line: mark, name, volume where it was changed, meter or state; meters stand below each other."""
    volume = f" {person.volume_db:+.0f} dB" if person.volume_db else ""
    name_columns = max(columns - 2 - METER_COLUMNS - 1 - len(volume), 4)
    name = printable(person.name) + (" (you)" if person.own else " ✓" if person.verified else "")
    row = Text(no_wrap=True, overflow="ellipsis")
    row.append(
        "● " if person.recording else "▶ " if person.talking else "  ", "bold red" if person.recording else "green"
    )
    row.append(_fit(name, name_columns), "bold" if person.talking else "")
    row.append(volume, "dim")
    row.append(" ")
    if person.recording:
        row.append(_fit("records", METER_COLUMNS), "red")
    elif person.silenced:
        row.append(_fit("silenced", METER_COLUMNS), "red")
    elif person.deafened:
        row.append(_fit("deafened", METER_COLUMNS), "dim")
    elif person.muted:
        row.append(_fit("muted", METER_COLUMNS), "dim")
    else:
        row.append(meter(person.level_db), "red" if person.level_db >= CLIPPING_DB else "green")
    return row


def _fit(text: str, columns: int) -> str:
    """Exactly so many cells wide; wide letters count twice."""
    fitted = Text(text)
    fitted.truncate(columns, overflow="ellipsis", pad=True)
    return fitted.plain
