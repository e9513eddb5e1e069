"""Who spoke when: from each speaker's decoded sound to stretches of speech, written as segments.json.

Policy
------
An open microphone sends noise all day, so packets alone do not tell speech; and the level that a sender may put into
the RTP header (RFC 6464) is its own opinion. What was decoded is judged, in frames of 20 ms:

- The *floor* is the level that a tenth of a speaker's sounding frames stay below, of the ten seconds before and after
  a frame. Steady noise lies a few dB around it; of speech, whose words rise 20 to 30 dB above its pauses, it is the
  pauses.
- Speech begins with 60 ms at least 12 dB above the floor (so a click is none), and goes on while frames are 6 dB above
  it. Under -55 dBFS nothing is speech.
- It ends when half a second brought nothing: a breath does not cut a sentence in two. A segment begins 100 ms before
  the first loud frame and ends 200 ms after the last, because consonants are quiet.

Memory is constant in length but for the segments found.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from raccall.recorder.attribution import Speaker
from raccall.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

FILE_NAME = "segments.json"
FORMAT_VERSION = 1

FLOOR_SHARE = 0.1
FLOOR_SECONDS = 10
"""Before and after."""
RISE_DB = 12
STAY_DB = 6
LEAST_DBFS = -55
BEGIN_FRAMES = 3
HANG_OVER_FRAMES = 25
BEFORE_FRAMES = 5
AFTER_FRAMES = 10

_SILENT_DBFS = -90
"""Below it there is no sound at all: a pause without packets, which says nothing about a microphone's noise."""
_FRAMES_PER_SECOND = SAMPLE_RATE_HZ // FRAME_SAMPLES


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of speech."""

    user_id: str
    """Empty for a voice whose owner was never told."""
    name: str
    file_name: str
    """Of the track, without folder and ending."""
    begin_s: float
    """From the beginning of the tracks."""
    end_s: float


class Segments:
    """Collects the segments of all speakers while their sound is decoded."""

    def __init__(self) -> None:
        self._speakers: dict[Speaker, _Speech] = {}

    def add(self, speaker: Speaker, position: int, samples: NDArray[np.float32]) -> None:
        """Look at a piece of one speaker's sound.

        position: of its first sample, from the beginning of the tracks, before which nothing is looked at. Not before
            the end of the speaker's last piece.
        samples: float32, 48 kHz, shape (n,) or (n, channels).
        """
        if speaker not in self._speakers:
            self._speakers[speaker] = _Speech()
        self._speakers[speaker].add(max(position, 0), samples[max(-position, 0) :])

    def finish(self, length: int) -> list[Segment]:
        """All segments, by their beginning; none ends after `length` samples. Nothing may be added afterwards."""
        found = [
            Segment(speaker.user_id, speaker.name, speaker.file_name, _seconds(begin), _seconds(min(end, length)))
            for speaker, speech in self._speakers.items()
            for begin, end in speech.finish()
            if begin < length
        ]
        return sorted(found, key=lambda segment: (segment.begin_s, segment.end_s, segment.file_name))


class _Speech:
    """One speaker's sound in, (begin, end) in samples out."""

    def __init__(self) -> None:
        self._second = 0
        self._sound = np.zeros((SAMPLE_RATE_HZ, 1), np.float32)
        self._waiting: deque[tuple[int, NDArray[np.int64]]] = deque()  # seconds not yet decided: number, levels
        self._window: deque[tuple[int, NDArray[np.int64]]] = deque()  # seconds the floor is taken of: number, counts
        self._counts = np.zeros(1 - _SILENT_DBFS, np.int64)
        self._loud_frames = 0
        self._begin: int | None = None
        self._last_speech = 0
        self._found: list[tuple[int, int]] = []

    def add(self, position: int, samples: NDArray[np.float32]) -> None:
        """A piece may cross seconds, and leave some out."""
        frames = samples.reshape(len(samples), -1)
        while len(frames):
            second, at = divmod(position, SAMPLE_RATE_HZ)
            if second != self._second:
                self._measure()
                self._second = second
            if self._sound.shape[1] != frames.shape[1]:
                self._sound = np.zeros((SAMPLE_RATE_HZ, frames.shape[1]), np.float32)
            part = frames[: SAMPLE_RATE_HZ - at]
            self._sound[at : at + len(part)] = part
            position += len(part)
            frames = frames[len(part) :]

    def finish(self) -> list[tuple[int, int]]:
        self._measure()
        while self._waiting:
            self._decide()
        self._end_speech()
        return self._found

    def _measure(self) -> None:
        """Take the levels of the second that is complete."""
        power = np.square(self._sound).reshape(_FRAMES_PER_SECOND, -1).mean(axis=1)
        self._sound[:] = 0
        levels = (10 * np.log10(np.maximum(power, 1e-10))).round().astype(np.int64).clip(_SILENT_DBFS, 0)
        counts = np.bincount(levels - _SILENT_DBFS, minlength=1 - _SILENT_DBFS)
        counts[0] = 0
        self._waiting.append((self._second, levels))
        self._window.append((self._second, counts))
        self._counts += counts
        while self._waiting and self._waiting[0][0] <= self._second - FLOOR_SECONDS:
            self._decide()

    def _decide(self) -> None:
        """Find speech in the oldest second."""
        second, levels = self._waiting.popleft()
        while self._window[0][0] < second - FLOOR_SECONDS:
            self._counts -= self._window.popleft()[1]
        upto = np.cumsum(self._counts)
        floor = int(np.searchsorted(upto, FLOOR_SHARE * upto[-1], side="right")) + _SILENT_DBFS
        rise = max(floor + RISE_DB, LEAST_DBFS)
        stay = max(floor + STAY_DB, LEAST_DBFS)
        for frame, level in enumerate(levels.tolist(), second * _FRAMES_PER_SECOND):
            if self._begin is not None and frame - self._last_speech > HANG_OVER_FRAMES:
                self._end_speech()
            self._loud_frames = self._loud_frames + 1 if level >= rise else 0
            if self._begin is None and self._loud_frames >= BEGIN_FRAMES:
                self._begin = frame + 1 - self._loud_frames
            if self._begin is not None and level >= stay:
                self._last_speech = frame

    def _end_speech(self) -> None:
        if self._begin is None:
            return
        begin = max(self._begin - BEFORE_FRAMES, self._found[-1][1] // FRAME_SAMPLES if self._found else 0)
        end = self._last_speech + 1 + AFTER_FRAMES
        self._found.append((begin * FRAME_SAMPLES, end * FRAME_SAMPLES))
        self._begin = None


class _Line(msgspec.Struct, frozen=True):
    """A segment as it stands in the file."""

    begin_s: float
    end_s: float
    name: str
    user_id: str
    track: str


class _File(msgspec.Struct, frozen=True):
    segments: list[_Line]
    format: int = FORMAT_VERSION


def write_segments(folder: Path, segments: Iterable[Segment]) -> None:
    """Write segments.json, for people and for programs that transcribe. Raises OSError."""
    (folder / FILE_NAME).write_bytes(encode_segments(segments))


def encode_segments(segments: Iterable[Segment], paths: Mapping[str, str] | None = None) -> bytes:
    """The contents of segments.json.

    paths: of the speakers' sound files by Speaker.file_name; those that are missing are the recording's own tracks.
    """
    of_tracks = paths or {}
    lines = [
        _Line(s.begin_s, s.end_s, s.name, s.user_id, of_tracks.get(s.file_name, f"tracks/{s.file_name}.opus"))
        for s in segments
    ]
    return msgspec.json.format(msgspec.json.encode(_File(lines)), indent=2) + b"\n"


def read_segments(folder: Path) -> list[Segment]:
    """Read segments.json. Raises OSError, msgspec.DecodeError."""
    lines = msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=_File).segments
    return [Segment(line.user_id, line.name, Path(line.track).stem, line.begin_s, line.end_s) for line in lines]


def _seconds(samples: int) -> float:
    return round(samples / SAMPLE_RATE_HZ, 3)
