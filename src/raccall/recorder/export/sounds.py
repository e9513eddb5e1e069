"""Writes all sound files of an export in one pass through the recording, after a pass to measure if any asks for it."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from raccall.recorder.attribution import Speaker
from raccall.recorder.export.formats import Depth, Format, Samples, SoundOut, open_sound
from raccall.recorder.export.level import Level
from raccall.recorder.export.plan import SoundFile
from raccall.recorder.loudness import LoudnessMeter, gain_to
from raccall.recorder.placement import Progress
from raccall.recorder.sound import Block, RecordedSound


def write_sounds(
    sound: RecordedSound, files: Sequence[SoundFile], folder: Path, *, format: Format, depth: Depth, progress: Progress
) -> dict[str, float]:
    """Make `files` in `folder`. Returns by how many dB each was made louder. Raises OSError, StorageError."""
    for file in files:
        if file.copied_from:
            shutil.copyfile(file.copied_from, folder / file.name)
    decoded = [file for file in files if not file.copied_from]
    measured = [file for file in decoded if file.lufs is not None]
    passes = bool(measured) + bool(decoded)
    gains_db = dict.fromkeys((file.name for file in files), 0.0)
    if measured:
        gains_db |= _measure(sound, measured, lambda share: progress(share / passes))
    if decoded:
        _write(sound, decoded, gains_db, folder, format, depth, lambda share: progress((passes - 1 + share) / passes))
    progress(1.0)
    return gains_db


def _measure(sound: RecordedSound, files: Sequence[SoundFile], progress: Progress) -> dict[str, float]:
    meters = {file.name: LoudnessMeter(file.channels) for file in files}
    for block in sound.blocks(progress=progress):
        for file in files:
            meters[file.name].add(_samples(block, file))
    return {file.name: gain_to(file.lufs, meters[file.name].lufs) for file in files if file.lufs is not None}


def _write(
    sound: RecordedSound,
    files: Sequence[SoundFile],
    gains_db: Mapping[str, float],
    folder: Path,
    format: Format,
    depth: Depth,
    progress: Progress,
) -> None:
    tags = {"album": sound.start.room, "date": sound.start.wall} if sound.start else {}
    with ExitStack() as opened:
        lanes: dict[Speaker | None, _Lane] = {}
        for file in files:
            out = open_sound(
                folder / file.name,
                format,
                depth=depth,
                channels=file.channels,
                frames=sound.frames,
                tags={"title": file.title, **tags},
            )
            level = Level(file.channels, gains_db[file.name], limited=file.limited, int16=out.int16)
            lanes[file.speaker] = _Lane(level, out)
            opened.callback(out.close)
        mix = lanes.get(None)
        heard = {speaker: lane.write for speaker, lane in lanes.items() if speaker}
        for block in sound.blocks(heard=heard, progress=progress):
            if mix:
                mix.write(block.mix)
        for lane in lanes.values():
            lane.finish()


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


def _samples(block: Block, file: SoundFile) -> Samples:
    return block.mix if file.speaker is None else block.voices[file.speaker.file_name]
