"""`raccall doctor`: what it finds, here and there, and what it says to do."""

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from raccall.cli import doctor as command
from raccall.cli.checks import Machine, certificate, here, there
from raccall.cli.checks.findings import Status
from raccall.cli.main import main
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice import call as voice_call
from raccall.voice.tunnel import Tunnel

pytestmark = pytest.mark.realtime

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_sound_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They depend on the machine (test_doctor_sound.py)."""
    monkeypatch.setattr(command, "SOUND", [])


async def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit code, and findings by check."""
    code = await asyncio.to_thread(main, ["doctor", *words, "--json"])
    by_check: dict[str, list[dict[str, Any]]] = {}
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0)
    for finding in told["findings"]:
        assert finding["do"] or finding["status"] == "ok", "each finding says what to do"
        by_check.setdefault(finding["check"], []).append(finding)
    return code, by_check


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
async def test_a_server_that_works_is_well(tmp_path: Path, tls: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data", tls=tls)) as server:
        code, found = await doctor(capsys, server.invite())
    assert code == 0
    assert found.keys() == {"server", "clock", "voice"} | ({"certificate"} if tls else set())
    assert {finding["status"] for findings in found.values() for finding in findings} == {"ok"}


async def test_blocked_udp_is_told_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(voice_call, "UDP_TIMEOUT_MS", 300)
        real = voice_call.Engine
        monkeypatch.setattr(voice_call, "Engine", lambda address: real(silent.getsockname()))
        async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
            code, found = await doctor(capsys, server.invite())
            (finding,) = found["voice"]
            assert (code, finding["status"]) == (0, "warning")
            assert f"Open UDP port {server.port}" in finding["do"]

            async def broken(*_: object) -> Tunnel:
                raise OSError

            monkeypatch.setattr(Tunnel, "open", broken)
            code, found = await doctor(capsys, server.invite())
            assert (code, found["voice"][0]["status"]) == (1, "problem")


async def test_nobody_there_is_a_problem_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = await doctor(capsys, "http://127.0.0.1:1/join/token")
    assert code == 1 and found["server"][0]["status"] == "problem"
    assert main(["doctor", "nonsense"]) == 2
    assert capsys.readouterr().err.endswith("[invite_malformed]\n")


def test_this_machine_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        main(["doctor", "--data", str(tmp_path / "data"), "--port", str(port)])
    out = capsys.readouterr().out
    assert f"WARN  TCP port {port} is in use." in out and f"ok    UDP port {port} is free" in out
    for name in ("receive buffer", "may be open", "can be written", "are free at"):
        assert name in out


def statuses(check: Any, data: Path) -> list[Status]:
    return [finding.status for finding in check(Machine(port=0, data=data))]


def test_what_is_short_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert statuses(here.own_certificate, tmp_path) == []
    (tmp_path / "certificate.pem").write_text("no certificate")
    assert statuses(here.own_certificate, tmp_path) == [Status.PROBLEM]
    tmp_path.chmod(0o755)
    assert statuses(here.data_folder, tmp_path) == [Status.WARNING]
    (tmp_path / "file").write_text("")
    assert statuses(here.data_folder, tmp_path / "file") == [Status.PROBLEM]
    for limit, status in ((10, Status.PROBLEM), (1024, Status.WARNING), (4096, Status.OK)):
        resource = pytest.importorskip("resource")
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, limit))
        assert statuses(here.file_descriptors, tmp_path) == [status]
    for free, status in ((10 << 30, Status.OK), (1 << 30, Status.WARNING), (1 << 20, Status.PROBLEM)):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(here.shutil, "disk_usage", lambda path, usage=usage: usage)
        assert statuses(here.disk, tmp_path / "not" / "there") == [status]
    monkeypatch.setattr(here.MediaRelay, "shortage", "The system grants 208 KiB.")
    assert statuses(here.receive_buffer, tmp_path) == [Status.WARNING]


@pytest.mark.parametrize(("skew_s", "status"), [(0, "ok"), (-60, "warning"), (60, "warning"), (4000, "problem")])
def test_a_clock_that_is_off_is_told(skew_s: int, status: str) -> None:
    asked = NOON + timedelta(seconds=skew_s)
    (finding,) = there.clock("Sat, 21 Nov 2026 12:00:00 GMT", asked, asked + timedelta(seconds=0.2))
    assert finding.status == status
    assert status != "warning" or ("ahead" in finding.says) == (skew_s > 0)
    assert list(there.clock("yesterday", asked, asked)) == []


async def test_certificates_that_are_old_foreign_or_another(tmp_path: Path) -> None:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path, tls=True)):
        pem = (tmp_path / "certificate.pem").read_bytes()
    known = x509.load_pem_x509_certificate(pem)
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    der, own, end = known.public_bytes(Encoding.DER), known.fingerprint(SHA256()), known.not_valid_after_utc

    def look(host: str | None, pinned: bytes | None, wall: datetime) -> list[str]:
        return [finding.status for finding in certificate.look(der, host, pinned, wall)]

    begun = known.not_valid_before_utc + timedelta(hours=1)
    assert look("elsewhere.example", own, begun) == ["ok"]
    assert look("elsewhere.example", bytes(32), begun) == ["ok", "problem"]
    assert look("elsewhere.example", None, begun) == ["ok", "problem"]
    assert look(None, None, end - timedelta(days=3)) == ["warning"]
    assert look(None, None, end + timedelta(days=3)) == ["problem"]
    assert look(None, None, begun - timedelta(days=3)) == ["problem"]
