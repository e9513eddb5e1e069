"""Python stands still in the server process: does the relay?

One call of C holds the GIL for ten seconds while 20 rooms of 10 talk. A thread of Python beside tells for how long it
was really kept from running.
"""

import json
import re

from bench.relay_load import REAL_RATE, RELAY, Load, Server, build_peers, measure_and_read, working_folder
from bench.report import CannotRun, Report, Row

CLAIM = "A call that holds the GIL for ten seconds costs no packet"
ROOMS, MEMBERS = 20, 10
FREEZE_S, QUICK_FREEZE_S = 10, 3
AROUND_S = 5.0
"""The load goes on for so much longer, before and after."""
KEPT = 0.95
"""Of the time that Python must really have stood still."""
STOOD_STILL = re.compile(r"python stood still for ([\d.]+) s")
FAULTS = ("kernel_drops", "send_errors", "held_back", "no_address", "bad_seal", "replayed", "too_old")


def measure(quick: bool) -> Report:
    freeze_s = QUICK_FREEZE_S if quick else FREEZE_S
    try:
        build_peers()
        with working_folder() as folder:
            row = frozen(Load(ROOMS, MEMBERS, freeze_s + AROUND_S, folder, REAL_RATE), freeze_s)
    except CannotRun as problem:
        row = Row.unmeasured("lost", "limit", problem, 0)
    return Report(claim=CLAIM, unit="packets", rows=[row])


def frozen(load: Load, freeze_s: int) -> Row:
    server = Server(RELAY.name, (*RELAY.arguments, "--freeze", str(freeze_s)))
    result, log = measure_and_read(server, load)
    counters = json.loads(log.splitlines()[-1])
    stood_still = STOOD_STILL.search(log)
    still_s = float(stood_still[1]) if stood_still else 0.0
    not_copied = counters["opened"] * (MEMBERS - 1) - counters["forwarded"]
    lost = result["expected"] - result["arrived"] + not_copied + sum(counters[fault] for fault in FAULTS)
    return Row(
        name=f"lost in {freeze_s} s without the GIL",
        value=lost,
        against=result["expected"],
        kind="limit",
        limit=0,
        problem="" if still_s >= KEPT * freeze_s else f"Python stood still for {still_s:.1f} s only",
        beside={"python stood still, s": still_s, "p99 of the relay, us": result["p99_us"]},
    )
