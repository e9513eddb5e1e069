"""What a handshake's events make of an engine, and what the call's owner is told."""

import asyncio

import pytest

from raccall.units import Ssrc
from raccall.voice import events
from raccall.voice.dave import events as dave
from raccall.voice.dave.driver import Driver
from tests.voice.dave.group import Ours, joined

pytestmark = pytest.mark.realtime


class FakeEngine:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append((name, *arguments))


def a_group() -> dave.Group:
    anna = Ours(1)
    joined(anna, Ours(2))
    return anna.group


def test_keys_are_there_before_they_are_used_and_none_is_lost_before_the_engine_runs() -> None:
    told: list[events.Event] = []
    driver, engine, group = Driver(lambda outcome: None, told.append), FakeEngine(), a_group()
    driver.handle(dave.Switched(1, None, 0))
    assert driver.mode == "on", "the engine starts with it"
    driver.handle(dave.KeysArrived(group.keys))
    driver.handle(dave.Switched(1, group, 5))
    driver.run(engine)  # type: ignore[arg-type]
    assert engine.calls == [("set_encryption", "on"), ("add_keys", group.keys), ("use_keys", group.keys)]
    engine.calls.clear()
    driver.handle(dave.KeysArrived(group.keys))
    driver.handle(dave.Switched(1, group, 6))
    driver.set_owner(Ssrc(9), "2")
    driver.set_owner(Ssrc(9), "nobody")
    assert engine.calls == [
        ("add_keys", group.keys),
        ("set_encryption", "on"),
        ("use_keys", group.keys),
        ("set_owner", 9, 2),
    ]
    alone, first, second = told
    assert alone == events.EncryptionChanged(encrypted=True, epoch=0, transition_id=0, code="", identities={})
    assert isinstance(first, events.EncryptionChanged) and isinstance(second, events.EncryptionChanged)
    assert (first.transition_id, second.transition_id, first.epoch) == (5, 6, 1)
    assert list(first.identities) == ["1", "2"]
    assert bytes.fromhex(first.identities["1"]) == group.identities[1]


def test_on_the_way_down_both_come_in_and_what_goes_out_is_encrypted_until_the_switch() -> None:
    told: list[events.Event] = []
    driver, engine = Driver(lambda outcome: None, told.append), FakeEngine()
    driver.handle(dave.Switched(1, None, 0))
    driver.run(engine)  # type: ignore[arg-type]
    driver.handle(dave.ClearAhead())
    driver.handle(dave.Switched(0, None, 7))
    assert engine.calls == [("set_encryption", mode) for mode in ("on", "either", "off")]
    assert not driver.encrypted
    driver.handle(dave.ClearRefused())
    driver.handle(dave.Ghosts(frozenset({7, 5})))
    driver.handle(dave.Recovering("forged"))
    assert driver.encrypted
    assert told[-3:] == [events.ClearRefused(), events.GhostsChanged(("5", "7")), events.EncryptionBroken("forged")]


async def test_a_step_of_mls_runs_beside_the_event_loop() -> None:
    outcomes: asyncio.Queue[dave.Outcome] = asyncio.Queue()
    driver = Driver(outcomes.put_nowait, lambda event: None)
    driver.handle(dave.Work(lambda: dave.Outcome(answer=b"1")))
    assert outcomes.empty()
    assert await outcomes.get() == dave.Outcome(answer=b"1")
    driver.handle(dave.Work(lambda: dave.Outcome(answer=b"2")))
    driver.close()
    await asyncio.sleep(0.01)
    assert outcomes.empty()


def test_a_session_that_replaces_another_opens_what_is_sent_for_that_one() -> None:
    former, engine, groups = Driver(lambda outcome: None, lambda event: None), FakeEngine(), [a_group() for _ in "abc"]
    for group in groups:
        former.handle(dave.KeysArrived(group.keys))
    driver = Driver(lambda outcome: None, lambda event: None, former.newest_keys)
    driver.run(engine)  # type: ignore[arg-type]
    assert engine.calls == [("add_keys", groups[1].keys), ("add_keys", groups[2].keys)]
    assert driver.newest_keys == former.newest_keys
