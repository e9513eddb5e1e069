"""Rows of people: who is there, how loud, in what order, and that they fit."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from raccall.cli.terminal.people import Person, people_of, row_of
from raccall.console import METER_COLUMNS, meter
from raccall.units import Ssrc
from raccall.wire.control import MemberInfo
from tests.figures import STATS

BEN = Person("2", "ben", own=False, muted=False, recording=False, kept=False, talking=True, level_db=-12.0)
MEMBERS = {
    "3": MemberInfo(user_id="3", name="Zoe"),
    "9": MemberInfo(user_id="9", name="desk", recording=True),
    "2": MemberInfo(user_id="2", name="ben"),
    "1": MemberInfo(user_id="1", name="anna"),
}


def test_oneself_comes_first_and_recorders_last() -> None:
    people = people_of(MEMBERS, {Ssrc(7): "2"}, STATS, "1", {"2": -6.0})
    assert [person.name for person in people] == ["anna", "ben", "Zoe", "desk"]
    anna, ben, zoe, _ = people
    assert (anna.talking, anna.level_db) == (True, -20.0)
    assert (ben.talking, ben.level_db, ben.volume_db) == (True, -12.0, -6.0)
    assert (zoe.talking, zoe.level_db) == (False, -127.0)


def test_nobody_talks_while_muted_or_before_media_flows() -> None:
    muted = {"2": MemberInfo(user_id="2", name="ben", muted=True)}
    assert not people_of(muted, {Ssrc(7): "2"}, STATS, "1", {})[0].talking
    assert not people_of(MEMBERS, {}, None, "1", {})[0].talking
    silent = replace(STATS, sending=False)
    assert not people_of(MEMBERS, {}, silent, "1", {})[0].talking


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"muted": True}, "muted"),
        ({"muted": True, "deafened": True}, "deafened"),
        ({"muted": True, "silenced": True}, "silenced"),
        ({"verified": True}, "ben ✓"),
    ],
)
def test_what_matters_most_of_a_person_is_shown(change: dict[str, bool], state: str) -> None:
    assert state in row_of(replace(BEN, **change), 30).plain  # type: ignore[arg-type]


def test_a_meter_rises_with_the_level_and_is_always_as_wide() -> None:
    bars = [meter(level_db) for level_db in (-127.0, -54.0, -40.0, -27.0, -10.0, 0.0, 3.0)]
    assert {len(bar) for bar in bars} == {METER_COLUMNS}
    filled = [len(bar.rstrip()) for bar in bars]
    assert filled == sorted(filled)
    assert (filled[0], filled[1], filled[-2], filled[-1]) == (0, 0, METER_COLUMNS, METER_COLUMNS)


@pytest.mark.parametrize(
    "name", ["b", "a name that is far too long for any column", "漢字の名前はとても広い", "x\x1b[31m\ny"]
)
@pytest.mark.parametrize("change", [{}, {"muted": True}, {"recording": True}, {"volume_db": -60.0}, {"own": True}])
def test_a_row_fits_whatever_the_name(name: str, change: dict[str, object]) -> None:
    row = row_of(replace(BEN, name=name, **change), 30)  # type: ignore[arg-type]
    assert cell_len(row.plain) == 30
    assert "\x1b" not in row.plain and "\n" not in row.plain
