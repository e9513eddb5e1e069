"""The relay as the load generator meets it."""

from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.static_relay import add_members, read_members
from raccall._native import RelayCore

LINES = """\
0 0 1 1000 {a} 127.10.1.0 40000
1 0 0 1001 {b} 127.10.1.1 40000
2 1 1 1002 {a} 127.10.1.2 40000
"""


def test_members_of_a_file_hear_their_own_room(tmp_path: Path) -> None:
    file = tmp_path / "sessions.txt"
    file.write_text(LINES.format(a="0a" * 32, b="0b" * 32))
    members = read_members(file)
    core = RelayCore()
    add_members(core, members)
    for member in members:
        core.forward(0, bytes([0, 1, 0, 70]) + member.ssrc.to_bytes(4, "big") + bytes(66), member.address)
        core.set_address(member.id, member.address, proven=True)
    header = bytes([0x80, 120]) + bytes(6) + (1000).to_bytes(4, "big")
    nonce = bytes(4)
    datagram = header + AESGCM(b"\x0a" * 32).encrypt(nonce + bytes(8), b"speech", header) + nonce
    ((_, address),) = core.forward(1, datagram, members[0].address)
    assert address == ("127.10.1.1", 40000)
