"""A recording as sound: every speaker decoded, lost packets recovered or concealed, in blocks that fit together.

What mix, export, page and library have in common. Samples are float32 at 48 kHz; full scale is ±1, which nothing here
holds back: the sum of voices may pass it, and a limiter comes after.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from raccall.errors import InputError
from raccall.recorder.attribution import Speaker
from raccall.recorder.decoding import BLOCK_SAMPLES, Block, Heard, Voice, decode
from raccall.recorder.events import Start
from raccall.recorder.placement import Placement, Progress
from raccall.units import SAMPLE_RATE_HZ

__all__ = ["BLOCK_SAMPLES", "Block", "RecordedSound"]


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
        self._gains = {speaker: 1.0 for speaker in self.speakers}
        for word, gain_db in (gains_db or {}).items():
            for speaker in self._found(word):
                if speaker in self._gains:
                    self._gains[speaker] = 10 ** (gain_db / 20)
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

    def blocks(
        self, *, heard: Mapping[Speaker, Heard] | None = None, progress: Progress | None = None
    ) -> Iterator[Block]:
        """Everything in the range, in order, without holes. Memory does not grow with the length of the recording.

        heard: by speaker, what else is done with the sound of each, on all cores; see Heard.
        """
        heard = heard or {}
        voices = [
            Voice(
                speaker, self.channels(speaker), gain=self._gains[speaker], begin=self.begin, heard=heard.get(speaker)
            )
            for speaker in self.speakers
        ]
        for block in decode(voices, self._placement.steps(), self.begin, self.begin + self.frames, self._workers):
            yield block
            if progress:
                progress((block.position + len(block.mix) - self.begin) / self.frames)

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
