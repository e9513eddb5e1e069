"""What a recorded packet costs, as a ratio to the least that a recorder can do; and a recorder's memory over 12 hours.

The peer (crates/engine/examples/record_cost.rs, compiled) receives each packet, opens it with the same cipher code and
appends it to a buffered file; it has no replay window, no journal, no statistics, no events. Ours is a whole recorder
(bench/recording.py): engine, tap, event loop, journal, events. Both get 50 talkers at real rate, 2500 packets a second,
from the same generator, in turn; CPU time is that of the whole process, kernel included, after a second of warming up.

Memory is measured in a process that is fed a call of 25 speakers in virtual time (bench/virtual_hours.py).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.client import build_example
from bench.recording import TALKERS
from bench.report import CannotRun, Report, Row, note

CLAIM = (
    "A recorded packet costs at most twice the CPU of receiving, opening and appending it; "
    "after 12 hours a recorder uses at most 5 MB more than after a minute"
)
LIMIT = 2.0
MEMORY_LIMIT_MB = 5.0
REPEATS, SECONDS, HOURS = 7, 4, 12
QUICK_REPEATS, QUICK_SECONDS, QUICK_HOURS = 1, 3, 1
TALKED_S = 4
"""The generator runs so much longer than is measured: start and warming up."""
LEAST_RECORDED = 0.97
"""Of the packets that were due in the time measured; with fewer the machine was too busy for the real rate. Were any
lost on the way, none count."""

CPU_ROW = f"{TALKERS} talkers, µs a packet"


def measure(quick: bool) -> Report:
    repeats, seconds, hours = (QUICK_REPEATS, QUICK_SECONDS, QUICK_HOURS) if quick else (REPEATS, SECONDS, HOURS)
    try:
        rows = [compare(repeats, seconds), memory(hours)]
    except CannotRun as problem:
        rows = [Row.unmeasured(CPU_ROW, "peer", problem, LIMIT)]
    return Report(claim=CLAIM, unit="µs and MB", rows=rows)


def compare(repeats: int, seconds: int) -> Row:
    example = build_example("record_cost")
    ours, bare, fewest = [], [], 1.0
    for repeat in range(1, repeats + 1):
        for name, costs in (("bare loop", bare), ("raccall", ours)):
            note(f"[{repeat}/{repeats}] {name}")
            packets, cost_us = measure_once(example, seconds, is_bare=costs is bare)
            fewest = min(fewest, packets / (TALKERS * 50 * seconds))
            costs.append(cost_us)
    problem = f"only {fewest:.0%} of the packets came in time, or some were lost" if fewest < LEAST_RECORDED else ""
    return Row.of_repeats(name=CPU_ROW, value=ours, against=bare, kind="peer", limit=LIMIT, problem=problem)


def measure_once(example: Path, seconds: int, *, is_bare: bool) -> tuple[int, float]:
    """Packets and CPU microseconds a packet of one recorder under the generator's load."""
    folder = Path(tempfile.mkdtemp(prefix="bench-record-"))
    with subprocess.Popen(
        [example, "talk", str(TALKERS), str(seconds + TALKED_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as talkers:
        assert talkers.stdin and talkers.stdout
        try:
            port = talkers.stdout.readline().strip()
            command: list[str | Path] = (
                [example, "bare", f"127.0.0.1:{port}", folder / "packets", str(seconds)]
                if is_bare
                else [sys.executable, "-m", "bench.recording", folder / "call", port, str(seconds)]
            )
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recorder:
                assert recorder.stdout
                talkers.stdin.write(recorder.stdout.readline())
                talkers.stdin.flush()
                packets, cpu_ns = map(int, recorder.stdout.read().split())
        finally:
            talkers.kill()
            shutil.rmtree(folder)
    return packets, cpu_ns / max(packets, 1) / 1000


def memory(hours: int) -> Row:
    note(f"a call of {hours} virtual hours")
    with tempfile.TemporaryDirectory(prefix="bench-record-") as folder:
        command = [sys.executable, "-m", "bench.virtual_hours", str(Path(folder) / "call"), str(hours)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    minute, end = map(float, done.stdout.split())
    return Row(
        name=f"memory: virtual hour {hours} above minute 1, MB",
        value=max(end - minute, 0.0),
        against=MEMORY_LIMIT_MB,
        kind="limit",
        limit=1.0,
    )
