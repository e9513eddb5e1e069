"""Sound files: read whatever people have as float32, mono or stereo, write 48 kHz as it comes."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from raccall.errors import InputError, StorageError
from raccall.units import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
"""Mono, shape (n,); stereo where that is said, (n, 2); within ±1."""

BLOCK_FRAMES = 1 << 16  # of reading: memory beside the result stays small, whatever the file's channels and rate

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".opus": ("OGG", "OPUS"),
    ".ogg": ("OGG", "OPUS"),
}
"""What SoundWriter writes, by the name's ending: libsndfile's container and encoding."""


def read_samples(
    path: str | os.PathLike[str], sample_rate_hz: int = SAMPLE_RATE_HZ, *, keep_stereo: bool = False
) -> Samples:
    """Read a sound file (WAV, FLAC, Ogg Opus and what else libsndfile knows) at `sample_rate_hz`, mono or stereo.

    Channels are averaged, but for those of a file with two where `keep_stereo` is asked for; another rate is converted
    by soxr's high quality; values are cut to ±1, and what is no number (a broken float file) is silence.

    Raises InputError `unreadable_audio` if there is no such file, it is no sound, is damaged, or holds no sound.
    """
    return np.concatenate(list(read_blocks(path, sample_rate_hz, keep_stereo=keep_stereo)))


def read_blocks(
    path: str | os.PathLike[str], sample_rate_hz: int = SAMPLE_RATE_HZ, *, keep_stereo: bool = False
) -> Iterator[Samples]:
    """The same, about a second at a time: of a file however long only that much is in memory.

    Nothing is opened before the first block is asked for. Raises InputError as `read_samples` does, at any block.
    """
    path = Path(path)
    length = 0
    try:
        with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
            channels = 2 if keep_stereo and file.channels == 2 else 1
            for block in _blocks(file, channels, sample_rate_hz):
                length += len(block)
                if len(block):
                    yield block
    except OSError as error:
        raise InputError("unreadable_audio", f"{path} cannot be opened: {_reason(error)}.") from error
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a name ending in .raw says nothing of the rate
        reason = "it is no WAV, FLAC or Ogg Opus, or is damaged"
        raise InputError("unreadable_audio", f"{path} cannot be read as sound: {reason}.") from error
    if not length:
        raise InputError("unreadable_audio", f"{path} holds no sound.")


def _blocks(file: soundfile.SoundFile, channels: int, sample_rate_hz: int) -> Iterator[Samples]:
    convert = None
    if file.samplerate != sample_rate_hz:
        convert = soxr.ResampleStream(file.samplerate, sample_rate_hz, channels, dtype="float32", quality="HQ")
    last = False
    while not last:
        frames = file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        last = len(frames) < BLOCK_FRAMES
        sound = np.nan_to_num(frames, nan=0.0, posinf=1.0, neginf=-1.0)
        if channels == 1:
            sound = sound.mean(axis=1, dtype=np.float32)
        block = sound if convert is None else convert.resample_chunk(sound, last=last)
        yield np.clip(block, -1.0, 1.0)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


class SoundWriter:
    """A 48 kHz sound file that grows as sound comes: 16 bit WAV or FLAC, or Ogg Opus, by the name's ending.

    A context manager; the file is complete once closed. A WAV file ends at 4 GiB, after 12 hours of mono: take FLAC.

    Raises InputError `unknown_audio_format` for another ending, StorageError `unwritable_audio` if the file cannot be
    made or the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str], channels: int = 1) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in FORMATS:
            endings = ", ".join(FORMATS)
            raise InputError("unknown_audio_format", f"{self.path} does not end in one of {endings}.")
        container, encoding = FORMATS[self.path.suffix.lower()]
        try:
            self.path.open("wb").close()  # says why in words; libsndfile says "System error."
            self._file = soundfile.SoundFile(self.path, "w", SAMPLE_RATE_HZ, channels, encoding, format=container)
        except OSError as error:
            raise StorageError("unwritable_audio", f"{self.path} cannot be written: {_reason(error)}.") from error
        except soundfile.LibsndfileError as error:
            raise self._full() from error

    def write(self, frame: NDArray[np.float32]) -> None:
        """Append a frame: (n, channels), or (n,) if mono; what passes ±1 is cut."""
        try:
            self._file.write(np.clip(frame, -1.0, 1.0))
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all was written
            raise self._full() from error

    def close(self) -> None:
        """Complete the file. Closing again does nothing."""
        try:
            self._file.close()
        except soundfile.LibsndfileError as error:
            raise self._full() from error

    def _full(self) -> StorageError:
        return StorageError("unwritable_audio", f"{self.path} cannot be written to its end: is the disk full?")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
