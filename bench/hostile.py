"""Ten million hostile datagrams against a live relay on loopback, while two members talk through it.

The storm is `crates/relay/tests/storm.rs`: noise, cut, bit-flipped and replayed packets of members, wrong and unknown
sources, RTCP, IP discovery, STUN, and a member gone mad who seals anything with a valid key. Half of it meets the
limits for each address, as in earnest; the other half is let through to every parser. It is paced by the relay's own
count, so that the kernel drops nothing and whatever the members miss the relay has lost.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench.report import Report, Row, note

CLAIM = "Ten million hostile datagrams cost the voice of others no packet and the relay no memory"
DATAGRAMS, QUICK_DATAGRAMS = 10_000_000, 1_000_000
GROWTH_KIB = 1024
"""What an allocator may keep of anything; a byte for each datagram would be ten times that."""
ROOT = Path(__file__).parent.parent


def measure(quick: bool) -> Report:
    datagrams = QUICK_DATAGRAMS if quick else DATAGRAMS
    try:
        storms = blow(datagrams)
    except RuntimeError as problem:
        missing = {"value": None, "against": None, "kind": "budget", "limit": 1.0, "problem": str(problem)}
        return Report(claim=CLAIM, unit="", rows=[Row(name="the storm", **missing)])  # type: ignore[arg-type]
    return Report(claim=CLAIM, unit="% heard, KiB grown", rows=[row for storm in storms for row in rows_of(storm)])


def rows_of(storm: dict[str, Any]) -> list[Row]:
    name = "limits on" if storm["limited"] else "limits off"
    said = storm["heard"] + storm["lost"]
    beside = {"hostile": storm["hostile"], "seconds": storm["seconds"]} | storm["counts"]
    heard = Row(
        name=f"{name}: voice heard",
        value=100 * storm["heard"] / said,
        against=100.0,
        kind="limit",
        limit=1.0,
        better="higher",
        beside=beside,
    )
    growth = storm["growth_bytes"] / 1024
    return [heard, Row(name=f"{name}: memory", value=growth, against=GROWTH_KIB, kind="budget", limit=1.0)]


def blow(datagrams: int) -> list[dict[str, Any]]:
    """The storm's own account, with the limits and without. Raises RuntimeError if it cannot run or a promise broke."""
    if shutil.which("cargo") is None:
        raise RuntimeError("cargo is missing: the storm is a Rust test")
    note(f"{datagrams} datagrams")
    command = ["cargo", "test", "--quiet", "--release", "--package", "raccall-relay", "--test", "storm"]
    ended = subprocess.run(
        [*command, "--", "--ignored", "--nocapture"],
        cwd=ROOT,
        env=os.environ | {"HOSTILE_DATAGRAMS": str(datagrams)},
        capture_output=True,
        text=True,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"the storm ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-300:]}")
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
