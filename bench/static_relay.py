"""The relay alone, for load generators: members from a file, no control plane.

    python -m bench.static_relay --static-sessions FILE --bind 127.0.0.1:PORT

FILE has one member a line: `index room speaker ssrc key_hex ip port`. Everyone hears everyone else in the room. As in a
real server, a member must be seen by IP discovery before it is sent anything: start the load with --discover.
The port opens after FILE is read. Runs until SIGTERM.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from raccall._native import Relay, RelayCore

MODE = "aead_aes256_gcm_rtpsize"
LOOK_INTERVAL_S = 0.02


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


def settle_members(relay: Relay, members: list[Member]) -> None:
    """Select each member's address as soon as discovery has seen it."""
    while members:
        time.sleep(LOOK_INTERVAL_S)
        seen = [member for member in members if (relay.session_stats(member.id) or {})["observed"]]
        for member in seen:
            relay.set_address(member.id, member.address, proven=True)
        members = [member for member in members if member not in seen]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.static_relay", description="The relay alone, under load.")
    parser.add_argument("--static-sessions", type=Path, required=True, metavar="FILE")
    parser.add_argument("--bind", required=True, metavar="HOST:PORT")
    parser.add_argument("--threads", type=int, default=1, help="SSRCs of one room must share their lowest byte, if > 1")
    parser.add_argument("--portable", action="store_true", help="one system call per datagram")
    options = parser.parse_args()
    members = read_members(options.static_sessions)
    host, _, port = options.bind.rpartition(":")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    relay = Relay([(host.strip("[]"), int(port))], threads=options.threads, portable=options.portable, limited=False)
    try:
        add_members(relay, members)
        settle_members(relay, members)
        while True:
            signal.pause()
    finally:
        print({name: count for name, count in relay.counters().items() if count}, file=sys.stderr)
        relay.stop()


if __name__ == "__main__":
    sys.exit(main())
