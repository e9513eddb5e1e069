"""Sound files of five formats, written as sound comes: libsndfile encodes all but Opus, which is ours (`opus_file.py`).

All are sample-exact: a decoder that reads the file's own information puts out as many samples as went in, the first
one first. MP3 alone needs a decoder that knows the LAME header; one that does not plays 24 to 48 ms of silence first.
"""

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from raccall.errors import InputError, StorageError
from raccall.recorder.export.opus_file import OpusFile
from raccall.units import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

MAX_RIFF_BYTES = 2**32 - 1 - 64 * 1024
"""A RIFF file counts its bytes in 32 bits; 64 KiB are left for its head. Longer sound goes into RF64 (EBU Tech 3306),
which editors open as WAV."""


class Format(StrEnum):
    """A sound file's format; also its name's ending."""

    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    OPUS = "opus"
    OGG = "ogg"
    """Vorbis."""


class Depth(StrEnum):
    """How a sample is stored in WAV and FLAC."""

    INT_16 = "16"
    INT_24 = "24"
    FLOAT = "float"
    """32 bits, not limited to full scale. WAV only."""


_PCM = {Depth.INT_16: "PCM_16", Depth.INT_24: "PCM_24", Depth.FLOAT: "FLOAT"}
_SAMPLE_BYTES = {Depth.INT_16: 2, Depth.INT_24: 3, Depth.FLOAT: 4}


class SoundOut(Protocol):
    """A sound file that grows."""

    int16: bool
    """Whether it takes 16 bit integers instead of float32."""

    def write(self, frames: Samples | NDArray[np.int16]) -> None:
        """Append samples of shape (n, channels), contiguous. Raises OSError or StorageError."""

    def finish(self) -> None:
        """Complete the file. Raises OSError or StorageError."""

    def close(self) -> None:
        """Let go of it, complete or not."""


def check_depth(format: Format, depth: Depth) -> None:
    """Raise InputError "depth_unsupported" for a format that cannot store samples so."""
    if depth is Depth.FLOAT and format is not Format.WAV:
        raise InputError("depth_unsupported", f"{format.upper()} does not hold floating point; WAV does.")


def open_sound(
    path: Path,
    format: Format,
    *,
    depth: Depth,
    channels: int,
    frames: int,
    tags: dict[str, str],
    max_riff_bytes: int = MAX_RIFF_BYTES,
) -> SoundOut:
    """Begin a new 48 kHz file.

    frames: how many samples a channel will be written; tells whether WAV must become RF64.
    tags: "title", "album" and "date", for players. Raises OSError, StorageError.
    """
    if format is Format.OPUS:
        return OpusFile(path, channels=channels, frames=frames, tags=tags)
    container, encoding = _encoding(format, depth)
    if format is Format.WAV and frames * channels * _SAMPLE_BYTES[depth] > max_riff_bytes:
        container = "RF64"
    return _LibsndfileFile(path, container, encoding, channels, tags)


def _encoding(format: Format, depth: Depth) -> tuple[str, str]:
    """libsndfile's words."""
    match format:
        case Format.WAV | Format.FLAC:
            return format.upper(), _PCM[depth]
        case Format.MP3:
            return "MP3", "MPEG_LAYER_III"
        case _:
            return "OGG", "VORBIS"


class _Writer(soundfile.SoundFile):  # type: ignore[misc]
    """Does not wait for the disk when it is closed, for each file in turn; what is not encoded yet is written then."""

    def flush(self) -> None:
        """Leave it to the system when to write."""


class _LibsndfileFile:
    def __init__(self, path: Path, container: str, encoding: str, channels: int, tags: dict[str, str]) -> None:
        path.open("xb").close()  # says why in words; libsndfile says "System error."
        self._path = path
        self.int16 = encoding == "PCM_16"  # libsndfile's own way from floating point takes many times as long
        self._dtype = "int16" if self.int16 else "float32"
        try:
            self._file = _Writer(path, "w", SAMPLE_RATE_HZ, channels, encoding, format=container)
            for name, value in tags.items():
                if value:  # libsndfile takes no empty text
                    setattr(self._file, name, value)
        except soundfile.LibsndfileError as error:
            raise self._failed() from error

    def write(self, frames: Samples | NDArray[np.int16]) -> None:
        try:
            self._file.buffer_write(frames.data, self._dtype)
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all was written
            raise self._failed() from error

    def finish(self) -> None:
        try:
            self._file.close()
        except soundfile.LibsndfileError as error:
            raise self._failed() from error

    def close(self) -> None:
        with suppress(soundfile.LibsndfileError):
            self._file.close()

    def _failed(self) -> StorageError:
        return StorageError("export_failed", f"{self._path.name} cannot be written to its end: is the disk full?")
