"""CPU time per forwarded packet: the relay against a forwarder in C, and against Mumble's server.

The floor (peers/fwd.c) opens, looks up, seals and sends with AES-NI, recvmmsg and sendmmsg, and does nothing else: no
control plane, no replay window, no statistics, no choice of the loudest. Each repetition starts, loads and stops one
server after the other. Most of the cost is the kernel's, for both.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import murmur
from bench.relay_load import (
    FLOOR,
    MURMUR,
    RELAY,
    TWO_THREADS,
    Load,
    Result,
    Server,
    build_peers,
    measure_once,
    working_folder,
    wrong_results,
)
from bench.report import CannotRun, Report, Row, note

CLAIM = "A forwarded packet costs at most 1.15 × the CPU of a bare forwarder in C, 0.65 × that of Mumble's server"
REPEATS, SECONDS = 5, 1.5
QUICK_REPEATS, QUICK_SECONDS = 1, 0.6


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row: two servers in turn, with so many rooms of so many members, of whom one speaks in each."""

    name: str
    mine: Server
    theirs: Server
    rooms: int
    members: int
    limit: float
    kind: Literal["peer", "limit"] = "limit"
    quick: bool = True


COMPARISONS = [
    Comparison("room of 2", RELAY, FLOOR, 50, 2, 1.25),
    Comparison("room of 10", RELAY, FLOOR, 20, 10, 1.15),
    Comparison("room of 50", RELAY, FLOOR, 4, 50, 1.15),
    Comparison("room of 100", RELAY, FLOOR, 2, 100, 1.15),
    Comparison("room of 500", RELAY, FLOOR, 1, 500, 1.15),
    Comparison("two threads, against one", TWO_THREADS, RELAY, 20, 10, 1.1),
    # Fewer of them, for each joins Mumble over TLS: that takes longer than the measurement.
    Comparison("room of 2, mumble-server", RELAY, MURMUR, 20, 2, 0.65, "peer", quick=False),
    Comparison("room of 10, mumble-server", RELAY, MURMUR, 4, 10, 0.65, "peer"),
    Comparison("room of 50, mumble-server", RELAY, MURMUR, 1, 50, 0.65, "peer", quick=False),
    Comparison("room of 100, mumble-server", RELAY, MURMUR, 1, 100, 0.65, "peer", quick=False),
]


def measure(quick: bool) -> Report:
    chosen = [comparison for comparison in COMPARISONS if comparison.quick or not quick]
    try:
        build_peers()
        with working_folder() as folder:
            rows = compare(chosen, folder, *((QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)))
    except CannotRun as problem:
        rows = [missing(comparison, str(problem)) for comparison in chosen]
    return Report(claim=CLAIM, unit="ns", rows=rows)


def compare(chosen: list[Comparison], folder: Path, repeats: int, seconds: float) -> list[Row]:
    """All of them in each repetition, so that a minute of a busy machine falls on all."""
    measured: dict[Comparison, list[tuple[Result, Result]]] = {comparison: [] for comparison in chosen}
    for repeat in range(1, repeats + 1):
        for comparison, results in measured.items():
            if MURMUR in (comparison.mine, comparison.theirs) and not murmur.find_program():
                continue
            note(f"[{repeat}/{repeats}] {comparison.name}")
            load = Load(comparison.rooms, comparison.members, seconds, folder)
            results.append((measure_once(comparison.mine, load), measure_once(comparison.theirs, load)))
    return [row(comparison, results) for comparison, results in measured.items()]


def row(comparison: Comparison, results: list[tuple[Result, Result]]) -> Row:
    if not results:
        return missing(comparison, "mumble-server is not installed (Debian: apt-get install mumble-server)")
    return Row.of_repeats(
        name=comparison.name,
        value=[mine["ns_per_fwd"] for mine, _ in results],
        against=[theirs["ns_per_fwd"] for _, theirs in results],
        kind=comparison.kind,
        limit=comparison.limit,
        problem=wrong_results([result for pair in results for result in pair]),
    )


def missing(comparison: Comparison, problem: str) -> Row:
    return Row(
        name=comparison.name, value=None, against=None, kind=comparison.kind, limit=comparison.limit, problem=problem
    )
