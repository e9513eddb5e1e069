"""What a running recording looks like."""

from dataclasses import replace

import pytest

from raccall.cli.panel import cut, paint, summed_up, width
from raccall.recorder import Alarm
from raccall.recorder.health import HealthReport, HopLoss, SpeakerHealth
from raccall.recorder.space import Disk, Limit

ANNA = SpeakerHealth(
    user_id="1",
    name="anna",
    muted=False,
    kept=True,
    talking=True,
    level_db=-15.0,
    packets=500,
    loss_pct=1.25,
    uplink_loss_pct=None,
    jitter_ms=3.4,
    silent_s=0.0,
)
BEN = replace(
    ANNA, user_id="2", name="ben", muted=True, talking=False, level_db=-127.0, packets=0, loss_pct=0.0, silent_s=None
)
CARLA = replace(BEN, user_id="3", name="carla", muted=False, kept=False)
DISK = Disk(
    written_bytes=4_200_000,
    free_bytes=10**11,
    render_bytes=10**6,
    left_bytes=10**11,
    left_s=140_000.0,
    limit=Limit.DISK,
)
REPORT = HealthReport(seconds=754.3, speakers=(ANNA, BEN, CARLA), packets=500, loss_pct=1.25, disk=DISK)
FULL = Alarm(now=0, kind="disk_nearly_full", text="The disk is nearly full: 18 MB are left to record.")


def texts(report: HealthReport, columns: int = 79, rows: int = 22, *, blocks: bool = True) -> list[str]:
    return [row.text for row in paint(report, "lounge", columns, rows, blocks=blocks)]


def test_a_row_for_each_person() -> None:
    assert texts(REPORT) == [
        "● REC 0:12:34  lounge  2 of 3 agreed  4.2 MB  38 h left  Ctrl-C ends",
        "  anna              ███████████████       talks           loss  1.2 %    3 ms",
        "  ben                                     muted",
        "  carla                                   has not agreed: not recorded",
    ]


def test_without_its_letters_a_terminal_gets_plain_ones() -> None:
    rows = texts(REPORT, blocks=False)
    assert rows[0].startswith("* REC") and rows[1].startswith("  anna              ###############  ")
    assert "".join(rows).isascii()


@pytest.mark.parametrize(
    ("speaker", "state"),
    [
        (replace(ANNA, talking=False, silent_s=1.0), ""),
        (replace(ANNA, talking=False, silent_s=130.0), "silent 2 min"),
        (replace(ANNA, talking=False, silent_s=None), "not heard yet"),
        (replace(ANNA, muted=True), "talks"),
    ],
)
def test_what_a_person_does(speaker: SpeakerHealth, state: str) -> None:
    assert texts(replace(REPORT, speakers=(speaker,)))[1][42:57].rstrip() == state


@pytest.mark.parametrize(
    ("uplink_pct", "end"),
    [(None, "  3 ms"), (0.04, "  3 ms"), (0.5, "up 0.5 %"), (9.94, "up 9.9 %"), (12.3, "up 12 %")],
)
def test_what_was_lost_before_the_server_is_told_apart(uplink_pct: float | None, end: str) -> None:
    row = texts(replace(REPORT, speakers=(replace(ANNA, loss_pct=99.9, uplink_loss_pct=uplink_pct),)))[1]
    assert row.endswith(f"loss 99.9 %  {end}") and width(row) <= 79


def test_losses_and_alarms_stand_below_and_alarms_are_loud() -> None:
    report = replace(REPORT, lost=HopLoss(12, 2, 1), refused=4, alarms=(FULL,))
    rows = paint(report, "lounge", 79, 22)
    assert [(row.text, row.loud) for row in rows[-2:]] == [
        ("  lost so far: 12 in the network, 3 on this machine, 4 unreadable", False),
        ("  ALARM  The disk is nearly full: 18 MB are left to record.", True),
    ]


def test_a_hundred_people_in_a_small_terminal_those_who_talk_are_seen() -> None:
    people = [replace(BEN, user_id=str(index), name=f"guest {index}") for index in range(100)]
    people[77] = replace(ANNA, name="talker")
    people[20] = replace(BEN, name="lately", packets=5, silent_s=3.0)
    rows = texts(replace(REPORT, speakers=tuple(people), alarms=(FULL,)), rows=8)
    assert len(rows) == 8
    assert [row.split()[0] for row in rows[1:-2]] == ["guest", "guest", "guest", "lately", "talker"]
    assert rows[-2:] == ["  ... and 95 more", "  ALARM  The disk is nearly full: 18 MB are left to record."]


@pytest.mark.parametrize("columns", [1, 20, 50, 79, 200])
@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_it_never_takes_more_than_there_is(columns: int, rows: int) -> None:
    wide = replace(ANNA, name="小林小林小林小林小林小林小林", packets=10**9, jitter_ms=12_345.0)
    painted = texts(replace(REPORT, speakers=(wide, BEN), alarms=(FULL, FULL)), columns, rows)
    assert 1 <= len(painted) <= rows
    assert all(width(row) <= columns for row in painted)


def test_wide_and_hostile_names_keep_their_column() -> None:
    names = ["小林", "e\u0301milie", "\x1b[2Jrm", "x" * 300]
    rows = texts(replace(REPORT, speakers=tuple(replace(ANNA, name=name) for name in names)))[1:]
    assert {width(row.split("█")[0]) for row in rows} == {20}
    assert "\x1b" not in "".join(rows)
    assert cut("小林", 3) == "小"


def test_one_line_for_where_nothing_can_be_drawn() -> None:
    assert summed_up(replace(REPORT, lost=HopLoss(7)), "lounge") == (
        "0:12:34  lounge  2 of 3 agreed  4.2 MB  38 h left  500 packets  loss 1.2 %  lost so far: 7 in the network"
        "  talking: anna"
    )
    assert summed_up(HealthReport(1.0), "lounge") == "0:00:01  lounge  nobody here  0 packets  loss 0.0 %  nobody talks"
