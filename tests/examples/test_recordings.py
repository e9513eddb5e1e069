"""The library's example programs, and the programs in the pages about it, run as they stand."""

import ast
import inspect
import os
import re
import runpy
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from calls import Sender, encode, over_network, speech
from folders import ANNA, BEN, at, people, write_recording

from raccall.recorder import Stop
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).parents[2]


@pytest.fixture
def monday(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording in the working directory: anna speaks for three seconds, ben from the second one on."""
    monkeypatch.chdir(tmp_path)
    anna, ben = Sender(ANNA, encode(speech(3, 1), tmp_path)), Sender(BEN, encode(speech(3, 2), tmp_path), 1_500)
    packets = over_network([anna, ben], seed=1, jitter_ms=20)
    return write_recording(tmp_path / "monday", packets, [*people(), Stop(now=at(6_000), reason="test")])


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[str]:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        yield server.invite("lounge")


def run(program: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", [program, *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "examples" / program), run_name="__main__")
    return ended.value.code  # type: ignore[return-value]


def test_who_spoke_how_long(monday: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("who_spoke.py", "monday", monkeypatch=monkeypatch) == 0
    found = dict(re.findall(r"(\w+) +([\d.]+) s", capsys.readouterr().out))
    assert set(found) == {"anna", "ben"} and all(2 < float(seconds) < 4 for seconds in found.values())


def test_one_speaker_becomes_a_wav(monday: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("speaker_to_wav.py", "monday", "anna", "anna.wav", monkeypatch=monkeypatch) == 0
    with wave.open("anna.wav") as file:
        assert (file.getframerate(), file.getnchannels()) == (48_000, 1)
        assert file.getnframes() == pytest.approx(6.2 * 48_000, abs=48 * 100)


def test_a_recording_runs_through_another_listener(
    monday: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("replay.py", "monday", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "0000000a" in lines[0] and any("0000000a" in line and "0000000b" in line for line in lines)


@pytest.mark.parametrize("words", [("who_spoke.py", "missing"), ("speaker_to_wav.py", "monday", "zoe", "zoe.wav")])
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], monday: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, monkeypatch=monkeypatch) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("zoe.wav").exists()


async def test_a_call_is_recorded(
    link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = runpy.run_path(str(ROOT / "examples" / "record_thirty_seconds.py"))
    monkeypatch.setattr(sys, "argv", ["record", link, "--seconds", "0.2", "--out", str(tmp_path / "call")])
    assert await program["main"]() == 0
    said = capsys.readouterr().out  # how long exactly is the machine's affair
    assert "lounge, 0:0" in said and "nobody spoke" in said
    monkeypatch.setattr(sys, "argv", ["record", "nonsense"])
    assert await program["main"]() == 1


async def test_every_program_of_the_page_runs(link: str, monday: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to/library.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        names = {"LINK": link}
        # A program's own loop is this test's: the server of the call runs in it.
        code = compile(
            re.sub(r"asyncio\.run\((.*)\)$", r"await \1", block, flags=re.MULTILINE),
            "library.md",
            "exec",
            ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        if inspect.iscoroutine(running := eval(code, names)):
            await running
        if "bot" in names:
            await names["bot"](link)  # type: ignore[operator]
    assert {"monday-call", "monday.zip"} <= set(os.listdir())


async def test_the_page_about_forgetting_tells_the_truth(monday: Path) -> None:
    page = (ROOT / "docs/how-to/forget.md").read_text("utf-8")
    [block] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "forget.md", "exec"), names)
    assert names["gone"].packets == 150  # type: ignore[attr-defined]


def test_every_example_is_short() -> None:
    for name in ("record_thirty_seconds", "who_spoke", "speaker_to_wav", "replay"):
        assert len((ROOT / "examples" / f"{name}.py").read_text("utf-8").splitlines()) < 60
