"""How long a packet of real speech stays in the relay, against the forwarder in C.

At 50 packets a second and speaker the processor sleeps between packets, so what is measured is mostly how fast a thread
wakes up. The slowest hundredth on a busy machine are other programs' time slices: shown beside, without a limit.
"""

from bench.relay_load import (
    FLOOR,
    REAL_RATE,
    RELAY,
    Load,
    Result,
    build_peers,
    measure_once,
    working_folder,
    wrong_results,
)
from bench.report import CannotRun, Report, Row, note

CLAIM = (
    "At the rate of speech half of the packets pass the relay within 1.3 times what they take in a bare forwarder in C"
)
LIMIT = 1.3
ROOMS = {2: 50, 10: 20, 100: 2}
REPEATS, SECONDS = 5, 2.0
QUICK_REPEATS, QUICK_SECONDS = 3, 1.0


def measure(quick: bool) -> Report:
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    try:
        build_peers()
        with working_folder() as folder:
            rows = [compare(Load(rooms, size, seconds, folder, REAL_RATE), repeats) for size, rooms in ROOMS.items()]
    except CannotRun as problem:
        row = Row.unmeasured("p50", "limit", problem, LIMIT)
        rows = [row]
    return Report(claim=CLAIM, unit="us", rows=rows)


def compare(load: Load, repeats: int) -> Row:
    mine: list[Result] = []
    floor: list[Result] = []
    for repeat in range(1, repeats + 1):
        for server, results in ((FLOOR, floor), (RELAY, mine)):
            note(f"[{repeat}/{repeats}] {load.rooms} rooms of {load.members}: {server.name}")
            results.append(measure_once(server, load))
    return Row.of_repeats(
        name=f"room of {load.members}, p50",
        value=[result["p50_us"] for result in mine],
        against=[result["p50_us"] for result in floor],
        kind="limit",
        limit=LIMIT,
        problem=wrong_results(mine + floor),
        beside={"p99": middle(mine, "p99_us"), "p99 of the floor": middle(floor, "p99_us")},
    )


def middle(results: list[Result], field: str) -> float:
    return sorted(float(result[field]) for result in results)[len(results) // 2]
