"""Who says what in a staged call: speech files become one long clip per person, all starting at the same moment.

Files whose names differ only in their last number ("anna_1.flac", "anna_2.flac") are one voice. People take turns with
a short pause, so that every voice is heard alone at least once, and one overlap shows the mix.
"""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from raccall.audio.files import read_samples
from raccall.errors import InputError
from raccall.units import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]

OWN_SPEECH = Path(str(resources.files("raccall.testing") / "speech"))
SOUND_SUFFIXES = {".wav", ".flac", ".ogg", ".opus"}
LONGEST_UTTERANCE_S = 20.0
LEAD_S, PAUSE_S, OVERLAP_S = 0.6, 0.35, 0.25
NAMES = ("anna", "ben")


@dataclass(frozen=True, slots=True)
class Part:
    """What one person says in the whole call."""

    name: str
    samples: Samples
    """48 kHz mono, silence where the other one talks; the parts of a call are equally long."""


def compose(folder: Path | None = None) -> list[Part]:
    """Two people's parts from a folder of speech (None: the project's own).

    Raises InputError `no_speech` if the folder does not hold two speech files of at most 20 s.
    """
    voices = _voices(folder or OWN_SPEECH)
    turns = [(who, clip) for clips in _alternate(voices) for who, clip in clips]
    length = int(LEAD_S * SAMPLE_RATE_HZ)
    placed: list[tuple[int, int, Samples]] = []
    for number, (who, clip) in enumerate(turns):
        last = number == len(turns) - 1 and number > 0
        start = length + int((-OVERLAP_S if last else PAUSE_S) * SAMPLE_RATE_HZ)
        placed.append((who, start, clip))
        length = start + len(clip)
    length += int(LEAD_S * SAMPLE_RATE_HZ)
    parts = [Part(name, np.zeros(length, np.float32)) for name in _names(voices)]
    for who, start, clip in placed:
        parts[who].samples[start : start + len(clip)] += clip
    return parts


def _voices(folder: Path) -> list[tuple[str, list[Samples]]]:
    """The two voices with the most files, each as its clips in order."""
    if not folder.is_dir():
        raise InputError("no_speech", f"{folder} is not a folder of speech files.")
    groups: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SOUND_SUFFIXES and soundfile.info(str(file)).duration <= LONGEST_UTTERANCE_S:
            groups.setdefault(re.sub(r"\d+$", "", file.stem), []).append(file)
    if len(groups) == 1:  # one voice, several files: each person gets every other one
        files = next(iter(groups.values()))
        groups = {"a": files[::2], "b": files[1::2]} if len(files) > 1 else groups
    # Most files first, then by name: more turns make a better conversation, and the choice is the same everywhere.
    chosen = sorted(sorted(groups), key=lambda key: -len(groups[key]))[: len(NAMES)]
    if len(chosen) < len(NAMES):
        raise InputError(
            "no_speech", f"{folder} must hold at least two speech files of 20 s or less (WAV, FLAC, Opus)."
        )
    return [(key.strip("_- "), [read_samples(file) for file in groups[key]]) for key in sorted(chosen)]


def _names(voices: list[tuple[str, list[Samples]]]) -> list[str]:
    """The files' own names where they are names; else anna and ben."""
    keys = [key for key, _ in voices]
    return keys if all(re.fullmatch(r"[a-z]{2,12}", key) for key in keys) else list(NAMES)


def _alternate(voices: list[tuple[str, list[Samples]]]) -> list[list[tuple[int, Samples]]]:
    rounds = max(len(clips) for _, clips in voices)
    return [
        [(who, clips[turn]) for who, (_, clips) in enumerate(voices) if turn < len(clips)] for turn in range(rounds)
    ]
