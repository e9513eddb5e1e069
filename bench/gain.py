"""Gain control: speech of -50 to -10 dB in, how far from one level out after five seconds, and how loud at most.

Beside livekit's and pywebrtc-audio's, which lower no loud voice. Levels are of a voice's active parts (bench/sounds.py)
and the target -20 dB; each voice is measured from 5 to 15 s, and the farthest of all voices counts.
"""

import csv
from collections.abc import Iterator

import numpy as np

from bench.plots import RESULTS, axes_of, save
from bench.processors import LiveKit, Make, Ours, PyWebrtc, needs, only, run
from bench.report import CannotRun, Report, Row, note
from bench.sounds import SPEECH_DB, VOICES, active_level, cycle, voice
from raccall.units import SAMPLE_RATE_HZ

CLAIM = "Speech of any level from -50 to -10 dB comes out within 3 dB of the target after 5 s, never over full scale"
TARGET_DB, TOLERANCE_DB = -20.0, 3.0
LEVELS_DB = (-50, -40, -30, -20, -10)
LENGTH_S, JUDGED_FROM_S = 15, 5
OURS = "ours"
MAKES: dict[str, Make] = {
    OURS: lambda: Ours(only(gain_control=True)),
    "livekit": lambda: LiveKit(auto_gain_control=True),
    "pywebrtc": lambda: PyWebrtc(auto_gain_control=True),
}

Levels = dict[tuple[str, int], list[tuple[float, float]]]
"""By system and level in: level out in dB and peak, one a voice."""


def measure(quick: bool) -> Report:
    try:
        makes = {name: needs(make) for name, make in MAKES.items()}
    except CannotRun as problem:
        row = Row.unmeasured("gain", "peer", problem)
        return Report(claim=CLAIM, unit="dB", rows=[row])
    levels: Levels = {}
    for name in list(VOICES)[: 2 if quick else None]:
        note(f"{name} at {len(LEVELS_DB)} levels")
        speech = cycle(voice(name), LENGTH_S * SAMPLE_RATE_HZ)
        for level_db in LEVELS_DB:
            given = np.clip(speech * 10 ** ((level_db - SPEECH_DB) / 20), -1, 1)
            for system, make in makes.items():
                out, _ = run(make(), given)
                after = active_level(out[JUDGED_FROM_S * SAMPLE_RATE_HZ :])
                levels.setdefault((system, level_db), []).append((20 * np.log10(after), float(np.abs(out).max())))
    write_results(levels)
    return Report(claim=CLAIM, unit="dB", rows=list(rows(levels)))


def rows(levels: Levels) -> Iterator[Row]:
    for level_db in LEVELS_DB:
        means = {name: float(np.mean([out_db for out_db, _ in levels[name, level_db]])) for name in MAKES}
        yield Row(
            name=f"{level_db} dB in: farthest from {TARGET_DB:.0f}",
            value=max(abs(out_db - TARGET_DB) for out_db, _ in levels[OURS, level_db]),
            against=TOLERANCE_DB,
            kind="budget",
            limit=1.0,
            beside={f"out {name}": out_db for name, out_db in means.items()},
        )
    peaks = {
        name: max(peak for (system, _), list_ in levels.items() if system == name for _, peak in list_)
        for name in MAKES
    }
    yield Row(
        name="highest peak (full scale = 1)",
        value=peaks[OURS],
        against=1.0,
        kind="budget",
        limit=1.0,
        beside={name: peaks[name] for name in MAKES if name != OURS},
    )


def write_results(levels: Levels) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "gain.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["system", "in_db", "out_db", "peak"])
        for (name, level_db), list_ in levels.items():
            table.writerows([name, level_db, f"{out_db:.2f}", f"{peak:.4f}"] for out_db, peak in list_)
    if (axes := axes_of(1, 1)) is None:
        return
    for name in MAKES:
        outs = [float(np.mean([out_db for out_db, _ in levels[name, level_db]])) for level_db in LEVELS_DB]
        axes[0, 0].plot(LEVELS_DB, outs, "o-", label=name)
    axes[0, 0].axhspan(TARGET_DB - TOLERANCE_DB, TARGET_DB + TOLERANCE_DB, alpha=0.2)
    axes[0, 0].set(title="gain control", xlabel="in (dB)", ylabel="out after 5 s (dB)")
    axes[0, 0].legend()
    save(axes, "gain")
