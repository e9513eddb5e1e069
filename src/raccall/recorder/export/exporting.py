"""A recording as files for other programs: sound of five formats, editor projects, who spoke when; loose or in a ZIP.

Everything is made in a hidden folder beside its destination and moved when all of it is complete, so an export that
fails or is interrupted leaves nothing behind. Nothing is overwritten, and the recording is only read.
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raccall.errors import InputError, StorageError
from raccall.recorder.export.archive import pack
from raccall.recorder.export.formats import Depth, Format, check_depth
from raccall.recorder.export.plan import Loudness, SoundFile, plan_files
from raccall.recorder.export.projects import Editor, check_project_format, data_folder
from raccall.recorder.export.sounds import write_sounds
from raccall.recorder.export.texts import SegmentFormat, project_texts, segment_texts
from raccall.recorder.placement import JOURNAL, Progress
from raccall.recorder.render import TRACKS
from raccall.recorder.sound import RecordedSound
from raccall.units import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file made."""

    path: str
    """In the folder or ZIP."""
    speaker: str
    """Their name; empty for the mix, and for what is no sound."""
    gain_db: float
    """Made louder by so much, to reach the loudness asked for."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export made."""

    path: Path
    """The folder, or the ZIP."""
    duration_s: float
    """Of each sound file."""
    files: tuple[ExportedFile, ...]


def export(
    folder: Path,
    out: Path,
    *,
    format: Format | str = Format.WAV,
    depth: Depth | str = Depth.INT_16,
    tracks: bool = True,
    mix: bool = False,
    speakers: Collection[str] | None = None,
    gains_db: Mapping[str, float] | None = None,
    begin_s: float = 0.0,
    end_s: float | None = None,
    lufs: Loudness = "usual",
    segments: Collection[SegmentFormat | str] = (),
    projects: Collection[Editor | str] = (),
    zip: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Make files of a recording.

    folder: a recording. out: a folder, made if needed, in which no file may be overwritten; with `zip` a new file.
    format, depth: of every sound file; depth for WAV and FLAC.
    tracks, mix: one file per speaker; one of everybody. All begin at the same sample and are equally long.
    speakers, gains_db, begin_s, end_s, workers: as in RecordedSound.
    lufs: see plan.Loudness. A limiter keeps all from clipping, but for floating point at its own loudness.
    segments, projects: beside the sound. A project needs `tracks`, which then lie in NAME_data.
    progress: called with the share done, 0 to 1.

    Raises InputError: "not_a_recording", "recording_sealed", "journal_not_kept", "speaker_unknown", "range_invalid",
    "depth_unsupported", "project_format", "lufs_out_of_range", "nothing_to_export", "output_exists". Raises
    StorageError "export_failed" when something cannot be read or written; nothing is left behind then.
    """
    format, depth, gains_db = Format(format), Depth(depth), gains_db or {}
    editors, kinds = [Editor(editor) for editor in projects], [SegmentFormat(kind) for kind in segments]
    check_depth(format, depth)
    if editors:
        check_project_format(format)
    _check_journal(folder)
    with _storage_errors(out):
        sound = RecordedSound(
            folder, speakers=speakers, gains_db=gains_db, begin_s=begin_s, end_s=end_s, workers=workers
        )
        files: list[SoundFile] = []
        if tracks or mix:
            whole = begin_s == 0 and end_s is None
            files = plan_files(
                folder,
                sound,
                format=format,
                depth=depth,
                tracks=tracks,
                mix=mix,
                lufs=lufs,
                whole=whole,
                gains=gains_db,
            )
        name = out.stem if zip else out.name
        sounds_in = data_folder(name) if editors else ""
        paths = {file.name: f"{sounds_in}/{file.name}" if sounds_in else file.name for file in files}
        texts = project_texts(folder, sound, editors, name, files, format)
        texts |= segment_texts(folder, sound, kinds, {f.speaker.file_name: paths[f.name] for f in files if f.speaker})
        contents = [*paths.values(), *texts]
        _check_free(out, contents, zip=zip)
        with _stage(out, zip=zip) as stage:
            (stage / sounds_in).mkdir(exist_ok=True)
            gains = write_sounds(
                sound, files, stage / sounds_in, format=format, depth=depth, progress=progress or (lambda share: None)
            )
            for file_name, text in texts.items():
                (stage / file_name).write_bytes(text)
            if zip:
                pack(stage, contents, stage / out.name)
                os.rename(stage / out.name, out)
            else:
                for path in contents:
                    (out / path).parent.mkdir(exist_ok=True)
                    os.rename(stage / path, out / path)
    made = [ExportedFile(paths[f.name], f.title if f.speaker else "", round(gains[f.name], 2)) for f in files]
    made += [ExportedFile(file_name, "", 0.0) for file_name in texts]
    return Exported(out, sound.frames / SAMPLE_RATE_HZ, tuple(made))


def _check_journal(folder: Path) -> None:
    """Say it well when only the tracks of a recording were kept: there is nothing to decode anew."""
    if (folder / TRACKS).is_dir() and not (folder / JOURNAL).exists():
        sentence = f"{folder} kept only what was made of it, without {JOURNAL}: take its tracks and mix as they are."
        raise InputError("journal_not_kept", sentence)


def _check_free(out: Path, contents: Collection[str], *, zip: bool) -> None:
    """Raise InputError rather than overwrite anything."""
    into_folder = not zip and (out.is_dir() or not out.exists())
    for path in [out / name for name in contents] if into_folder else [out]:
        if path.exists():
            raise InputError("output_exists", f"{path} exists already; it is not overwritten.")


@contextmanager
def _stage(out: Path, *, zip: bool) -> Iterator[Path]:
    """A hidden folder on the same file system as `out`, gone afterwards; so is `out` if it was made in vain."""
    made = not zip and not out.exists()
    parent = out.parent if zip else out
    parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".exporting-", dir=parent))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made and not any(out.iterdir()):
            out.rmdir()


@contextmanager
def _storage_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StorageError("export_failed", f"The export to {out} failed: {error.filename or out}: {why}.") from error
