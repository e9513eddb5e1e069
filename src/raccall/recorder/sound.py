"""A recording as sound: every speaker decoded, lost packets recovered or concealed, in blocks that fit together.

What mix, export, page and library have in common. Samples are float32 at 48 kHz; full scale is ±1, which nothing here
holds back: the sum of voices may pass it, and a limiter comes after.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raccall.errors import InputError
from raccall.recorder.attribution import Speaker
from raccall.recorder.events import Start
from raccall.recorder.mix import SpeakerSound
from raccall.recorder.ogg import PRE_SKIP_SAMPLES
from raccall.recorder.placement import Placement, Progress, Step
from raccall.recorder.timeline import Placed
from raccall.units import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

BLOCK_SAMPLES = SAMPLE_RATE_HZ
"""Length of a Block. They lie on whole seconds whatever the range, so that a part sounds exactly like the whole."""


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


class RecordedSound:
    """The sound of a recording's folder; `blocks` may be run any number of times.

    speakers: file names, names or user ids of those to hear; all when None.
    gains_db: by the same words.
    begin_s, end_s: the part to hear, in seconds from the beginning of the tracks; up to the end when None.
    workers: how many threads decode; as many as there are cores when None. The samples do not depend on it.

    Raises InputError "not_a_recording", "speaker_unknown", "range_invalid"; OSError when the folder cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        speakers: Collection[str] | None = None,
        gains_db: Mapping[str, float] | None = None,
        begin_s: float = 0.0,
        end_s: float | None = None,
        workers: int | None = None,
    ) -> None:
        self._placement = Placement(folder)
        self._workers = workers
        self.speakers = self._chosen(speakers)
        """Those to hear, in the order of their first packets."""
        self.start: Start | None = self._placement.start
        """How the recording began; None when the events' first line is lost."""
        self._gains = {speaker: np.float32(1.0) for speaker in self.speakers}
        for word, gain_db in (gains_db or {}).items():
            for speaker in self._found(word):
                if speaker in self._gains:
                    self._gains[speaker] = np.float32(10 ** (gain_db / 20))
        length_s = self._placement.length / SAMPLE_RATE_HZ
        last_s = length_s if end_s is None else min(end_s, length_s)
        if not 0 <= begin_s < last_s:  # so written, it is also true of what is no number
            asked = f"{begin_s:g} s to {'the end' if end_s is None else f'{end_s:g} s'}"
            raise InputError("range_invalid", f"There is nothing from {asked}: this recording lasts {length_s:.1f} s.")
        self.begin = int(begin_s * SAMPLE_RATE_HZ)
        """Position of the first sample."""
        self.frames = max(round(last_s * SAMPLE_RATE_HZ) - self.begin, 1)
        """Length of the range in samples."""

    def channels(self, speaker: Speaker) -> int:
        """1 or 2: the shape of this speaker's voice."""
        return self._placement.channels(speaker)

    @property
    def mix_channels(self) -> int:
        """1, or 2 when any chosen speaker has two."""
        return max((self.channels(speaker) for speaker in self.speakers), default=1)

    def blocks(self, *, progress: Progress | None = None) -> Iterator[Block]:
        """Everything in the range, in order, without holes. Memory does not grow with the length of the recording."""
        lanes = {speaker: _Lane() for speaker in self.speakers}
        end = self.begin + self.frames
        position = self.begin
        for step in self._steps():
            for speaker, placed in step.placed.items():
                for one in placed if speaker in lanes else ():
                    lanes[speaker].add(one)
            settled = end if step.share == 1.0 else step.settled - PRE_SKIP_SAMPLES
            while position < end and (block_end := min(end, _next_border(position))) <= settled:
                yield self._block(lanes, position, block_end)
                position = block_end
                if progress:
                    progress((position - self.begin) / self.frames)

    def _steps(self) -> Iterator[Step]:
        return self._placement.steps()

    def _block(self, lanes: Mapping[Speaker, "_Lane"], begin: int, end: int) -> Block:
        mix = np.zeros((end - begin, self.mix_channels), np.float32)
        voices = {}
        for speaker, lane in lanes.items():
            voice = lane.take(begin, end) * self._gains[speaker]
            voice = np.repeat(voice[:, None], self.channels(speaker), axis=1)
            mix += voice
            voices[speaker.file_name] = voice
        return Block(begin, voices, mix)

    def _chosen(self, words: Collection[str] | None) -> tuple[Speaker, ...]:
        if words is None:
            return self._placement.speakers
        found = {speaker for word in words for speaker in self._found(word)}
        return tuple(speaker for speaker in self._placement.speakers if speaker in found)

    def _found(self, word: str) -> list[Speaker]:
        everyone = self._placement.speakers
        found = [s for s in everyone if word == s.file_name]
        found = found or [s for s in everyone if word in (s.name, s.user_id)]
        if not found:
            names = ", ".join(speaker.file_name for speaker in everyone) or "nobody"
            raise InputError("speaker_unknown", f"Nobody here is called {word!r}. Those who spoke: {names}.")
        return found


class _Lane:
    """One speaker's sound as it is decoded, until a Block takes it."""

    def __init__(self) -> None:
        self._sound = SpeakerSound()
        self._begin = 0
        self._samples = np.zeros(0, np.float32)

    def add(self, placed: Placed) -> None:
        for position, samples in self._sound.add(placed):
            at = position - PRE_SKIP_SAMPLES - self._begin
            if at < 0:
                samples, at = samples[-at:], 0
            missing = at + len(samples) - len(self._samples)
            if missing > 0:
                self._samples = np.concatenate([self._samples, np.zeros(missing + SAMPLE_RATE_HZ, np.float32)])
            self._samples[at : at + len(samples)] += samples

    def take(self, begin: int, end: int) -> Samples:
        """The sound from `begin` to `end`; what was before is forgotten."""
        taken = np.zeros(end - begin, np.float32)
        part = self._samples[begin - self._begin : end - self._begin]
        taken[: len(part)] = part
        self._samples = self._samples[end - self._begin :]
        self._begin = end
        return taken


def _next_border(position: int) -> int:
    return (position // BLOCK_SAMPLES + 1) * BLOCK_SAMPLES
