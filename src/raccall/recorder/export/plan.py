"""Which files an export makes of a recording: decided before the first sample is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raccall.errors import InputError
from raccall.recorder.attribution import Speaker
from raccall.recorder.export.formats import Depth, Format
from raccall.recorder.render import TRACKS
from raccall.recorder.sound import RecordedSound

MIX_LUFS = -16.0
"""Of a mix, when nothing else is asked for: what podcasts are delivered at."""

LUFS_RANGE = (-40.0, -5.0)

Loudness = float | None | Literal["usual"]
"""LUFS; None to leave everything as loud as it was spoken; "usual": the mix at MIX_LUFS, a speaker's file as it was."""


@dataclass(frozen=True, slots=True)
class SoundFile:
    """One file to make."""

    name: str
    """Its name, with ending."""
    title: str
    speaker: Speaker | None
    """None for the mix."""
    channels: int
    lufs: float | None
    limited: bool
    copied_from: Path | None = None
    """A track that holds just this sound in just this format: its packets stay as they were received."""


def plan_files(
    folder: Path,
    sound: RecordedSound,
    *,
    format: Format,
    depth: Depth,
    tracks: bool,
    mix: bool,
    lufs: Loudness,
    whole: bool,
    gains: Mapping[str, float],
) -> list[SoundFile]:
    """The files, in the order of `sound.speakers`, the mix last.

    whole: nothing is cut off at the ends. Raises InputError "lufs_out_of_range", "nothing_to_export".
    """
    if isinstance(lufs, float) and not LUFS_RANGE[0] <= lufs <= LUFS_RANGE[1]:
        raise InputError("lufs_out_of_range", f"Loudness is {LUFS_RANGE[0]:g} to {LUFS_RANGE[1]:g} LUFS.")
    exact = format is Format.WAV and depth is Depth.FLOAT
    track_lufs = None if lufs == "usual" else lufs
    mix_lufs = MIX_LUFS if lufs == "usual" else lufs
    may_copy = format is Format.OPUS and whole and track_lufs is None and not any(gains.values())
    files = []
    for speaker in sound.speakers if tracks else ():
        received = folder / TRACKS / f"{speaker.file_name}.opus"
        files.append(
            SoundFile(
                f"{speaker.file_name}.{format}",
                speaker.name,
                speaker,
                sound.channels(speaker),
                track_lufs,
                limited=not exact or track_lufs is not None,
                copied_from=received if may_copy and received.is_file() else None,
            )
        )
    if mix:
        name = f"{_free_name('mix', sound)}.{format}"
        limited = not exact or mix_lufs is not None
        files.append(SoundFile(name, "Mix", None, sound.mix_channels, mix_lufs, limited))
    if not files:
        raise InputError("nothing_to_export", "Nobody spoke in this recording.")
    return files


def _free_name(name: str, sound: RecordedSound) -> str:
    """`name`, unless a speaker is called so."""
    taken = {speaker.file_name.casefold() for speaker in sound.speakers}
    while name in taken:
        name = f"_{name}"
    return name
