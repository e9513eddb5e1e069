"""Speech made 20 % slower and 20 % faster by what the jitter buffer follows its target with, beside WSOLA.

PESQ compares two sounds of equal length, so each goes there and back: 1.2 times as long and then 1/1.2 of that, or the
other way round, by the same method, and is compared with what it was. The peer is FFmpeg's `atempo`, which is WSOLA
(waveform-similarity overlap-add), by the package PyAV; ours is crates/media/examples/rescale.rs. Uniform scaling is
atempo's advantage: ours leaves consonants alone and makes up for them later, so it is off by some ms in between, which
PESQ counts against it and nobody hears. PLCMOS of one way, which needs no original, stands beside.

A click is a broad, sudden rise. Spectral flux here: by how many dB the bands from 2 to 20 kHz rise from one 5 ms to the
next, on average. What 0.1 % of the frames of scaled speech exceed must not be more than 1 dB above what 0.1 % of the
speech itself does: its own onsets are as sudden as anything may be. PESQ says nothing about these: it ends at 7 kHz.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench.client import build_example, level
from bench.conceal import CLIPS, QUICK_CLIPS, clips_of, missing_judges, score
from bench.plots import axes_of, save
from bench.report import CannotRun, Report, Row, note
from raccall.audio.files import Samples
from raccall.units import SAMPLE_RATE_HZ

CLAIM = "Speech 20 % slower and 20 % faster sounds no worse than by WSOLA, and has no clicks"
FACTORS = {"slower": 1.2, "faster": 1 / 1.2}
"""Length afterwards against before."""
LEAD_S = 0.5
"""Silence on both sides: PESQ finds its place."""
CLICK_DB = 1.0
FLUX_HOP, FLUX_WINDOW = SAMPLE_RATE_HZ // 200, SAMPLE_RATE_HZ // 100
FLUX_HZ = (2_000, 20_000)
FLOOR_DB = -80.0
"""Rises below it are not heard."""
RARE_PCT = 99.9
SPEECH_BLOCK = SAMPLE_RATE_HZ // 50

Rescale = Callable[[Samples, float], Samples]


def measure(quick: bool) -> Report:
    try:
        program, wsola = build_example("rescale", package="raccall-media"), pyav_atempo()
        if problem := missing_judges():
            raise CannotRun(problem)
    except CannotRun as problem:
        row = Row.unmeasured("WSOLA", "peer", problem)
        return Report(claim=CLAIM, unit="PESQ", rows=[row])
    methods: dict[str, Rescale] = {"ours": lambda speech, factor: ours(program, speech, factor), "WSOLA": wsola}
    clips = [with_silence(level(samples)) for samples in clips_of(QUICK_CLIPS if quick else CLIPS)]
    rows, scores = [], {}
    for direction, factor in FACTORS.items():
        note(f"{len(clips)} clips {direction}")
        scaled = {name: [rescale(clip, factor) for clip in clips] for name, rescale in methods.items()}
        back = {
            name: [score(clip, rescale(there, 1 / factor)) for clip, there in zip(clips, scaled[name], strict=True)]
            for name, rescale in methods.items()
        }
        one_way = {name: [score(there, there) for there in scaled[name]] for name in methods}
        pesq = {name: fmean(found.pesq for found in back[name]) for name in methods}
        plcmos = {name: fmean(found.plcmos for found in one_way[name]) for name in methods}
        scores[direction] = pesq
        rows.append(
            Row(
                name=f"PESQ, {direction} and back, WSOLA",
                value=pesq["ours"],
                against=pesq["WSOLA"],
                kind="peer",
                limit=1.0,
                better="higher",
                beside={"PLCMOS one way, ours": plcmos["ours"], "theirs": plcmos["WSOLA"]},
            )
        )
        flux = {name: rare_flux_db(scaled[name]) for name in methods}
        speech_flux = rare_flux_db(clips)
        rows.append(
            Row(
                name=f"flux in dB, {direction}, the speech itself + {CLICK_DB:g}",
                value=flux["ours"],
                against=speech_flux + CLICK_DB,
                kind="limit",
                limit=1.0,
                beside={"the speech": speech_flux, "WSOLA": flux["WSOLA"]},
            )
        )
        lengths = sum(map(len, scaled["ours"])) / sum(map(len, clips)) / factor
        rows.append(
            Row(
                name=f"length, {direction}, off what was asked (%)",
                value=100 * abs(lengths - 1),
                against=1.0,
                kind="budget",
                limit=1.0,
            )
        )
    plot(scores)
    return Report(claim=CLAIM, unit="see names", rows=rows)


def with_silence(speech: Samples) -> Samples:
    silence = np.zeros(int(LEAD_S * SAMPLE_RATE_HZ), np.float32)
    return np.concatenate([silence, speech, silence])


def ours(program: Path, speech: Samples, factor: float) -> Samples:
    done = subprocess.run([program, str(factor)], input=speech.astype("<f4").tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<f4")


def pyav_atempo() -> Rescale:
    """Raises CannotRun."""
    try:
        import av
        import av.filter
    except ImportError as error:
        raise CannotRun("PyAV is not installed: pip install av") from error

    def rescale(speech: Samples, factor: float) -> Samples:
        graph = av.filter.Graph()
        source = graph.add_abuffer(format="flt", sample_rate=SAMPLE_RATE_HZ, layout="mono")
        tempo, sink = graph.add("atempo", str(1 / factor)), graph.add("abuffersink")
        source.link_to(tempo)
        tempo.link_to(sink)
        graph.configure()
        scaled: list[NDArray[np.float32]] = []

        def drain() -> None:
            while True:
                try:
                    scaled.append(sink.pull().to_ndarray()[0])
                except (av.error.BlockingIOError, av.error.EOFError):
                    return

        for begin in range(0, len(speech), SPEECH_BLOCK):
            block = np.ascontiguousarray(speech[None, begin : begin + SPEECH_BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, begin
            source.push(frame)
            drain()
        source.push(None)
        drain()
        return np.concatenate(scaled)

    return rescale


def rare_flux_db(sounds: list[Samples]) -> float:
    """What 0.1 % of all frames exceed."""
    return float(np.percentile(np.concatenate([flux_db(sound) for sound in sounds]), RARE_PCT))


def flux_db(sound: Samples) -> NDArray[np.float64]:
    """Mean rise of the bands in `FLUX_HZ`, in dB, from each 5 ms to the next."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, FLUX_WINDOW)[::FLUX_HOP] * np.hanning(FLUX_WINDOW)
    first, last = (hz * FLUX_WINDOW // SAMPLE_RATE_HZ for hz in FLUX_HZ)
    power = np.abs(np.fft.rfft(windows)[:, first:last]) ** 2 / (FLUX_WINDOW / 4) ** 2
    level_db = 10 * np.log10(power + 10 ** (FLOOR_DB / 10))
    return np.asarray(np.maximum(np.diff(level_db, axis=0), 0).mean(axis=1))


def plot(scores: dict[str, dict[str, float]]) -> None:
    """bench/results/stretch.png."""
    if (axes := axes_of(1, 1)) is None:
        return
    axis = axes.flat[0]
    for place, name in enumerate(next(iter(scores.values()))):
        heights = [pesq[name] for pesq in scores.values()]
        axis.bar(np.arange(len(scores)) + 0.4 * place, heights, 0.4, label=name)
    axis.set_xticks(np.arange(len(scores)) + 0.2, [f"{direction} and back" for direction in scores])
    axis.set_ylabel("PESQ")
    axis.legend()
    save(axes, "stretch")
