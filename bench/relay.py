"""What one forwarded packet costs the relay, as a ratio to a forwarder in C that does nothing else.

The floor (peers/fwd.c) receives, opens, seals and sends in the same batches, with hand-written AES-NI code, and has no
control plane, replay window, statistics or RTCP. Over nine tenths of its cost is the kernel's. The load generator
(peers/relayload.c) keeps 32 packets in flight and opens a sample of what arrives. In each repetition both are
started, loaded and stopped in turn, so that both meet the same machine; CPU time is that of the whole process, kernel
included. Nanoseconds do not travel between machines; the ratio does.
"""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import Report, Row, note

CLAIM = "A forwarded packet costs at most 1.5 times the CPU of a bare forwarder in C, in rooms of 10 and of 100"
LIMIT = 1.5
ROOMS = ((20, 10), (2, 100))
"""(rooms, members): 200 members each time, one of each room speaks."""
STEP = "w32"
REPEATS, SECONDS = 5, 1.5
QUICK_REPEATS, QUICK_SECONDS = 1, 0.7

HERE = Path(__file__).parent
PEERS, BUILD = HERE / "peers", HERE / "build"
HOST = "127.0.0.1"
SERVER_CPU, LOAD_CPU = 0, 1
READY_S, STOP_S, LOAD_EXTRA_S = 20, 5, 30


class CannotRun(Exception):
    """Something that the measurement needs is missing; says what to do."""


def measure(quick: bool) -> Report:
    try:
        build_peers()
        rows = compare(QUICK_REPEATS if quick else REPEATS, QUICK_SECONDS if quick else SECONDS)
    except CannotRun as problem:
        missing = {"value": None, "against": None, "kind": "limit", "limit": LIMIT, "problem": str(problem)}
        rows = [Row(name=row_name(members), **missing) for _, members in ROOMS]  # type: ignore[arg-type]
    return Report(claim=CLAIM, unit="ns", rows=rows)


def compare(repeats: int, seconds: float) -> list[Row]:
    results: dict[tuple[int, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-relay-") as folder:
        for repeat in range(1, repeats + 1):
            for rooms, members in ROOMS:
                for name, server in SERVERS.items():
                    note(f"[{repeat}/{repeats}] {rooms} rooms of {members}: {name}")
                    result = measure_once(server, Load(rooms, members, seconds, Path(folder)))
                    results.setdefault((members, name), []).append(result)
    return [row(members, results[members, RELAY], results[members, FLOOR]) for _, members in ROOMS]


def row(members: int, relay: list[dict[str, Any]], floor: list[dict[str, Any]]) -> Row:
    return Row.of_repeats(
        name=row_name(members),
        value=[result["ns_per_fwd"] for result in relay],
        against=[result["ns_per_fwd"] for result in floor],
        kind="limit",
        limit=LIMIT,
        problem=wrong_results(relay + floor),
    )


def row_name(members: int) -> str:
    return f"room of {members}"


def wrong_results(results: list[dict[str, Any]]) -> str:
    if any(result["bad"] for result in results):
        return "packets arrived changed, in a wrong room or at their sender"
    if not all(result["verified"] for result in results):
        return "no packet arrived that could be checked"
    return ""


# ---- the two servers ----


@dataclass(frozen=True, slots=True)
class Server:
    command: tuple[str, ...]
    discovers: bool
    """Whether members must be seen by IP discovery first; the floor believes its file."""


FLOOR, RELAY = "C floor", "raccall"
SERVERS = {
    FLOOR: Server((str(BUILD / "fwd"),), discovers=False),
    RELAY: Server((sys.executable, "-m", "bench.static_relay"), discovers=True),
}


def build_peers() -> None:
    """Compile the floor and the load generator into bench/build, once per change of their sources."""
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64"):
        raise CannotRun("the C floor needs Linux on x86-64")
    compiler = shutil.which("cc")
    if not compiler:
        raise CannotRun("the C floor needs a C compiler (Debian: apt-get install build-essential)")
    BUILD.mkdir(exist_ok=True)
    newest = max(source.stat().st_mtime for source in PEERS.iterdir())
    for name, libraries in {"fwd": ["-lcrypto"], "relayload": ["-lssl", "-lcrypto", "-lpthread"]}.items():
        target = BUILD / name
        if target.exists() and target.stat().st_mtime >= newest:
            continue
        command = [compiler, "-O3", "-march=native", "-o", str(target), str(PEERS / f"{name}.c"), *libraries]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode and "openssl/" in done.stderr:
            raise CannotRun("the load generator needs OpenSSL's headers (Debian: apt-get install libssl-dev)")
        if done.returncode:
            raise CannotRun(f"{name}.c could not be built: {done.stderr.strip().splitlines()[-1]}")


# ---- one measurement ----


@dataclass(frozen=True, slots=True)
class Load:
    rooms: int
    members: int
    seconds: float
    folder: Path

    def shape(self) -> list[str]:
        return ["--rooms", str(self.rooms), "--size", str(self.members), "--speakers", "1"]

    def sessions(self) -> Path:
        path = self.folder / f"sessions-{self.rooms}x{self.members}.txt"
        if not path.exists():
            command = [str(BUILD / "relayload"), "--gen-sessions", *self.shape()]
            path.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return path


def measure_once(server: Server, load: Load) -> dict[str, Any]:
    """Start a server, load it, stop it. Returns what the load generator says, `ns_per_fwd` among it."""
    sessions, port = load.sessions(), free_port()
    start = [*server.command, "--static-sessions", str(sessions), "--bind", f"{HOST}:{port}"]
    with running(start, port, load.folder / "server.log") as process:
        command = [str(BUILD / "relayload"), "--server", f"{HOST}:{port}", "--sessions", str(sessions), *load.shape()]
        command += ["--steps", STEP, "--secs", str(load.seconds), "--warm", "0.3", "--pid", str(process.pid)]
        command += ["--discover"] if server.discovers else []
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=load.seconds + LOAD_EXTRA_S,
            preexec_fn=on_cpu(LOAD_CPU),
        )
    if done.returncode:
        raise CannotRun(done.stderr.strip())
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server from the moment its port is open; ended by its own id afterwards, whatever happened."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=HERE.parent, preexec_fn=on_cpu(SERVER_CPU)
        )
    try:
        wait_until_open(process, port, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not udp_port_open(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotRun(f"{process.args} did not open its port: {log.read_text()[-500:]}")  # type: ignore[str-bytes-safe]
        time.sleep(0.02)


def udp_port_open(port: int) -> bool:
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(int(line.split()[1].split(":")[1], 16) == port for line in lines)


def free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def on_cpu(cpu: int) -> Callable[[], None]:
    """Server and load on different processors, where there are two."""
    usable = os.sched_getaffinity(0)
    return lambda: os.sched_setaffinity(0, {cpu} & usable or usable)
