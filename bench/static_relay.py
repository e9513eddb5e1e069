"""The relay alone, for load generators: members from a file, no control plane.

    python -m bench.static_relay --static-sessions FILE --bind 127.0.0.1:PORT

FILE has one member a line: `index room speaker ssrc key_hex ip port`. Everyone hears everyone else in the room. Its
addresses are believed; IP discovery is answered, but not needed. Rates are not limited; all else is on: replay windows,
statistics, RTCP, the choice of the loudest. The port opens after FILE is read. Runs until SIGTERM.
"""

import argparse
import ctypes
import json
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from raccall._native import Relay, RelayCore

MODE = "aead_aes256_gcm_rtpsize"
FREEZE_AFTER_S = 1.5
"""By then the load is on."""


@dataclass(frozen=True, slots=True)
class Member:
    id: int
    room: int
    ssrc: int
    key: bytes
    address: tuple[str, int]


def read_members(path: Path) -> list[Member]:
    members = []
    for line in path.read_text().splitlines():
        index, room, _speaker, ssrc, key, ip, port = line.split()
        members.append(Member(int(index) + 1, int(room), int(ssrc), bytes.fromhex(key), (ip, int(port))))
    return members


def add_members(relay: Relay | RelayCore, members: list[Member]) -> None:
    rooms: dict[int, list[int]] = {}
    for member in members:
        rooms.setdefault(member.room, []).append(member.id)
        relay.add_session(member.id, member.ssrc, MODE, member.key)
        relay.set_room(member.id, member.room, False)
    for member in members:
        relay.set_route(member.id, rooms[member.room])


def freeze_python(seconds: int) -> None:
    """One call of C that keeps the GIL. Prints for how long another thread of Python stood still."""
    longest_s, stop = 0.0, threading.Event()

    def tick() -> None:
        nonlocal longest_s
        before = time.monotonic()
        while not stop.wait(0.01):
            longest_s, before = max(longest_s, time.monotonic() - before), time.monotonic()

    ticking = threading.Thread(target=tick)
    ticking.start()
    time.sleep(0.1)
    ctypes.PyDLL(None).sleep(seconds)
    time.sleep(0.1)
    stop.set()
    ticking.join()
    print(f"python stood still for {longest_s:.2f} s", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.static_relay", description="The relay alone, under load.")
    parser.add_argument("--static-sessions", type=Path, required=True, metavar="FILE")
    parser.add_argument("--bind", required=True, metavar="HOST:PORT")
    parser.add_argument("--threads", type=int, default=1, help="SSRCs of one room must share their lowest byte, if > 1")
    parser.add_argument("--freeze", type=int, metavar="S", help="hold the GIL for S seconds, soon after the start")
    parser.add_argument("--portable", action="store_true", help="one system call per datagram")
    options = parser.parse_args()
    members = read_members(options.static_sessions)
    host, _, port = options.bind.rpartition(":")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    relay = Relay([(host.strip("[]"), int(port))], threads=options.threads, portable=options.portable, limited=False)
    try:
        add_members(relay, members)
        for member in members:
            relay.set_address(member.id, member.address, proven=True)
        if options.freeze:
            time.sleep(FREEZE_AFTER_S)
            freeze_python(options.freeze)
        while True:
            signal.pause()
    finally:
        print(json.dumps(relay.counters()), file=sys.stderr)
        relay.stop()


if __name__ == "__main__":
    sys.exit(main())
