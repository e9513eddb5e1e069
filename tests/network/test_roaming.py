"""Real sockets between network namespaces: a NAT that changes its mind, a network that changes its address.

The same in virtual time, for every system: tests/server/test_relay_core.py.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.network.netns import SERVER, Nat, behind_a_nat, reason_to_skip

REASON = reason_to_skip()
pytestmark = [pytest.mark.realtime, pytest.mark.skipif(REASON is not None, reason=REASON or "")]

SERVE = "from raccall.cli.main import main; raise SystemExit(main())"
TALK = Path(__file__).with_name("talk.py")
GAP_MS = 200
"""Of a call after a change (DESIGN section 5)."""
PACKET_MS = 20
BLOCKED_S = 6
FOUND_OUT_MS = 4500
"""Until both have gone to the WebSocket: three seconds without an answer, after the last one up to a second before."""


@contextmanager
def started(namespace: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", namespace, sys.executable, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes, env=os.environ) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def call(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Nat]]:
    """Anna talks and Ben listens, both behind the NAT."""
    with behind_a_nat() as (clients, servers, nat):
        serve = (
            "-c",
            SERVE,
            "serve",
            "--host",
            SERVER,
            "--insecure",
            "--port",
            "7420",
            "--data",
            str(tmp_path),
            "--json",
        )
        with started(servers, *serve) as server:
            link = json.loads(server.stdout.readline())["invite"]
            with started(clients, str(TALK), link) as talk:
                assert talk.stdout.readline() == "talking\n"
                yield talk, nat


def end(talk: subprocess.Popen[str]) -> dict[str, int]:
    assert talk.stdin is not None and talk.stdout is not None
    talk.stdin.write("\n")
    talk.stdin.flush()
    told: dict[str, int] = json.loads(talk.stdout.readline())
    return told


def test_a_rebound_nat_and_a_new_address_cost_less_than_200_ms_each(tmp_path: Path) -> None:
    with call(tmp_path) as (talk, nat):
        nat.rebind()  # other ports
        time.sleep(2)
        nat.rebind("10.78.0.11")  # another network
        time.sleep(2)
        told = end(talk)
    assert nat.dropped > 0, "the server did send to the old places"
    assert told["lost"] * PACKET_MS < 2 * GAP_MS
    assert told["silence_ms"] < GAP_MS
    assert told["route"] == "udp"


def test_blocked_udp_costs_seconds_and_no_more(tmp_path: Path) -> None:
    with call(tmp_path) as (talk, nat):
        nat.blocks_udp = True
        time.sleep(BLOCKED_S)
        nat.blocks_udp = False
        time.sleep(BLOCKED_S)
        told = end(talk)
    assert (told["route"], told["route_changes"]) == ("udp", 2), "into the WebSocket and back"
    assert told["silence_ms"] < FOUND_OUT_MS
