"""What was heard, as a file: mono, or stereo once somebody was heard in stereo."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from raccall.audio.files import BLOCK_FRAMES, SoundWriter
from raccall.errors import StorageError


class HeardWriter:
    """A SoundWriter for what a Sound with two `playback_channels` played.

    As long as left and right are equal, nobody sent stereo, and the file has one channel. With the first sound in which
    they differ it is written anew with two, once: an hour of WAV takes a second or two, and what an .opus file held is
    encoded a second time. Nothing is lost if that fails: the former file stays beside it, as `.NAME.mono.ENDING`.

    Raises what SoundWriter does, and StorageError `unwritable_audio` if the file cannot be written anew.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.channels = 1
        """Of the file, so far."""
        self._writer = SoundWriter(self.path)

    def write(self, frames: NDArray[np.float32]) -> None:
        """Append frames of shape (n, 2)."""
        if self.channels == 1:
            if np.array_equal(frames[:, 0], frames[:, 1]):
                self._writer.write(frames[:, 0])
                return
            self._widen()
        self._writer.write(frames)

    def close(self) -> None:
        """Complete the file. Closing again does nothing."""
        self._writer.close()

    def _widen(self) -> None:
        self._writer.close()
        mono = self.path.with_name(f".{self.path.stem}.mono{self.path.suffix}")
        try:
            self.path.replace(mono)
            self._writer = SoundWriter(self.path, channels=2)
            with soundfile.SoundFile(mono) as file:
                for block in file.blocks(BLOCK_FRAMES, dtype="float32"):
                    self._writer.write(np.stack([block, block], axis=1))
        except (OSError, soundfile.SoundFileError) as error:
            raise StorageError("unwritable_audio", f"{self.path} cannot be written anew in stereo: {error}.") from error
        self.channels = 2
        with suppress(OSError):  # a leftover harms nobody
            mono.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
