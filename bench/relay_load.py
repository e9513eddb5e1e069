"""Relays under load, one after the other: the C floor, Mumble's server and ours. For the benchmarks of the relay."""

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

from bench import murmur
from bench.report import CannotRun

Result = dict[str, Any]
"""What the load generator says: `ns_per_fwd`, `p50_us`, `expected` and `arrived` packets, `bad` ..."""

HERE = Path(__file__).parent
PEERS, BUILD = HERE / "peers", HERE / "build"
HOST = "127.0.0.1"
SERVER_CPU, LOAD_CPU = 0, 1
BASE_PORT = 12_000
READY_S, STOP_S, LOAD_EXTRA_S = 20, 5, 60
CLOSED_LOOP = "w32"
"""32 packets in flight: the most that every relay can do without loss."""
REAL_RATE = "50"
"""Packets a second and speaker: speech."""


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    arguments: tuple[str, ...] = ()
    protocol: str = "rtp"

    def command(self, load: "Load", port: int) -> list[str]:
        if self.protocol == "mumble":
            return murmur.prepare(Path(tempfile.mkdtemp(dir=load.folder)), port, rooms=load.rooms)
        return [*self.arguments, "--static-sessions", str(load.sessions()), "--bind", f"{HOST}:{port}"]


FLOOR = Server("C floor", (str(BUILD / "fwd"),))
RELAY = Server("raccall", (sys.executable, "-m", "bench.static_relay"))
TWO_THREADS = Server("raccall, two threads", (*RELAY.arguments, "--threads", "2"))
MURMUR = Server("mumble-server", protocol="mumble")


@dataclass(frozen=True, slots=True)
class Load:
    """So many rooms, in each of which one member speaks."""

    rooms: int
    members: int
    seconds: float
    folder: Path
    step: str = CLOSED_LOOP

    def shape(self) -> list[str]:
        # Members are addresses of their own on one port: another benchmark at the same time needs another port.
        port = str(BASE_PORT + os.getpid() % BASE_PORT)
        return ["--rooms", str(self.rooms), "--size", str(self.members), "--speakers", "1", "--base-port", port]

    def sessions(self) -> Path:
        path = self.folder / f"sessions-{self.rooms}x{self.members}.txt"
        if not path.exists():
            command = [str(BUILD / "relayload"), "--gen-sessions", *self.shape()]
            path.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return path


@contextmanager
def working_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-relay-") as folder:
        os.chmod(folder, 0o755)  # mumble-server runs as another user
        yield Path(folder)


def wrong_results(results: list[Result]) -> str:
    """Why the numbers prove nothing, if packets were not what they should be; else nothing."""
    if any(result["bad"] for result in results):
        return "packets arrived changed, in a wrong room or at their sender"
    if not all(result["verified"] for result in results):
        return "no packet arrived that could be checked"
    return ""


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


def measure_once(server: Server, load: Load) -> Result:
    """Start a server, load it, stop it."""
    result, _ = measure_and_read(server, load)
    return result


def measure_and_read(server: Server, load: Load) -> tuple[Result, str]:
    """The same, with what the server wrote."""
    port, log = free_port(), load.folder / "server.log"
    with running(server.command(load, port), port, log) as process:
        command = [str(BUILD / "relayload"), "--proto", server.protocol, "--server", f"{HOST}:{port}", *load.shape()]
        command += ["--steps", load.step, "--secs", str(load.seconds), "--warm", "0.3", "--pid", str(process.pid)]
        command += ["--sessions", str(load.sessions())] if server.protocol == "rtp" else []
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=load.seconds + LOAD_EXTRA_S,
            preexec_fn=on_cpu(LOAD_CPU),
        )
    if done.returncode:
        raise CannotRun(done.stderr.strip())
    return json.loads(done.stdout), log.read_text()


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
