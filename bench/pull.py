"""What hearing 25 people at once costs, against 25 bare libopus decoders on the same packets; how long one pull takes.

Both run in one program, in turn, a second of call each (crates/engine/examples/pull_cost.rs). The chain also opens,
de-duplicates, orders, stretches, meters and mixes. Times are the thread's CPU, kernel included: what a busy machine
does to a thread is not the chain's. The pull is measured again where each voice loses 5 % of its packets, because deep
concealment of a lost packet costs 15 times its decoding. That a pull takes no memory is a test:
crates/media/tests/allocation.rs.
"""

import subprocess
import tempfile
from pathlib import Path

from bench.client import build_example, talkers_voices
from bench.report import CannotRun, Report, Row, note

CLAIM = (
    "Hearing 25 talkers costs at most 1.2 times the CPU of 25 bare decoders; 99.9 % of pulls take 30 % of their 10 ms"
)
LIMIT = 1.2
PERIOD_MS, PART = 10.0, 0.3
REPEATS, SECONDS = 5, 40
QUICK_REPEATS, QUICK_SECONDS = 1, 20
LOSS_PCT = 5
ROWS = ("CPU of 25 talkers (ms/s)", "p99.9 of one pull (ms)", f"p99.9 of one pull, {LOSS_PCT} % lost (ms)")


def measure(quick: bool) -> Report:
    try:
        rows = compare(QUICK_REPEATS if quick else REPEATS, QUICK_SECONDS if quick else SECONDS)
    except CannotRun as problem:
        rows = [Row.unmeasured(name, "limit", problem, LIMIT) for name in ROWS]
    return Report(claim=CLAIM, unit="see names", rows=rows)


def compare(repeats: int, seconds: int) -> list[Row]:
    command = build_example("pull_cost")
    chain, codec, pulls, lossy = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="bench-pull-") as folder:
        path = Path(folder) / "speech.f32"
        talkers_voices()[0].astype("<f4").tofile(path)
        for repeat in range(1, repeats + 1):
            note(f"[{repeat}/{repeats}] {seconds} s of 25 talkers")
            chain_ns, codec_ns, pull_ns = run(command, path, seconds, 0)
            chain.append(chain_ns / 1e6 / seconds)
            codec.append(codec_ns / 1e6 / seconds)
            pulls.append(pull_ns / 1e6)
            lossy.append(run(command, path, seconds, LOSS_PCT)[2] / 1e6)
    period = [PERIOD_MS] * repeats
    return [
        Row.of_repeats(name=ROWS[0], value=chain, against=codec, kind="limit", limit=LIMIT),
        Row.of_repeats(name=ROWS[1], value=pulls, against=period, kind="budget", limit=PART),
        Row.of_repeats(name=ROWS[2], value=lossy, against=period, kind="budget", limit=PART),
    ]


def run(command: Path, speech: Path, seconds: int, loss_pct: int) -> list[int]:
    """Nanoseconds of the chain, of libopus, and of the pull that one in a thousand exceeds."""
    words = [command, speech, str(seconds), str(loss_pct)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]
