"""Noise suppression beside livekit's and pywebrtc-audio's: speech in five noises at 5 dB, and speech alone.

Judged by DNSMOS P.835 (speechmos, 16 kHz): the overall score, after two seconds in which each may learn the noise. CPU
is of the thread, 10 ms at a time, the call from Python included. The means hide that all fail on babble, where the
noise is speech: bench/results/noise.csv tells each noise.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from bench.plots import RESULTS, axes_of, save
from bench.processors import LiveKit, Make, Ours, PyWebrtc, lag, needs, only, run, shifted
from bench.report import CannotRun, Report, Row, note
from bench.scores import noise_mos, passage
from bench.sounds import HAS_SHARED, VOICES, Sound, active_level, cycle, noises, voice
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.processing import NoiseSuppression

CLAIM = "Noise suppression lifts DNSMOS at 5 dB by 0.3 by default and by 0.8 if neural; speech alone loses 0.1 at most"
LENGTH_S, JUDGED_S = 12, (2.0, 11.02)
SNR_DB, ALONE_DB = 5, 60
LIGHT, NEURAL = "light", "neural"
GAINS_MOS = {LIGHT: 0.3, NEURAL: 0.8}
MOST_LOSS_MOS = 0.1
OURS: dict[str, Make] = {
    LIGHT: lambda: Ours(only(noise=NoiseSuppression.LIGHT, high_pass=True)),
    NEURAL: lambda: Ours(only(noise=NoiseSuppression.NEURAL, high_pass=True)),
}
PEERS: dict[str, Make] = {
    "livekit": lambda: LiveKit(noise_suppression=True, high_pass_filter=True),
    "pywebrtc": lambda: PyWebrtc(noise_suppression=True, ns_level=2),
}
NOTHING = "noisy"
ALONE = "no noise"


@dataclass(frozen=True, slots=True)
class Score:
    overall: float
    background: float
    cpu_us: float


Scores = dict[tuple[str, str], list[Score]]
"""By system and noise; one a voice."""


def measure(quick: bool) -> Report:
    try:
        scores = judge({name: needs(make) for name, make in (OURS | PEERS).items()}, 1 if quick else len(VOICES))
    except CannotRun as problem:
        row = Row.unmeasured("noise", "peer", problem)
        return Report(claim=CLAIM, unit="MOS", rows=[row])
    write_results(scores)
    return Report(claim=CLAIM, unit="MOS", rows=list(rows(scores)))


def judge(makes: dict[str, Make], voices: int) -> Scores:
    length = LENGTH_S * SAMPLE_RATE_HZ
    lags = {name: lag(make) for name, make in makes.items()}
    disturbances = noises(length)
    scores: Scores = {}
    for name in list(VOICES)[:voices]:
        speech = cycle(voice(name), length)
        mixes = {kind: mixed(speech, noise, SNR_DB) for kind, noise in disturbances.items()}
        mixes[ALONE] = mixed(speech, disturbances["pink"], ALONE_DB)
        for kind, noisy in mixes.items():
            note(f"{name} and {kind}")
            scores.setdefault((NOTHING, kind), []).append(judged(noisy, 0.0))
            for system, make in makes.items():
                out, cpu_us = run(make(), noisy)
                scores.setdefault((system, kind), []).append(judged(shifted(out, lags[system]), cpu_us))
    return scores


def mixed(speech: Sound, noise: Sound, snr_db: float) -> Sound:
    return (speech + noise * active_level(speech) / noise.std() * 10 ** (-snr_db / 20)).clip(-0.99, 0.99)


def judged(out: Sound, cpu_us: float) -> Score:
    overall, background = noise_mos(passage(out, *JUDGED_S))
    return Score(overall, background, cpu_us)


def rows(scores: Scores) -> Iterator[Row]:
    kinds = dict.fromkeys(kind for _, kind in scores if kind != ALONE)

    def overall(name: str) -> float:
        return mean(score.overall for kind in kinds for score in scores[name, kind])

    noisy, peers = overall(NOTHING), {name: overall(name) - overall(NOTHING) for name in PEERS}
    problem = "" if HAS_SHARED else "the recorded noises are not at hand: made-up ones only"
    for name, gain in GAINS_MOS.items():
        yield Row(
            name=f"{name}: gain at {SNR_DB} dB",
            value=overall(name) - noisy,
            against=gain,
            kind="budget",
            limit=1.0,
            better="higher",
            beside=peers | {"noisy": noisy},
            problem=problem,
        )
        cpu_us = {
            other: mean(score.cpu_us for kind in kinds for score in scores[other, kind]) for other in (name, *PEERS)
        }
        clean, lost = scores[NOTHING, ALONE], scores[name, ALONE]
        yield Row(
            name=f"{name}: loss of speech alone",
            value=max(0.0, mean(score.overall for score in clean) - mean(score.overall for score in lost)),
            against=MOST_LOSS_MOS,
            kind="budget",
            limit=1.0,
            beside={f"CPU us {other}": value for other, value in cpu_us.items()},
        )


def write_results(scores: Scores) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "noise.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["noise", "system", "overall", "background", "cpu_us"])
        for (name, kind), list_ in scores.items():
            means = (mean(getattr(score, field) for score in list_) for field in Score.__dataclass_fields__)
            table.writerow([kind, name, *(f"{value:.3f}" for value in means)])
    if (axes := axes_of(1, 1)) is None:
        return
    kinds = list(dict.fromkeys(kind for _, kind in scores))
    for name in dict.fromkeys(name for name, _ in scores):
        axes[0, 0].plot(
            kinds, [mean(score.overall for score in scores[name, kind]) for kind in kinds], "o-", label=name
        )
    axes[0, 0].set(title=f"speech in noise, {SNR_DB} dB", ylabel="DNSMOS, overall")
    axes[0, 0].legend()
    save(axes, "noise")
