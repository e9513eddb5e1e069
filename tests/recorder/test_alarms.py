"""Each alarm goes on once and off once, in virtual time, and does not flicker in between."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from raccall.recorder import Alarm
from raccall.recorder.alarms import Alarms
from raccall.recorder.space import Disk, Limit
from raccall.units import NANOS_PER_SECOND, Nanos

START = Nanos(10**12)
PLENTY = Disk(
    written_bytes=10**6, free_bytes=10**12, render_bytes=10**6, left_bytes=10**12, left_s=1e6, limit=Limit.DISK
)
WELL = {
    "can_speak": True,
    "sound": True,
    "opened": 25,
    "refused": 0,
    "decrypted": 0,
    "undecrypted": 0,
    "ghosts": 0,
    "lost_here": 0,
    "outage": "",
    "backlog": 0.0,
    "disk": PLENTY,
}


def told(looks: Callable[[float], dict[str, object]], seconds: float, **settings: float) -> list[tuple[float, Alarm]]:
    """All changes while what `looks` says of each half second differs from WELL; each with its time in seconds."""
    alarms = Alarms(START, **settings)
    changes = []
    for half in range(int(seconds * 2)):
        now = Nanos(START + half * NANOS_PER_SECOND // 2)
        for alarm in alarms.look(now, **(WELL | looks(half / 2))):  # type: ignore[arg-type]
            changes.append((half / 2, alarm))
            assert alarm.now == now and alarm.text[0].isupper() and alarm.text.endswith(".")
            assert (alarm.kind in {active.kind for active in alarms.active}) is not alarm.ended
    return changes


def times(changes: list[tuple[float, Alarm]]) -> list[tuple[float, str, bool]]:
    return [(at, alarm.kind, alarm.ended) for at, alarm in changes]


def on_and_off(kind: str, begin: float, end: float) -> list[tuple[float, str, bool]]:
    return [(begin, kind, False), (end, kind, True)]


def test_nothing_wrong_no_alarm() -> None:
    assert told(lambda at: {}, 7200) == []


def test_no_sound_for_five_minutes() -> None:
    changes = told(lambda at: {"sound": not 10 <= at < 500}, 600)
    assert times(changes) == on_and_off("no_sound", 309.5, 500.0)
    assert changes[0][1].text == "No sound for 5 min, though people are here and not muted."
    assert changes[1][1].text == "Sound again after 8 min."


@pytest.mark.parametrize("change", [{"sound": True}, {"can_speak": False}])
def test_silence_that_somebody_breaks_in_time_is_no_alarm(change: dict[str, object]) -> None:
    assert told(lambda at: {"sound": False} | (change if at % 299 == 0 else {}), 3000) == []


def test_no_sound_ends_when_nobody_could_speak() -> None:
    changes = told(lambda at: {"sound": False, "can_speak": at < 400}, 1000)
    assert times(changes) == on_and_off("no_sound", 300.0, 400.0)


def test_how_long_silence_is_allowed_can_be_chosen() -> None:
    assert times(told(lambda at: {"sound": False}, 100, silence_s=20)) == [(20.0, "no_sound", False)]
    assert told(lambda at: {"sound": False}, 7200, silence_s=0) == []


def test_silence_while_nothing_is_connected_is_the_connections_alarm_only() -> None:
    changes = told(lambda at: {"sound": False, "outage": "The connection broke." if at < 900 else ""}, 1000)
    assert times(changes) == on_and_off("connection", 0.0, 900.0)


def test_everything_unreadable() -> None:
    wrong = lambda at: {"opened": 0, "refused": 25} if 10 <= at < 60 else {}  # noqa: E731
    changes = told(wrong, 120)
    (begin, begun, _), (end, ended, _) = times(changes)
    assert (begun, ended) == ("unreadable", "unreadable")
    assert 13 <= begin <= 16 and 69 <= end <= 71
    assert changes[0][1].text == "Only 250 of 500 packets in ten seconds could be opened."


def test_unreadable_speech_with_pauses_is_one_alarm() -> None:
    changes = told(lambda at: {"opened": 0, "refused": 25 * (at % 30 < 5)} if at < 600 else {}, 700)
    assert [alarm.ended for _, alarm in changes] == [False, True]
    assert changes[0][1].text == "None of 50 packets in ten seconds could be opened."


def test_a_few_unreadable_packets_are_none() -> None:
    assert told(lambda at: {"refused": int(at % 5 == 0)}, 600) == []


def test_packets_lost_on_this_machine() -> None:
    lost = lambda at: {"lost_here": int(min(max(at - 10, 0), 20)) * 3}  # noqa: E731
    changes = told(lost, 200)
    assert times(changes) == on_and_off("lost_here", 11.0, 60.0)
    assert changes[0][1].text == "This machine is too busy: 3 packets were lost on it."


@pytest.mark.parametrize(("kind", "other", "minutes"), [("disk_low", None, 30), ("disk_nearly_full", "disk_low", 5)])
def test_the_disk_fills_by_time(kind: str, other: str | None, minutes: int) -> None:
    def disk(at: float) -> dict[str, object]:
        left_s = minutes * 60 + (1 if at < 10 or at >= 20 else -1)
        left_s = left_s if at < 30 else minutes * 60 * 1.4
        return {"disk": replace(PLENTY, left_s=left_s, left_bytes=10**9)}

    changes = [change for change in told(disk, 60) if change[1].kind != other]
    assert times(changes) == on_and_off(kind, 10.0, 30.0)
    assert changes[0][1].text.endswith(f": 1.0 GB are left to record, about {minutes - 1} min.")


def test_the_disk_fills_by_size_when_the_rate_is_not_known() -> None:
    def disk(at: float) -> dict[str, object]:
        return {"disk": replace(PLENTY, left_s=None, left_bytes=int(abs(at - 60) * 4_000_000))}

    assert times(told(disk, 120)) == [
        (35.5, "disk_low", False),
        (55.5, "disk_nearly_full", False),
        (67.0, "disk_nearly_full", True),
        (94.0, "disk_low", True),
    ]


def test_the_size_limit_is_an_alarm_of_its_own() -> None:
    def disk(at: float) -> dict[str, object]:
        return {"disk": replace(PLENTY, limit=Limit.SIZE, left_s=200.0 if 10 <= at < 20 else 420.0, left_bytes=10**5)}

    assert times(told(disk, 60)) == on_and_off("size_limit", 10.0, 20.0)


def test_the_writer_falls_behind() -> None:
    levels = [0.05, 0.3, 0.6, 0.3, 0.6, 0.3, 0.05, 0.3]
    changes = told(lambda at: {"backlog": levels[int(at)]}, len(levels))
    assert times(changes) == on_and_off("writer_behind", 2.0, 6.0)


def test_the_connection_is_lost_and_back() -> None:
    changes = told(lambda at: {"outage": "The connection to the server broke." if 5 <= at < 9 else ""}, 20)
    assert times(changes) == on_and_off("connection", 5.0, 9.0)
    assert changes[0][1].text == "The connection to the server broke."


def test_frames_without_a_key_are_an_alarm_when_hardly_any_can_be_decrypted() -> None:
    wrong = lambda at: {"decrypted": 0, "undecrypted": 25} if 10 <= at < 60 else {"decrypted": 25}  # noqa: E731
    changes = told(wrong, 120)
    assert [(kind, ended) for _, kind, ended in times(changes)] == [("undecryptable", False), ("undecryptable", True)]
    assert 10 < changes[0][0] <= 21 and 60 < changes[1][0] <= 75
    assert "encrypted frames in ten seconds could be decrypted" in changes[0][1].text


def test_frames_whose_keys_come_late_are_none() -> None:
    """A key two seconds behind: 100 frames wait, then all of them are decrypted at once."""
    late = lambda at: {"undecrypted": 12} if at < 2 else {"undecrypted": -48, "decrypted": 60} if at == 2 else {}  # noqa: E731
    assert told(late, 60) == []


def test_a_ghost_is_an_alarm_as_long_as_it_is_there() -> None:
    changes = told(lambda at: {"ghosts": 1} if 5 <= at < 9 else {}, 20)
    assert times(changes) == on_and_off("ghost", 5, 9)
    assert "not shown in the room" in changes[0][1].text
