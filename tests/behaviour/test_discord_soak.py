"""Unmodified discord.py clients over bad networks, recorded through the adapter: what reached us is in the recording.

RACCALL_SOAK_SECONDS makes both longer (`make soak`).
"""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from raccall.audio.files import read_samples
from raccall.discord.keep import keep_channel
from raccall.recorder.recording import Recording
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.discord import Way
from raccall.testing.network import NetworkConditions
from raccall.units import SAMPLE_RATE_HZ
from tests.discord.conftest import World, until
from tests.discord.crowd import Delivered, Key, Person, delays_ms, recorded

pytestmark = pytest.mark.realtime

NAMES = ("anna", "berta", "carla", "dora", "emil")
BAD = NetworkConditions(loss=0.05, mean_burst=1.8, delay_ms=10, jitter_ms=30, duplicates=0.02)
SECONDS = float(os.environ.get("RACCALL_SOAK_SECONDS", "5"))
ONE_FRAME_MS = 20.0
HELD_S = 2.0
"""How long op 5 and the messages of encryption are held back."""
SPEAKING, EXECUTE_TRANSITION, WELCOME = 5, 22, 30


@pytest.fixture
def crowd() -> list[Person]:
    clips = [read_samples(file) for file in sorted(OWN_SPEECH.glob("*.flac"))]
    return [
        Person(name, np.asarray(clips[i % len(clips)])[i * 4800 :][: 2 * SAMPLE_RATE_HZ])
        for i, name in enumerate(NAMES)
    ]


@pytest.fixture
async def world(tmp_path: Path):
    async with World(tmp_path / "world") as world:
        for name in NAMES[3:]:
            world.add_member(world.guild, name)
        for seed, name in enumerate(NAMES):
            world.ways[name] = Way(BAD, seed)
        world.ways["tape"] = Way(BAD, 99, decorated=True)
        yield world


async def test_frames_recorded_are_frames_delivered(world: World, crowd: list[Person], tmp_path: Path) -> None:
    """Loss, reordering, duplicates, padding, header extensions; people join, leave, move and come back."""
    ears = await world.ears()
    delivered = Delivered()
    delivered.look(world)
    await asyncio.gather(*(person.enter(world, world.general) for person in crowd[:4]))
    end = asyncio.get_running_loop().time() + SECONDS

    async def late(person: Person) -> None:
        await asyncio.sleep(SECONDS / 5)
        await person.enter(world, world.general)
        await person.talk(end, 5)

    async def leaver(person: Person) -> None:
        await person.talk(end - SECONDS / 2, 6)
        await person.leave()
        await person.enter(world, world.general)
        await person.talk(end, 7)

    async def mover(person: Person) -> None:
        await person.talk(end - SECONDS / 2, 8)
        for channel in (world.other, world.general):
            await person.moved(world, channel)
        await person.talk(end, 9)

    async with keep_channel(ears.voice, tmp_path / "kept") as kept:
        await asyncio.gather(
            crowd[0].talk(end, 1), crowd[1].talk(end, 2), mover(crowd[2]), leaver(crowd[3]), late(crowd[4])
        )
        await asyncio.sleep(0.3)
        summary = await kept.finish()
    recording = Recording.open(tmp_path / "kept")
    sent = {key: payload for person in crowd for key, payload in person.sent.items()}
    assert len(delivered.keys) > 0.8 * len(sent)
    assert_all_kept(recording, delivered, sent)
    assert sorted(person.name for person in summary.people) == sorted(NAMES)
    assert_within_one_frame(recording, crowd)


async def test_nothing_that_arrived_is_lost_whatever_happens_to_the_connection(
    world: World, crowd: list[Person], tmp_path: Path
) -> None:
    """4015, 4006, 4014 with a new server, 4009, another address, and what tells whose and how held back two seconds."""
    ears = await world.ears()
    delivered = Delivered()
    delivered.look(world)
    people = crowd[:3]
    world.lines["tape"].hold(SPEAKING, EXECUTE_TRANSITION, WELCOME)
    await asyncio.gather(*(person.enter(world, world.general) for person in people))
    loop = asyncio.get_running_loop()
    end = loop.time() + HELD_S + max(SECONDS, 3.0)

    async def trouble() -> None:
        await asyncio.sleep(HELD_S)
        await world.lines["tape"].release()
        pause_s = max(SECONDS, 3.0) / 7
        for code in (4015, 4006, 4009):
            await asyncio.sleep(pause_s)
            former = world.lines["tape"]
            await former.close(code)
            await until(lambda: world.lines["tape"] is not former and ears.voice.is_connected())  # noqa: B023
            delivered.look(world)
        await asyncio.sleep(pause_s)
        await world.lines["tape"].network.rebind()
        await asyncio.sleep(pause_s)
        former = world.lines["tape"]
        await world.renew_voice_server("tape", world.guild)
        await former.close(4014)
        await until(lambda: world.lines["tape"] is not former and ears.voice.is_connected())
        delivered.look(world)

    async with keep_channel(ears.voice, tmp_path / "kept") as kept:
        await asyncio.gather(trouble(), *(person.talk(end, seed) for seed, person in enumerate(people)))
        await asyncio.sleep(0.3)
        summary = await kept.finish()
    recording = Recording.open(tmp_path / "kept")
    sent = {key: payload for person in people for key, payload in person.sent.items()}
    assert_all_kept(recording, delivered, sent)
    assert sorted(person.name for person in summary.people) == [person.name for person in people]
    assert_within_one_frame(recording, people)


def assert_all_kept(recording: Recording, delivered: Delivered, sent: dict[Key, bytes]) -> None:
    """What is recorded is what the network handed over, bit by bit."""
    kept = recorded(recording)
    assert sorted(delivered.keys - kept.keys()) == []
    assert kept == {key: sent[key] for key in delivered.keys}


def assert_within_one_frame(recording: Recording, people: list[Person]) -> None:
    """Each person's clips are all as late as the others': they travelled over equally bad networks."""
    found = {person.name: delays_ms(recording, person) for person in people}
    assert all(found.values()), found
    medians = {name: float(np.median(delays)) for name, delays in found.items()}
    assert max(medians.values()) - min(medians.values()) <= ONE_FRAME_MS, medians
