"""Echo cancellation beside livekit's and pywebrtc-audio's AEC3, in five simulated rooms and with both ends talking.

Scenes and rooms: bench/scenes.py. Judged by AECMOS (speechmos, 16 kHz), 1 to 5: `echo`, how little of it is left;
`deg`, how little the near voice suffers. Each system's own delay is taken out first. Where a claim is about AEC3, the
better of the two peers is meant, row by row. All run echo cancellation and nothing else (high-pass included where it is
part of it).

Ours gets the far end as an engine does, with the callbacks' clocks: for some ten seconds it does not know their drift.
ERLE is of the echo alone, which only a simulation can know.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from statistics import mean

import numpy as np

from bench.plots import RESULTS, axes_of, save
from bench.processors import LiveKit, Make, OursInACall, PyWebrtc, lag, needs, only, run, shifted
from bench.report import CannotRun, Report, Row, note
from bench.scenes import AGAIN_S, BOTH_S, NEAR_S, ROOMS, SCENE_S, SWEEP, Room, Scene, make_scene
from bench.scores import echo_mos, passage
from bench.sounds import Sound, pairs

CLAIM = "Echo is cancelled as well as by WebRTC's AEC3, and while both ends talk the near voice suffers less by 0.5 MOS"
OURS = "ours"
PEERS: dict[str, Make] = {
    "livekit": lambda: LiveKit(echo_cancellation=True, high_pass_filter=True),
    "pywebrtc": lambda: PyWebrtc(echo_cancellation=True),
}
TOLERATED_MOS = 0.05
GAIN_MOS = 0.5
LEAST_ECHO_MOS, STRETCH_DEG_MOS, STRETCH_SER_DB = 4.0, 3.5, 5
LEAST_ERLE_DB, LONGEST_RECONVERGENCE_S = 35.0, 2.0
CONVERGED_DB, WINDOW_S, STEP_S = 20.0, 0.5, 0.1
FRAME = 480
QUICK_PAIRS = 1
QUICK_ROOMS = "AD"
QUICK_SWEEP = (5,)


@dataclass(frozen=True, slots=True)
class Score:
    """One system in one scene."""

    far_echo: float
    """While the far end talks, 2 to 12 s."""
    later_echo: float
    """The same again, 29 to 37 s."""
    both_echo: float
    both_deg: float
    erle_db: float
    """8 to 12 s."""
    reconvergence_s: float
    """From 27 s on until 20 dB are reached; 9 s if never."""


Scores = dict[tuple[str, str], list[Score]]
"""By system and room; one a pair of voices."""


def measure(quick: bool) -> Report:
    count = QUICK_PAIRS if quick else len(pairs())
    rooms = {name: room for name, room in ROOMS.items() if not quick or name in QUICK_ROOMS}
    sweep = {ser_db: room for ser_db, room in SWEEP.items() if not quick or ser_db in QUICK_SWEEP}
    try:
        makes = {name: needs(make) for name, make in PEERS.items()}
        scores = judge(makes, list(rooms.values()), list(sweep.values()), count, whole=not quick)
    except CannotRun as problem:
        row = Row.unmeasured("echo", "peer", problem)
        return Report(claim=CLAIM, unit="MOS", rows=[row])
    write_results(scores)
    return Report(claim=CLAIM, unit="MOS, dB, s", rows=list(rows(scores, rooms, sweep)))


def judge(peers: dict[str, Make], rooms: list[Room], sweep: list[Room], count: int, *, whole: bool) -> Scores:
    """whole: what no row tells, too: both talking in `rooms`, and the far end alone in `sweep`; NaN otherwise."""
    lags = {name: lag(make) for name, make in peers.items()}
    lags[OURS] = lag(lambda: OursInACall(only(echo=True), 0))
    scores: Scores = {}
    for room in rooms + sweep:
        note(f"{room.name}: {count} pair(s) of voices")
        makes = peers | {OURS: lambda room=room: OursInACall(only(echo=True), room.drift_ppm)}
        for pair in range(count):
            scene = make_scene(room, pair)
            for name, make in makes.items():
                out, _ = run(make(), scene.mic, scene.far)
                scores.setdefault((name, room.name), []).append(
                    score(scene, shifted(out, lags[name]), alone=whole or room in rooms, both=whole or room in sweep)
                )
    return scores


def score(scene: Scene, out: Sound, *, alone: bool, both: bool) -> Score:
    def mos(talk: str, start_s: float, end_s: float) -> tuple[float, float]:
        return echo_mos(talk, *(passage(sound, start_s, end_s) for sound in (scene.far, scene.mic, out)))

    both_echo, both_deg = mos("dt", BOTH_S, NEAR_S) if both else (nan, nan)
    return Score(
        far_echo=mos("st", 2, BOTH_S)[0] if alone else nan,
        later_echo=mos("st", AGAIN_S + 2, SCENE_S)[0] if alone else nan,
        both_echo=both_echo,
        both_deg=both_deg,
        erle_db=erle(scene.echo, out, 8, BOTH_S),
        reconvergence_s=reconvergence(scene.echo, out),
    )


def erle(echo: Sound, out: Sound, start_s: float, end_s: float) -> float:
    """By how many dB the echo is lowered, over the frames in which there is echo."""
    before, after = (passage(sound, start_s, end_s) for sound in (echo, out))
    count = len(before) // FRAME
    powers = [(sound[: count * FRAME].reshape(count, FRAME) ** 2).mean(axis=1) + 1e-12 for sound in (before, after)]
    active = powers[0] > powers[0].max() * 1e-4
    return float(10 * np.log10(powers[0][active].mean() / powers[1][active].mean()))


def reconvergence(echo: Sound, out: Sound) -> float:
    for time_s in np.arange(AGAIN_S, SCENE_S - WINDOW_S, STEP_S):
        if erle(echo, out, time_s, time_s + WINDOW_S) >= CONVERGED_DB:
            return float(time_s - AGAIN_S)
    return 9.0


def rows(scores: Scores, rooms: dict[str, Room], sweep: dict[int, Room]) -> Iterator[Row]:
    def of(name: str, room: Room, what: str) -> float:
        return mean(getattr(score, what) for score in scores[name, room.name])

    def best_peer(room: Room, what: str) -> float:
        return max(of(name, room, what) for name in PEERS)

    def all_of(room: Room, what: str) -> dict[str, float]:
        return {name: of(name, room, what) for name in (OURS, *PEERS)}

    for letter, room in rooms.items():
        for what, when in (("far_echo", "far end alone"), ("later_echo", "again, 29 s on")):
            yield Row(
                name=f"{letter} {room.name}, {when}: echo + {TOLERATED_MOS}",
                value=of(OURS, room, what) + TOLERATED_MOS,
                against=best_peer(room, what),
                kind="peer",
                limit=1.0,
                better="higher",
                beside=all_of(room, what),
            )
    yield Row(
        name=f"both talk: deg - {GAIN_MOS}, mean of the sweep",
        value=mean(of(OURS, room, "both_deg") for room in sweep.values()) - GAIN_MOS,
        against=mean(best_peer(room, "both_deg") for room in sweep.values()),
        kind="peer",
        limit=1.0,
        better="higher",
        beside={
            f"{ser_db:+d} dB {name}": of(name, room, "both_deg")
            for ser_db, room in sweep.items()
            for name in (OURS, *PEERS)
        },
    )
    yield Row(
        name="both talk: echo, least of the sweep",
        value=min(of(OURS, room, "both_echo") for room in sweep.values()),
        against=LEAST_ECHO_MOS,
        kind="budget",
        limit=1.0,
        better="higher",
        beside={name: min(of(name, room, "both_echo") for room in sweep.values()) for name in PEERS},
    )
    stretch = sweep[STRETCH_SER_DB]
    yield Row(
        name=f"both talk, voice {STRETCH_SER_DB:+d} dB: deg",
        value=of(OURS, stretch, "both_deg"),
        against=STRETCH_DEG_MOS,
        kind="budget",
        limit=1.0,
        better="higher",
        beside=all_of(stretch, "both_deg"),
    )
    yield Row(
        name="A: ERLE (dB)",
        value=of(OURS, rooms["A"], "erle_db"),
        against=LEAST_ERLE_DB,
        kind="budget",
        limit=1.0,
        better="higher",
        beside=all_of(rooms["A"], "erle_db"),
    )
    yield Row(
        name="D: reconvergence after the jump (s)",
        value=of(OURS, rooms["D"], "reconvergence_s"),
        against=LONGEST_RECONVERGENCE_S,
        kind="budget",
        limit=1.0,
        beside=all_of(rooms["D"], "reconvergence_s"),
    )


def write_results(scores: Scores) -> None:
    """bench/results/echo.csv, and a picture: what is left of the echo against what is left of the voice."""
    RESULTS.mkdir(exist_ok=True)
    fields = list(Score.__dataclass_fields__)
    means = {key: [mean(getattr(score, field) for score in list_) for field in fields] for key, list_ in scores.items()}
    with (RESULTS / "echo.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["room", "system", *fields])
        for (name, room), values in means.items():
            table.writerow([room, name, *(f"{value:.3f}" for value in values)])
    if (axes := axes_of(1, 2)) is None:
        return
    for name in (OURS, *PEERS):
        of_name = [values for (system, _), values in means.items() if system == name]
        both = axes[0, 0].scatter([values[3] for values in of_name], [values[2] for values in of_name], label=name)
        axes[0, 1].plot([values[0] for values in of_name], "o-", color=both.get_facecolor()[0])
    axes[0, 0].set(title="both talk, a point a room", xlabel="near voice (deg MOS)", ylabel="echo MOS", ylim=(1, 5))
    axes[0, 1].set(title="far end alone", ylabel="echo MOS", xlabel="room", ylim=(1, 5))
    axes[0, 0].legend()
    save(axes, "echo")
