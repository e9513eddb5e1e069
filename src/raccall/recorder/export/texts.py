"""What an export writes beside the sound: who spoke when, and editor projects."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from raccall.recorder.export.captions import labels, webvtt
from raccall.recorder.export.formats import Format
from raccall.recorder.export.marks import Mark, marks_between, read_marks
from raccall.recorder.export.plan import SoundFile
from raccall.recorder.export.projects import Editor, ProjectTrack, project
from raccall.recorder.segments import Segment, Segments, encode_segments, read_segments
from raccall.recorder.sound import RecordedSound
from raccall.units import SAMPLE_RATE_HZ


class SegmentFormat(StrEnum):
    """How to write who spoke when."""

    JSON = "json"
    """segments.json, as rendering writes it."""
    VTT = "vtt"
    """WebVTT: captions with a voice tag."""
    LABELS = "labels"
    """Audacity's label file."""

    @property
    def file_name(self) -> str:
        """What is written."""
        return {"json": "segments.json", "vtt": "segments.vtt", "labels": "labels.txt"}[self]


def segment_texts(
    folder: Path, sound: RecordedSound, kinds: Collection[SegmentFormat], paths: Mapping[str, str]
) -> dict[str, bytes]:
    """File name and contents for each kind, of the chosen speakers and part.

    paths: where each speaker's sound lies now, by Speaker.file_name; else they are the recording's own tracks.
    """
    if not kinds:
        return {}
    segments, marks = _segments(folder, sound), _marks(folder, sound)
    written = {
        SegmentFormat.JSON: lambda: encode_segments(segments, paths),
        SegmentFormat.VTT: lambda: webvtt(segments, marks, sound.frames / SAMPLE_RATE_HZ).encode(),
        SegmentFormat.LABELS: lambda: labels(segments, marks).encode(),
    }
    return {kind.file_name: written[kind]() for kind in kinds}


def project_texts(
    folder: Path,
    sound: RecordedSound,
    editors: Collection[Editor],
    name: str,
    files: Sequence[SoundFile],
    format: Format,
) -> dict[str, bytes]:
    """File name and contents for each editor's project of that name."""
    marks = _marks(folder, sound)
    tracks = [ProjectTrack(file.title, file.name) for file in files if file.speaker]
    length_s = sound.frames / SAMPLE_RATE_HZ
    return {
        f"{name}.{editor.ending}": project(editor, name, tracks, format, length_s, marks).encode() for editor in editors
    }


def _range_s(sound: RecordedSound) -> tuple[float, float]:
    return sound.begin / SAMPLE_RATE_HZ, (sound.begin + sound.frames) / SAMPLE_RATE_HZ


def _marks(folder: Path, sound: RecordedSound) -> list[Mark]:
    return marks_between(read_marks(folder), *_range_s(sound))


def _segments(folder: Path, sound: RecordedSound) -> list[Segment]:
    """As rendering found them, or found now; of the chosen speakers, counted from the beginning of the part."""
    begin_s, end_s = _range_s(sound)
    try:
        everything = read_segments(folder)
    except (FileNotFoundError, msgspec.DecodeError):
        return _listen(sound)
    chosen = {speaker.file_name for speaker in sound.speakers}
    return [
        Segment(s.user_id, s.name, s.file_name, _since(begin_s, s.begin_s), _since(begin_s, min(s.end_s, end_s)))
        for s in everything
        if s.file_name in chosen and s.end_s > begin_s and s.begin_s < end_s
    ]


def _listen(sound: RecordedSound) -> list[Segment]:
    found = Segments()
    for block in sound.blocks():
        for speaker in sound.speakers:
            found.add(speaker, block.position - sound.begin, block.voices[speaker.file_name])
    return found.finish(sound.frames)


def _since(begin_s: float, at_s: float) -> float:
    return round(max(at_s - begin_s, 0.0), 3)
