"""Voices and noises of the benches that judge sound: ../shared/audio where it is, else the project's own speech."""

import numpy as np
from numpy.typing import NDArray

from bench.client import OWN_SPEECH, SHARED_SPEECH
from raccall.audio.files import read_samples
from raccall.units import SAMPLE_RATE_HZ

Sound = NDArray[np.float64]
"""48 kHz mono, shape (n,)."""

SPEECH_DB, NOISE_DB = -23.0, -26.0
GAP_S = 0.2
SHARED_VOICES = {
    "lj": ("lj_0001", "lj_0003"),
    "libri198": ("libri_198-209-0000",),
    "libri3436": ("libri_3436-172162-0000",),
    "aew": ("arctic_aew_a0001", "arctic_aew_a0002", "arctic_aew_a0003"),
    "axb": ("arctic_axb_a0004", "arctic_axb_a0006"),
}
OWN_VOICES = {"anna": ("anna_1", "anna_2"), "ben": ("ben_1", "ben_2")}
HAS_SHARED = all((SHARED_SPEECH / f"{name}.flac").exists() for names in SHARED_VOICES.values() for name in names)
FOLDER, VOICES = (SHARED_SPEECH, SHARED_VOICES) if HAS_SHARED else (OWN_SPEECH, OWN_VOICES)
ACTIVE_POWER = 1e-4
"""Samples this far below the peak power do not count as speech."""
DISHES = SHARED_SPEECH / "noise_dishes.flac"
DOG = SHARED_SPEECH / "esc50_1-100032-A-0.flac"
KEY_STROKES = 70


def active_level(samples: Sound) -> float:
    """RMS where there is speech."""
    power = samples**2
    return float(np.sqrt(power[power > power.max() * ACTIVE_POWER].mean()))


def voice(name: str) -> Sound:
    """One person's sentences, with short pauses."""
    gap = np.zeros(int(GAP_S * SAMPLE_RATE_HZ))
    files = [read_samples(FOLDER / f"{file}.flac").astype(np.float64) for file in VOICES[name]]
    samples = np.concatenate([part for file in files for part in (file, gap)])
    return np.clip(samples * 10 ** (SPEECH_DB / 20) / active_level(samples), -1, 1)


def pairs() -> list[tuple[str, str]]:
    """Who is far and who is near."""
    if HAS_SHARED:
        return [("lj", "aew"), ("libri3436", "lj"), ("libri198", "axb"), ("axb", "libri3436")]
    return [("anna", "ben"), ("ben", "anna")]


def cycle(samples: Sound, length: int, offset: int = 0) -> Sound:
    """`length` samples, again and again from `offset` on."""
    return np.resize(np.roll(samples, -offset), length)


def pink(length: int, seed: int = 0) -> Sound:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return _at_noise_level(np.fft.irfft(spectrum, length))


def typing(length: int, seed: int = 0) -> Sound:
    """Key strokes: short decaying bursts of noise at random moments."""
    rng = np.random.default_rng(seed)
    out = np.zeros(length)
    for start in rng.integers(0, length - SAMPLE_RATE_HZ // 10, KEY_STROKES):
        size = int(rng.integers(300, 1500))
        decay = np.exp(-np.arange(size) / rng.uniform(60, 300))
        out[start : start + size] += rng.standard_normal(size) * decay * rng.uniform(0.4, 1)
    return _at_noise_level(out)


def babble(length: int) -> Sound:
    """Everyone at once."""
    return _at_noise_level(sum(cycle(voice(name), length, 37_000 * number) for number, name in enumerate(VOICES, 1)))


def dishes(length: int, seed: int) -> Sound:
    """Of a kitchen; pink noise where it is not at hand."""
    return _recorded(DISHES, length, 7_000 * seed) if DISHES.exists() else pink(length, seed)


def noises(length: int) -> dict[str, Sound]:
    """Five kinds; four where recordings are not at hand."""
    found = {"pink": pink(length), "babble": babble(length), "typing": typing(length), "dishes": dishes(length, 137)}
    return found | ({"dog": _recorded(DOG, length, 0)} if DOG.exists() else {})


def _recorded(path: object, length: int, offset: int) -> Sound:
    return _at_noise_level(cycle(read_samples(path).astype(np.float64), length, offset))  # type: ignore[arg-type]


def _at_noise_level(samples: Sound) -> Sound:
    return np.clip(samples * 10 ** (NOISE_DB / 20) / samples.std(), -1, 1)
