"""A sound that a member plays into the call: a file, or samples.

playback = await session.play("jingle.flac", gain_db=-6)
playback.stop()                # fades out
how = await playback.wait()    # Ended.FINISHED, ...

A file is read while it plays, two seconds ahead; the engine mixes it (`crates/engine/src/share.rs`).
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raccall.audio.files import Samples, read_blocks
from raccall.errors import InputError
from raccall.voice.engine import SharedSound

QUIETEST_DB, LOUDEST_DB = -60.0, 12.0
LOOK_EVERY_S = 0.05
"""The native thread tells nobody that it took something; two seconds wait for it."""

Source = str | os.PathLike[str] | NDArray[np.float32]


class Ended(StrEnum):
    """How a sound ended."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """By `stop`, or because eight others were begun after it."""
    MUTED = "muted"
    """The microphone was switched off."""
    LEFT = "left"
    """The call was."""


class Playback:
    """One sound that plays. Made by `Session.play`."""

    def __init__(
        self,
        name: str,
        first: Samples,
        following: Iterator[Samples],
        *,
        gain_db: float,
        monitored: bool,
        hand_over: Callable[[SharedSound], bool],
    ) -> None:
        """first, following: as `open_source` gives them. hand_over: to the running voice session; False: there is
        none at the moment."""
        self.name = name
        """Of the file, without folder and ending; "sound" for samples."""
        self._following = following
        self._gain_db = gain_db
        self._monitored = monitored
        self._hand_over = hand_over
        self._sound = self._new_sound()
        self._handed_over = False
        self._before_s = 0.0
        self._ended: Ended | None = None
        self._task = asyncio.create_task(self._play(first))
        self._task.add_done_callback(_note_error)

    @property
    def position_s(self) -> float:
        """Seconds of it that went out."""
        return self._before_s + self._sound.position_s

    @property
    def is_over(self) -> bool:
        """It plays no more; `wait` says how it ended."""
        return self._task.done()

    def stop(self, ended: Ended = Ended.STOPPED) -> None:
        """Fade out within 20 ms. What has ended stays as it is."""
        self._ended = self._ended or ended
        self._sound.stop()

    async def wait(self) -> Ended:
        """Until it is over. Raises InputError `unreadable_audio` if its file turned out to be damaged on the way."""
        return await asyncio.shield(self._task)

    def _new_sound(self) -> SharedSound:
        return SharedSound(gain_db=self._gain_db, monitored=self._monitored)

    async def _play(self, block: Samples) -> Ended:
        try:
            while self._ended is None:
                block = await self._fill(block)
                self._handed_over = self._handed_over or self._hand_over(self._sound)
                await asyncio.sleep(LOOK_EVERY_S)
                self._look()
            return self._ended
        finally:
            self._sound.stop()

    async def _fill(self, block: Samples) -> Samples:
        """Write until there is room for no more, or no more to write. What is left of the block."""
        while True:
            block = block[self._sound.write(block) :]
            if len(block):
                return block
            following = await asyncio.to_thread(next, self._following, None)
            if following is None:
                self._sound.complete()
                return block
            block = both_sides(following)

    def _look(self) -> None:
        match self._sound.ended:
            case None:
                return
            case "closed":  # the voice session is being made anew; the two seconds that were ready went with it
                self._before_s += self._sound.position_s
                self._sound, self._handed_over = self._new_sound(), False
            case ended:
                self._ended = self._ended or Ended(ended)


def open_source(source: Source) -> tuple[str, Samples, Iterator[Samples]]:
    """Name, first block and the following ones, each (n, 2). Blocks: it opens a file. Raises InputError."""
    if isinstance(source, np.ndarray):
        if source.ndim not in (1, 2) or (source.ndim == 2 and source.shape[1] not in (1, 2)) or not len(source):
            raise InputError("unsuitable_samples", f"Samples have the shape (n,) or (n, 2), these {source.shape}.")
        return "sound", both_sides(np.nan_to_num(source.astype(np.float32))), iter(())
    following = read_blocks(source, keep_stereo=True)
    return Path(source).stem, both_sides(next(following)), following


def both_sides(samples: Samples) -> Samples:
    """(n,), (n, 1) or (n, 2) as (n, 2), in one piece."""
    columns = samples.reshape(len(samples), -1)
    return np.ascontiguousarray(np.broadcast_to(columns, (len(samples), 2)))


def _note_error(task: "asyncio.Task[Ended]") -> None:
    """A damaged file is told by `wait`; who does not wait does not want to know."""
    if not task.cancelled():
        task.exception()
