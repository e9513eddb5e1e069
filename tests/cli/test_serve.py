"""`raccall serve` as a program."""

import json
import signal
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.realtime

SERVE = [sys.executable, "-W", "error", "-c", "from raccall.cli.main import main; raise SystemExit(main())", "serve"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_stops_when_told(tmp_path, number):
    command = [*SERVE, "--port", "0", "--data", str(tmp_path / "data"), "--room", "attic", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        started = json.loads(server.stdout.readline())
        assert started["invite"].startswith(f"{started['url']}/join/")
        assert started["port"] > 0 and len(started["owner_token"]) == 64
        server.send_signal(number)
        assert server.wait(10) == 0
        assert "Traceback" not in server.stderr.read()


def test_a_busy_port_is_one_sentence_and_exit_code_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [*SERVE, "--host", "127.0.0.1", "--port", port, "--data", str(tmp_path / "data")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1 and ended.stderr.endswith("[port_busy]\n")
    assert not (tmp_path / "data").exists()


def test_plain_text_beyond_this_machine_must_be_asked_for(tmp_path):
    command = [*SERVE, "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2 and ended.stderr.endswith("[tls_required]\n")
