"""What a server finds: it says so in a sentence, or does without. Never a traceback."""

import errno
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from raccall.errors import InputError
from raccall.server.binding import bind
from raccall.server.relay import MediaRelay
from tests.server.conftest import FakeRelay

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(sys.platform == "win32", reason="limits and families are changed as Unix does"),
]
SERVE = "from raccall.cli.main import main; raise SystemExit(main())"

WITHOUT_BATCHES = """
import ctypes, json, socket, struct
BPF = struct.Struct("HBBI")
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 38  # ENOSYS
filter = [BPF.pack(0x20, 0, 0, 0), BPF.pack(0x15, 1, 0, 299), BPF.pack(0x15, 0, 1, 307), BPF.pack(6, 0, 0, REFUSE),
          BPF.pack(6, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(filter))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(filter), ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
if libc.prctl(22, 2, program) != 0:
    raise SystemExit(77)
from raccall._native import Relay
relay = Relay([("127.0.0.1", 0)])
relay.add_session(1, 9, "aead_aes256_gcm_rtpsize", bytes(32))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.sendto(struct.pack(">HHI66x", 1, 70, 9), relay.addresses[0])
    print(len(client.recv(100)))
"""


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="numbers of Linux on x86-64")
def test_a_kernel_without_recvmmsg_is_served_one_datagram_at_a_time() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_BATCHES], capture_output=True, text=True, timeout=60)
    if ended.returncode == 77:
        pytest.skip("this system allows no system call filter")
    assert (ended.stdout, ended.stderr) == ("74\n", "")


def test_too_few_file_descriptors_are_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, "serve", "--port", "0", "--data", str(tmp_path)]
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))  # noqa: E731
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=few)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "too few files" in ended.stderr and "[files_short]" in ended.stderr


def test_a_server_takes_as_many_file_descriptors_as_it_may(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, "serve", "--port", "0", "--data", str(tmp_path), "--json"]
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 512))  # noqa: E731
    with subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=few) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["port"]
        if sys.platform == "linux":
            limits = Path(f"/proc/{server.pid}/limits").read_text()
            assert "Max open files            512" in limits
        server.terminate()
        assert server.wait(30) == 0


def without(family: socket.AddressFamily) -> object:
    """A machine that lacks an address family."""

    class Socket(socket.socket):
        def __init__(self, wanted: int = socket.AF_INET, *args: int, **more: int) -> None:
            if wanted == family:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(wanted, *args, **more)

    return patch("raccall.server.binding.socket.socket", Socket)


def test_without_ipv6_the_loopback_of_ipv4_is_enough() -> None:
    with without(socket.AF_INET6):
        binding = bind(("127.0.0.1", "::1"), 0, FakeRelay)
    assert binding.hosts == ["127.0.0.1"]
    binding.close()


def test_an_address_of_a_missing_family_is_a_sentence() -> None:
    with without(socket.AF_INET6), pytest.raises(InputError, match="This machine has no IPv6") as refused:
        bind(("::",), 0, FakeRelay)
    assert refused.value.code == "address_unusable"


def test_a_port_that_only_udp_lacks_is_busy() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as refused:
            bind(("127.0.0.1",), port, MediaRelay)
    assert refused.value.code == "port_busy"
