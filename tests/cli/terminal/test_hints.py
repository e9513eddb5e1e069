"""Hints about one's own microphone: each has its cause, waits for it, and goes away."""

from dataclasses import replace

import pytest

from raccall.cli.terminal.hints import CLIPPED, DEAD, MUTED, Hints, canceller_hint
from raccall.units import NANOS_PER_MS, Nanos
from tests.figures import STATS


def looked(hints: Hints, level_db: float, *, muted: bool, from_ms: int, to_ms: int) -> list[str | None]:
    """What was shown at each look, ten times a second."""
    stats = replace(STATS, input_level_db=level_db)
    return [hints.look(stats, muted=muted, now=Nanos(ms * NANOS_PER_MS)) for ms in range(from_ms, to_ms, 100)]


def test_talking_while_muted_is_told_after_a_second_and_goes_with_the_mute() -> None:
    hints = Hints()
    shown = looked(hints, -25.0, muted=True, from_ms=100, to_ms=2000)
    assert shown[:10] == [None] * 10 and shown[11:] == [MUTED] * 8
    assert looked(hints, -25.0, muted=False, from_ms=2000, to_ms=2100) == [None]


def test_a_cough_while_muted_is_not_talking() -> None:
    hints = Hints()
    assert set(looked(hints, -25.0, muted=True, from_ms=100, to_ms=900)) == {None}
    assert set(looked(hints, -60.0, muted=True, from_ms=900, to_ms=3000)) == {None}


def test_a_microphone_of_zeros_is_told_after_five_seconds_and_a_quiet_room_never() -> None:
    assert looked(Hints(), -127.0, muted=False, from_ms=100, to_ms=6000)[-1] == DEAD
    assert set(looked(Hints(), -127.0, muted=False, from_ms=100, to_ms=5000)) == {None}
    assert set(looked(Hints(), -75.0, muted=False, from_ms=100, to_ms=60_000)) == {None}


def test_a_clipping_microphone_is_told_and_the_hint_goes_away() -> None:
    hints = Hints()
    assert looked(hints, -0.5, muted=False, from_ms=100, to_ms=600)[-1] == CLIPPED
    assert looked(hints, -20.0, muted=False, from_ms=600, to_ms=8000)[-1] is None


def test_who_has_no_microphone_is_told_nothing() -> None:
    stats = replace(STATS, input_level_db=-127.0)
    hints = Hints()
    looks = [
        hints.look(stats, muted=False, now=Nanos(ms * NANOS_PER_MS), has_microphone=False)
        for ms in range(100, 20_000, 100)
    ]
    assert set(looks) == {None}


def test_a_file_at_its_end_is_no_dead_microphone() -> None:
    def shown(level_db: float, *, muted: bool) -> set[str | None]:
        hints, stats = Hints(), replace(STATS, input_level_db=level_db)
        times = [Nanos(ms * NANOS_PER_MS) for ms in range(100, 20_000, 100)]
        return {hints.look(stats, muted=muted, now=now, from_file=True) for now in times}

    assert shown(-127.0, muted=False) == {None}
    assert MUTED in shown(-25.0, muted=True)


@pytest.mark.parametrize(
    ("name", "told"),
    [("Built-in Audio (echo cancelled with Speaker)", True), ("Echo-Cancel Source", True), ("Echo Dot", False)],
)
def test_another_canceller_is_known_by_its_name(name: str, told: bool) -> None:
    assert (canceller_hint(name) is not None) is told
