"""A recording's folder as a Python value: who spoke, when, and how it sounds, as numpy arrays.

    recording = Recording.open("monday")
    for speaker in recording.speakers:
        print(speaker.name, recording.frames(speaker.name).shape)

Everything comes from journal and events, so a recording whose recorder was killed, or that was never rendered, opens as
well. Sound is decoded when it is asked for; `blocks` gives it second by second, in memory that does not grow.
"""

import io
import shutil
import wave
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from raccall.errors import InputError, StorageError
from raccall.recorder.attribution import Attribution, Speaker
from raccall.recorder.events import Event, Start, read_events
from raccall.recorder.forget import Forgotten, forget
from raccall.recorder.journal import JournalReader, TimeBase
from raccall.recorder.limiter import limited
from raccall.recorder.placement import EVENTS, JOURNAL, Progress, check_recording
from raccall.recorder.render import render
from raccall.recorder.segments import Segment, Segments, read_segments
from raccall.recorder.sound import Block, RecordedSound
from raccall.recorder.summary import Summary, read_summary
from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos
from raccall.voice.tap import Tap, TappedPacket

if TYPE_CHECKING:
    from raccall.recorder.export import Exported

Samples = NDArray[np.float32]

MAX_WAV_BYTES = (1 << 32) - (1 << 16)
"""A WAV file counts its bytes in 32 bits."""


