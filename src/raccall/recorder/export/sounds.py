"""Writes all sound files of an export in one pass through the recording."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from raccall.recorder.attribution import Speaker
from raccall.recorder.decoding import Heard
from raccall.recorder.export.draft import Draft
from raccall.recorder.export.formats import Depth, Format, Samples, SoundOut, open_sound
from raccall.recorder.export.level import Level
from raccall.recorder.export.plan import SoundFile
from raccall.recorder.loudness import gain_to
from raccall.recorder.placement import Progress
from raccall.recorder.sound import RecordedSound

_DECODING = 0.8
"""Share of the work that is done when everything is decoded and what must be levelled is left to write."""


def write_sounds(
    sound: RecordedSound, files: Sequence[SoundFile], folder: Path, *, format: Format, depth: Depth, progress: Progress
) -> dict[str, float]:
    """Make `files` in `folder`. Returns by how many dB each was made louder. Raises OSError, StorageError."""
    for file in files:
        if file.copied_from:
            shutil.copyfile(file.copied_from, folder / file.name)
    decoded = [file for file in files if not file.copied_from]
    gains_db = dict.fromkeys((file.name for file in files), 0.0)
    if decoded:
        tags = {"album": sound.start.room, "date": sound.start.wall} if sound.start else {}
        with ExitStack() as opened:
            gains_db |= _write(sound, decoded, _Opener(folder, format, depth, sound.frames, tags, opened), progress)
    progress(1.0)
    return gains_db


def _write(sound: RecordedSound, files: Sequence[SoundFile], opener: "_Opener", progress: Progress) -> dict[str, float]:
    """Decode once. What must be levelled is set aside until its loudness is known."""
    lanes = {file.speaker: opener.lane(file, 0.0) for file in files if file.lufs is None}
    drafts = {file.speaker: opener.draft(file) for file in files if file.lufs is not None}
    decoding = _DECODING if drafts else 1.0
    outs: dict[Speaker | None, Heard] = {speaker: lane.write for speaker, lane in lanes.items()}
    outs |= {speaker: draft.write for speaker, draft in drafts.items()}
    heard = {speaker: write for speaker, write in outs.items() if speaker}
    for block in sound.blocks(heard=heard, progress=lambda share: progress(decoding * share)):
        if None in outs:
            outs[None](block.mix)
    for lane in lanes.values():
        lane.finish()
    gains_db: dict[str, float] = {}
    for file in files:
        if file.lufs is None:
            continue
        draft = drafts[file.speaker]
        gains_db[file.name] = gain_to(file.lufs, draft.lufs)
        lane = opener.lane(file, gains_db[file.name])
        for piece in draft.pieces():
            lane.write(piece)
        lane.finish()
        draft.close()
        progress(decoding + (1 - decoding) * len(gains_db) / len(drafts))
    return gains_db


@dataclass(frozen=True, slots=True)
class _Opener:
    """Begins the files of one export; `opened` closes them."""

    folder: Path
    format: Format
    depth: Depth
    frames: int
    tags: Mapping[str, str]
    opened: ExitStack

    def lane(self, file: SoundFile, gain_db: float) -> "_Lane":
        out = open_sound(
            self.folder / file.name,
            self.format,
            depth=self.depth,
            channels=file.channels,
            frames=self.frames,
            tags={"title": file.title, **self.tags},
        )
        self.opened.callback(out.close)
        return _Lane(Level(file.channels, gain_db, limited=file.limited, int16=out.int16), out)

    def draft(self, file: SoundFile) -> Draft:
        draft = Draft(self.folder / f".{file.name}.f32", file.channels)
        self.opened.callback(draft.close)
        return draft


@dataclass(frozen=True, slots=True)
class _Lane:
    """From decoded sound to a file."""

    level: Level
    out: SoundOut

    def write(self, frames: Samples) -> None:
        self.out.write(self.level.push(frames))

    def finish(self) -> None:
        if (rest := self.level.finish()) is not None:
            self.out.write(rest)
        self.out.finish()
