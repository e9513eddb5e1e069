"""Placed packets to blocks of sound, on all cores.

Each block of each speaker is one task: native code that runs without the GIL. Tasks start in the order of their blocks,
and a speaker's tasks run one after the other, because a decoder goes on from what it decoded before. A few blocks are
under way at once, so that no core waits for the slowest speaker, and no more, so that memory is bounded. What a task
gets is decided by the packets alone, so samples do not depend on the number of workers.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raccall._native import Mixer, PlacedBatch, SpeakerSound
from raccall.recorder.attribution import Speaker
from raccall.recorder.placement import Step
from raccall.units import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

Heard = Callable[[Samples], None]
"""Called with one speaker's sound in each Block, in order, by the thread that decoded it; never twice at once."""

BLOCK_SAMPLES = SAMPLE_RATE_HZ
"""Length of a Block. They lie on whole seconds whatever the range, so that a part is cut as the whole is."""

_TASKS_PER_WORKER = 8
"""Under way, whoever speaks; but never less than two blocks."""


@dataclass(frozen=True, slots=True)
class Block:
    """A second of everyone (the first and the last of a range may be shorter)."""

    position: int
    """First sample, from the beginning of the tracks (their lead-in included)."""
    voices: Mapping[str, Samples]
    """By Speaker.file_name: shape (frames, channels of that speaker: 1 or 2), gain applied, not limited. Every chosen
    speaker is there, silence included."""
    mix: Samples
    """The sum of `voices`, shape (frames, channels), before loudness and limiter; stereo when any voice is."""


class Voice:
    """One speaker being decoded."""

    def __init__(
        self, speaker: Speaker, channels: int, *, gain: float = 1.0, begin: int = 0, heard: Heard | None = None
    ) -> None:
        self.speaker = speaker
        self.channels = channels
        self.sound = SpeakerSound(channels, gain=gain, begin=begin)
        self._heard = heard
        self._placed: list[PlacedBatch] = []
        self._before: Future[Samples] | None = None

    def add(self, placed: PlacedBatch) -> None:
        """Packets for the next block, or for those after it."""
        if len(placed):
            self._placed.append(placed)

    def decode(self, end: int) -> Samples:
        """The sound up to `end`, now."""
        return self._decode(self._take(), end)

    def submit(self, pool: ThreadPoolExecutor, end: int) -> Future[Samples]:
        """The same, when its turn comes."""
        self._before = pool.submit(self._after, self._before, self._take(), end)
        return self._before

    def _after(self, before: Future[Samples] | None, placed: list[PlacedBatch], end: int) -> Samples:
        # The one before was started earlier by the same pool: this waits for a task that runs.
        if before:
            before.result()
        return self._decode(placed, end)

    def _take(self) -> list[PlacedBatch]:
        placed, self._placed = self._placed, []
        return placed

    def _decode(self, placed: list[PlacedBatch], end: int) -> Samples:
        sound = self.sound.pull(placed, end)
        if self._heard:
            self._heard(sound)
        return sound


def decode(
    voices: Sequence[Voice], steps: Iterable[Step], begin: int, end: int, workers: int | None
) -> Iterator[Block]:
    """Blocks from `begin` to `end`, in order. workers: threads that decode; as many as there are cores when None."""
    count = workers or available_cores()
    ends = _block_ends(voices, steps, begin, end)
    blocks = _Blocks(voices)
    if count == 1:
        for block_end in ends:
            yield blocks.of(begin, block_end, [voice.decode(block_end) for voice in voices])
            begin = block_end
        return
    at_once = max(count * _TASKS_PER_WORKER // max(len(voices), 1), 2)
    under_way: deque[tuple[int, list[Future[Samples]]]] = deque()

    def oldest(begin: int) -> Block:
        block_end, sounds = under_way.popleft()
        return blocks.of(begin, block_end, [sound.result() for sound in sounds])

    pool = ThreadPoolExecutor(count, thread_name_prefix="decode")
    try:
        for block_end in ends:
            under_way.append((block_end, [voice.submit(pool, block_end) for voice in voices]))
            if len(under_way) > at_once:
                block = oldest(begin)
                begin += len(block.mix)
                yield block
        while under_way:
            block = oldest(begin)
            begin += len(block.mix)
            yield block
    finally:
        pool.shutdown(cancel_futures=True)


def available_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _block_ends(voices: Sequence[Voice], steps: Iterable[Step], begin: int, end: int) -> Iterator[int]:
    """Give the voices their packets; tell each end of a block when all that belongs before it is there."""
    by_speaker = {voice.speaker: voice for voice in voices}
    for step in steps:
        for speaker, placed in step.placed.items():
            if speaker in by_speaker:
                by_speaker[speaker].add(placed)
        settled = end if step.share == 1.0 else step.settled - BLOCK_SAMPLES
        while begin < end and (block_end := min(end, (begin // BLOCK_SAMPLES + 1) * BLOCK_SAMPLES)) <= settled:
            yield block_end
            begin = block_end
        if begin >= end:
            return


class _Blocks:
    """Puts the voices of one moment together."""

    def __init__(self, voices: Sequence[Voice]) -> None:
        self._names = [voice.speaker.file_name for voice in voices]
        self._mixer = Mixer(max((voice.channels for voice in voices), default=1))

    def of(self, begin: int, end: int, sounds: Sequence[Samples]) -> Block:
        mix = self._mixer.mix(sounds, end - begin)
        return Block(begin, dict(zip(self._names, sounds, strict=True)), mix)
