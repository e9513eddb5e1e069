"""raccall import: a capture in, a recording out."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import Sender, encode, over_network, speech
from captures import KEY, frames, pcap, sealed, write

from raccall.cli.main import main

ANNA, BEN = 0xA, 0xB


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """An evening of 2021: two talkers, two seconds, one packet of another session, the last one cut."""
    payloads = encode(speech(2.0, seed=1), tmp_path)
    packets = over_network([Sender(ANNA, payloads), Sender(BEN, payloads[:50])], seed=1)
    datagrams = sealed(packets, "xsalsa20_poly1305_lite")
    foreign = sealed(packets[:1], "xsalsa20_poly1305_lite", key=bytes(32))
    return write(tmp_path / "evening.pcap", pcap(frames(datagrams[:1] + foreign + datagrams[1:]))[:-1])


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write(tmp_path / "key.txt", KEY.hex().encode())


def test_a_capture_becomes_a_recording(
    capture: Path, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = write(tmp_path / "users.json", b'{"10": "anna"}')
    words = ["import", str(capture), "--key-file", str(key_file), "--users", str(users), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "149 voice packets opened (xsalsa20_poly1305_lite)" in told.err
    assert "1 are sealed with another key" in told.err and "the file ends inside a packet" in told.err
    assert "anna: 99 packets" in told.out and "unknown-0000000b: 50 packets" in told.out
    assert sorted(file.name for file in (tmp_path / "out" / "tracks").iterdir()) == [
        "anna.opus",
        "unknown-0000000b.opus",
    ]
    assert KEY.hex() not in told.out + told.err
    assert all(KEY not in file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())


def test_the_key_from_the_environment_and_the_folder_from_the_name(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RACCALL_VOICE_KEY", str(list(KEY)))
    monkeypatch.chdir(tmp_path)
    assert main(["import", str(capture), "--mode", "xsalsa20_poly1305_lite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["recording"], told["capture_ended"]) == ("recorded", "evening", "cut")
    assert told["capture"] == {"opened": 149, "not_opened": 1}
    assert told["modes"] == {"xsalsa20_poly1305_lite": 149}
    assert (tmp_path / "evening" / "mix.opus").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "key_missing"),
        (["--key-file", "nothing.txt"], "file_unreadable"),
        (["--key-file", "users.json"], "key_malformed"),
        (["--key-file", "key.txt", "--users", "key.txt"], "users_malformed"),
        (["--key-file", "key.txt", "--users", "nothing.json"], "file_unreadable"),
        (["--key-file", "key.txt", "--server", "example.org"], "server_malformed"),
        (["--key-file", "key.txt", "--server", "5"], "no_voice"),
        (["--key-file", "key.txt", "--mode", "xsalsa20_poly1305"], "wrong_mode"),
        (["--key-file", "other.txt"], "nothing_opened"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: list[str],
    code: str,
    capture: Path,
    key_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RACCALL_VOICE_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "users.json", b'{"10": "anna"}')
    write(tmp_path / "other.txt", (bytes(31) + b"\x01").hex().encode())
    assert main(["import", str(capture), "--out", "out", *words]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and told.err.endswith(f"[{code}]\n")
    assert KEY.hex() not in told.err and not (tmp_path / "out").exists()


def test_no_key_on_the_command_line(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where every user of the machine would see it."""
    with pytest.raises(SystemExit):
        main(["import", str(capture), "--key", "FILE"])
    capsys.readouterr()
    for key in (KEY.hex(), str(list(KEY)), "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="):
        assert main(["import", str(capture), "--key-file", key]) == 2
        told = capsys.readouterr().err
        assert told.endswith("[key_on_command_line]\n") and key not in told
