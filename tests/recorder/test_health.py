"""The recording's health in virtual time: meters and losses."""

from dataclasses import dataclass, replace

import pytest

from raccall.recorder.health import Health, HopLoss, Observation, Person, SpeakerHealth
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc

START = Nanos(10**12)
SEVEN = Ssrc(7)
HALF: int = 500 * NANOS_PER_MS
ANNA, BEN = Person("1", "anna"), Person("2", "ben", muted=True)
OWNERS = {Ssrc(7): "1", Ssrc(8): "2"}


@dataclass
class Counts:
    """One source as an engine counts it."""

    ssrc: Ssrc = SEVEN
    received: int = 0
    lost: int = 0
    jitter_ms: float = 3.0
    level_db: float = -20.0
    talking: bool = True


def seen(*sources: Counts) -> Observation:
    return Observation(people=(ANNA, BEN), owners=OWNERS, sources=[replace(source) for source in sources])


def speaker(health: Health, name: str) -> SpeakerHealth:
    return next(speaker for speaker in health.report.speakers if speaker.name == name)


def test_everyone_here_has_a_line_whether_heard_or_not() -> None:
    health = Health(START)
    health.look(Nanos(START + HALF), seen(Counts(received=25)))
    anna, ben = health.report.speakers
    assert (anna.name, anna.talking, anna.level_db, anna.packets, anna.silent_s) == ("anna", True, -20.0, 25, 0.0)
    assert (ben.name, ben.muted, ben.talking, ben.level_db, ben.packets, ben.silent_s) == (
        "ben",
        True,
        False,
        -127.0,
        0,
        None,
    )
    assert (health.report.seconds, health.report.voices) == (0.5, 1)


def test_a_level_is_old_when_nothing_came_with_it() -> None:
    health = Health(START)
    health.look(Nanos(START + HALF), seen(Counts(received=25)))
    health.look(Nanos(START + 5 * HALF), seen(Counts(received=25)))
    anna = speaker(health, "anna")
    assert (anna.talking, anna.level_db, anna.silent_s) == (False, -127.0, 2.0)


def test_loss_is_of_the_last_ten_seconds_and_its_sum_is_kept() -> None:
    health, counts = Health(START), Counts()
    for step in range(1, 61):
        counts.received += 20
        counts.lost += 5 if step <= 20 else 0
        health.look(Nanos(START + step * HALF), seen(counts))
        received, lost = 20 * min(step, 20), 5 * min(step, 20, max(0, 40 - step))
        assert health.report.loss_pct == pytest.approx(100 * lost / (received + lost)), step
    assert health.report.lost == HopLoss(network=100)


def test_late_packets_take_a_loss_back() -> None:
    health = Health(START)
    health.look(Nanos(START + HALF), seen(Counts(received=20, lost=5)))
    health.look(Nanos(START + 2 * HALF), seen(Counts(received=25, lost=0)))
    assert (health.report.loss_pct, health.report.lost.network) == (0.0, 0)


def test_losses_are_told_apart_by_hop() -> None:
    health = Health(START)
    observation = replace(seen(Counts(received=80, lost=20)), kernel_drops=15, lost_in_reader=3)
    health.look(Nanos(START + HALF), observation)
    assert health.report.lost == HopLoss(network=5, kernel=15, reader=3)


def test_a_new_connection_counts_on() -> None:
    health = Health(START)
    first = replace(seen(Counts(received=100, lost=10)), connection=1, kernel_drops=4, refused=2)
    second = replace(seen(Counts(received=150, lost=20)), connection=2, kernel_drops=5, refused=3)
    health.look(Nanos(START + HALF), first)
    health.look(Nanos(START + 2 * HALF), second)
    report = health.report
    assert (report.packets, report.lost, report.refused) == (250, HopLoss(network=21, kernel=9), 5)


def test_a_voice_without_an_owner_is_shown_until_it_has_one_and_then_counts_for_them() -> None:
    health, early = Health(START), Observation(people=(ANNA,), sources=[Counts(received=10)])
    health.look(Nanos(START + HALF), early)
    assert [speaker.name for speaker in health.report.speakers] == ["anna", "voice 7"]
    health.look(Nanos(START + 2 * HALF), seen(Counts(received=20)))
    assert speaker(health, "anna").packets == 20
    # The owner has left, and the engine still counts the source.
    health.look(Nanos(START + 3 * HALF), Observation(people=(BEN,), sources=[Counts(received=20)]))
    assert [speaker.name for speaker in health.report.speakers] == ["ben"]


def test_a_stranger_who_went_silent_is_not_shown_for_ever() -> None:
    health, stranger = Health(START), Observation(sources=[Counts(received=10)])
    for step in range(1, 30):
        health.look(Nanos(START + step * NANOS_PER_SECOND), stranger)
    assert health.report.speakers == ()


def test_two_voices_of_one_person_are_one_line() -> None:
    health = Health(START)
    owners = {Ssrc(7): "1", Ssrc(9): "1"}
    sources = [Counts(received=10, level_db=-40), Counts(Ssrc(9), received=5, level_db=-12)]
    health.look(Nanos(START + HALF), Observation(people=(ANNA,), owners=owners, sources=sources))
    assert (speaker(health, "anna").packets, speaker(health, "anna").level_db) == (15, -12)


@pytest.mark.parametrize(("person", "alarms"), [(ANNA, ["no_sound"]), (BEN, []), (replace(ANNA, kept=False), [])])
def test_only_who_agreed_and_is_not_muted_could_be_heard(person: Person, alarms: list[str]) -> None:
    health = Health(START, silence_s=2.0)
    changes = [
        alarm.kind
        for second in range(5)
        for alarm in health.look(Nanos(START + second * NANOS_PER_SECOND), Observation(people=(person,)))
    ]
    assert changes == alarms == [alarm.kind for alarm in health.report.alarms]


def test_what_could_not_be_decrypted_is_told_by_reason_over_all_connections() -> None:
    health = Health(START)
    first = replace(seen(Counts(received=25)), decrypted=20, undecrypted={"waiting": 5, "expired": 0})
    health.look(Nanos(START + HALF), first)
    assert health.report.undecrypted == {"waiting": 5}
    health.look(Nanos(START + 2 * HALF), replace(first, undecrypted={"waiting": 2, "expired": 3, "unencrypted": 1}))
    assert health.report.undecrypted == {"waiting": 2, "expired": 3, "unencrypted": 1}
    again = replace(first, connection=1, undecrypted={"waiting": 1, "expired": 4})
    health.look(Nanos(START + 3 * HALF), again)
    assert health.report.undecrypted == {"waiting": 1, "expired": 9, "unencrypted": 1}