class Recording:
    """One recording. Made by `Recording.open` or `raccall.record`.

    Samples are float32 in arrays of shape (frames, channels), 48 kHz, full scale ±1. All arrays of one recording begin
    at the same moment and are equally long; a recording in which nobody spoke has no frames.

    Speakers are named by what they are called, by their user id, or by `Speaker.file_name` where two share a name.

    Raises InputError and StorageError (`raccall.errors`), each with one sentence.
    """

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        """Use `Recording.open`. temporary: the folder is deleted together with this object."""
        self.path = path
        """The recording's folder."""
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)

    @classmethod
    def open(cls, path: str | PathLike[str]) -> "Recording":
        """Open a recording's folder. Raises InputError "not_a_recording", "recording_sealed"; StorageError."""
        folder = Path(path)
        with _reading(folder):
            check_recording(folder)
        return cls(folder)

    # ---- what is known ----

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened besides speech: joins, mutes, typed lines, gaps. See `raccall.recorder.events`."""
        with _reading(self.path):
            return tuple(read_events(self.path / EVENTS).events)

    @property
    def room(self) -> str:
        """Its name; empty when the events' first line is lost."""
        return self._start.room if self._start else ""

    @property
    def started(self) -> datetime | None:
        """When the recording began, UTC; None when the events' first line is lost."""
        return datetime.fromtimestamp(self._start.wall_ns / NANOS_PER_SECOND, UTC) if self._start else None

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Who spoke, in the order of their first words."""
        if self._rendered:
            return tuple(Speaker(p.user_id, p.name, Path(p.track).stem) for p in self._rendered.people)
        return self._sound.speakers

    @property
    def duration_s(self) -> float:
        """Length of every track and the mix, in seconds."""
        return self._rendered.duration_s if self._rendered else self._sound.frames / SAMPLE_RATE_HZ

    @property
    def summary(self) -> Summary:
        """People, durations, loss, gaps, corrections, damage. Renders the recording if nobody did yet."""
        return self._rendered or self.render()

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Who spoke when, in seconds from the beginning of the tracks, by beginning."""
        with _reading(self.path):
            try:
                return tuple(read_segments(self.path))
            except (FileNotFoundError, msgspec.DecodeError):
                found = Segments()
                for block in self._sound.blocks():
                    for speaker in self._sound.speakers:
                        found.add(speaker, block.position, block.voices[speaker.file_name])
                return tuple(found.finish(self._sound.frames))

    # ---- sound ----

    def mix(
        self, *, begin_s: float = 0.0, end_s: float | None = None, gains_db: Mapping[str, float] | None = None
    ) -> Samples:
        """Everyone together, never above full scale: shape (frames, 1), or (frames, 2) when anyone speaks in stereo.

        begin_s, end_s: the part to hear, in seconds from the beginning of the tracks.
        gains_db: louder or softer, by speaker.
        One hour takes 0.7 GB (mono); for long recordings see `blocks`.
        Raises InputError "speaker_unknown", "range_invalid"; StorageError.
        """
        with _reading(self.path):
            sound = RecordedSound(self.path, begin_s=begin_s, end_s=end_s, gains_db=gains_db)
            pieces = limited(block.mix for block in self._blocks(sound))
            return np.concatenate([np.zeros((0, sound.mix_channels), np.float32), *pieces])

    def frames(self, speaker: str, *, begin_s: float = 0.0, end_s: float | None = None) -> Samples:
        """One speaker alone, as decoded: shape (frames, 1), or (frames, 2) when they speak in stereo.

        Lost packets are recovered or concealed, pauses are zeros. One hour takes 0.7 GB (mono); see `blocks`.
        Raises InputError "speaker_unknown", "speaker_ambiguous", "range_invalid"; StorageError.
        """
        with _reading(self.path):
            sound = RecordedSound(self.path, speakers=[speaker], begin_s=begin_s, end_s=end_s)
            one = _only(sound, speaker)
            frames = np.zeros((sound.frames, sound.channels(one)), np.float32)
            for block in sound.blocks():
                voice = block.voices[one.file_name]
                at = block.position - sound.begin
                frames[at : at + len(voice)] = voice
            return frames

    def blocks(
        self,
        *,
        speakers: Collection[str] | None = None,
        begin_s: float = 0.0,
        end_s: float | None = None,
        gains_db: Mapping[str, float] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        """The sound second by second, in memory that does not grow with the recording's length.

        Each Block holds `position` (its first frame), `voices` (by Speaker.file_name, shape (frames, channels)) and
        `mix`, their sum, which may pass full scale. speakers: whom to hear; everyone when None.
        begin_s, end_s, gains_db: as for `mix`. progress: called with the share done, 0 to 1.
        Raises InputError "speaker_unknown", "range_invalid" at once; StorageError also on the way.
        """
        with _reading(self.path):
            sound = RecordedSound(self.path, speakers=speakers, begin_s=begin_s, end_s=end_s, gains_db=gains_db)
        return self._blocks(sound, progress)

    def _blocks(self, sound: RecordedSound, progress: Progress | None = None) -> Iterator[Block]:
        with _reading(self.path):
            if sound.speakers:
                yield from sound.blocks(progress=progress)

    def wav_bytes(self, *, begin_s: float = 0.0, end_s: float | None = None) -> bytes:
        """The mix as a WAV file: 16 bit, 48 kHz, mono or stereo. Valid and empty when nobody spoke.

        Raises InputError "too_long_for_wav" beyond 4 GiB (12 hours of mono): `export` writes longer ones;
        "range_invalid"; StorageError.
        """
        with _reading(self.path):
            sound = RecordedSound(self.path, begin_s=begin_s, end_s=end_s)
            if sound.frames * sound.mix_channels * 2 > MAX_WAV_BYTES:
                raise InputError("too_long_for_wav", "This is too long for one WAV file; take a part, or export it.")
            buffer = io.BytesIO()
            with wave.open(buffer, "wb") as file:
                file.setnchannels(sound.mix_channels)
                file.setsampwidth(2)
                file.setframerate(SAMPLE_RATE_HZ)
                for piece in limited(block.mix for block in self._blocks(sound)):
                    file.writeframes(np.rint(piece * 32767).astype("<i2").tobytes())
            return buffer.getvalue()

    # ---- packets ----

    def packets(self, speaker: str | None = None) -> Iterator[TappedPacket]:
        """Every packet as received, in the order of arrival; with `speaker`, theirs alone.

        Raises, when the first is asked for, InputError "speaker_unknown", "speaker_ambiguous"; StorageError.
        """
        with _reading(self.path):
            attribution = Attribution(self.events)
            wanted = None
            if speaker is not None:
                wanted = _only(RecordedSound(self.path, speakers=[speaker]), speaker)
            for packet in self._journal().packets():
                if attribution.speaker_of(packet.ssrc, packet.arrival) == wanted or wanted is None:
                    yield packet

    def replay(self) -> Tap:
        """The call once more: the Ticks that the recorder saw, as fast as they are read (`async for tick in ...`)."""
        return self._journal()

    # ---- what one can do with it ----

    def render(self, *, progress: Progress | None = None) -> Summary:
        """Make tracks, mix and summary in the folder, anew if they exist. progress: called with the share done, 0 to 1.

        Raises InputError "folder_in_use" (another command changes it), StorageError.
        """
        self.__dict__.pop("segments", None)
        summary = self._rendered = render(self.path, progress=progress)
        return summary

    def export(self, out: str | PathLike[str], **options: Any) -> "Exported":
        """Make files for other programs: `recording.export("monday.zip", format="flac", mix=True, zip=True)`.

        out and options: as `raccall.recorder.export.export` tells (format, depth, tracks, mix, speakers, gains_db,
        begin_s, end_s, lufs, segments, projects, zip, progress), with what it raises.
        """
        from raccall.recorder.export import export  # its encoders are worth loading only when they are used

        return export(self.path, Path(out), **options)

    def forget(self, speaker: str, *, progress: Progress | None = None) -> Forgotten:
        """Remove one speaker for good from what Raccall has made in the folder; Forgotten tells what may still hold
        them.

        speaker: as everywhere here, also one who never spoke. progress: called with the share done, 0 to 1.
        Raises InputError "speaker_unknown", "speaker_ambiguous", "folder_in_use"; StorageError. See
        `raccall.recorder.forget`.
        """
        try:
            return forget(self.path, speaker, progress=progress)
        finally:
            for name in ("events", "segments", "_rendered", "_sound", "_start"):
                self.__dict__.pop(name, None)

    def save(self, path: str | PathLike[str]) -> "Recording":
        """Copy the folder to `path`, which must not exist: how a temporary recording is kept. Returns the copy.

        Raises InputError "folder_exists", StorageError.
        """
        target = Path(path)
        if target.exists():
            raise InputError("folder_exists", f"{target} exists already.")
        with _reading(self.path):
            shutil.copytree(self.path, target)
        return Recording(target)

    def __repr__(self) -> str:
        if not self._rendered:
            return f"<Recording {str(self.path)!r}>"
        minutes, seconds = divmod(round(self.duration_s), 60)
        names = ", ".join(speaker.name for speaker in self.speakers) or "nobody spoke"
        return f"<Recording {str(self.path)!r}: {self.room}, {minutes}:{seconds:02d}, {names}>"

    # ---- read once ----

    @cached_property
    def _start(self) -> Start | None:
        return next((event for event in self.events if isinstance(event, Start)), None)

    @cached_property
    def _rendered(self) -> Summary | None:
        try:
            return read_summary(self.path)
        except (OSError, msgspec.DecodeError):
            return None

    @cached_property
    def _sound(self) -> RecordedSound:
        with _reading(self.path):
            return RecordedSound(self.path)

    def _journal(self) -> JournalReader:
        start = self._start
        return JournalReader(self.path / JOURNAL, TimeBase(Nanos(start.now), start.wall_ns) if start else None)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError("recording_unreadable", f"{folder} cannot be read: {error.strerror or error}.") from error


def _only(sound: RecordedSound, word: str) -> Speaker:
    """The one speaker that was asked for."""
    if len(sound.speakers) > 1:
        names = ", ".join(speaker.file_name for speaker in sound.speakers)
        raise InputError("speaker_ambiguous", f"{len(sound.speakers)} speakers are called {word}; say which: {names}.")
    return sound.speakers[0]
