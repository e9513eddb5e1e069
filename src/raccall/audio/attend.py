"""What a command does with its sound while a call goes on: each is a task that runs until it is cancelled."""

import asyncio
from collections.abc import Callable

from raccall._native import Sound
from raccall.audio.devices import SoundCard
from raccall.audio.heard import HeardWriter
from raccall.clock import monotonic_now

WATCH_EVERY_S = 0.2
PLAYBACK_EVERY_S = 0.25
LOOK_EVERY_S = 0.05


async def watch_card(card: SoundCard, say: Callable[[str], None]) -> None:
    """An unplugged device is replaced, and the person told."""
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        for change in await asyncio.to_thread(card.watch, monotonic_now()):
            say(change.sentence)


async def write_heard(sound: Sound, writer: HeardWriter) -> None:
    """What came since the last look; after the end `read_playback` once more gives the rest."""
    while True:
        await asyncio.sleep(PLAYBACK_EVERY_S)
        writer.write(sound.read_playback())


async def until_sent(sound: Sound, tail_s: float) -> None:
    """This one ends: when a file has been spoken to its end, and so long after."""
    while not sound.capture_done:  # noqa: ASYNC110 (a flag of the native thread: nothing tells when it is set)
        await asyncio.sleep(LOOK_EVERY_S)
    await asyncio.sleep(tail_s)
