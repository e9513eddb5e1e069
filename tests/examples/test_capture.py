"""The tutorial's program keeps its promises."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.audio import devices
from raccall.testing.dialogue import OWN_SPEECH

pytestmark = pytest.mark.realtime

PROGRAM = Path(__file__).parents[2] / "examples" / "capture.py"


@pytest.fixture
def speech(tmp_path: Path) -> str:
    """More than 12 s of speech at 16 kHz."""
    clips = [soundfile.read(file, dtype="float32") for file in sorted(OWN_SPEECH.glob("*.flac"))]
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.concatenate([samples for samples, _ in clips]), clips[0][1])
    return str(path)


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROGRAM), run_name="__main__")
    return int(ended.value.code or 0)


def test_twelve_seconds_get_nineteen_times_smaller(
    speech: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--file", speech], monkeypatch) == 0
    *seconds, last = capsys.readouterr().out.splitlines()[1:]
    assert len(seconds) == 12
    assert all("32000 bytes raw" in line for line in seconds)
    found = re.fullmatch(r"(\d+) packets, (\d+) bytes raw, (\d+) as Opus: ([\d.]+) times smaller", last)
    assert found
    packets, raw_bytes, opus_bytes = map(int, found.groups()[:3])
    assert (packets, raw_bytes) == (600, 384_000)
    assert raw_bytes / opus_bytes >= 19


def test_960_frames_at_16_khz_are_60_ms(
    speech: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--file", speech, "--chunk-ms", "60"], monkeypatch)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "960 frames per chunk: 60 ms at 16000 Hz"
    assert last.startswith("200 packets, 384000 bytes raw")


@pytest.mark.parametrize("chunk_ms", [2.5, 5, 10, 20, 40, 60])
def test_every_chunk_length_loses_nothing(
    chunk_ms: float, speech: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--file", speech, "--chunk-ms", str(chunk_ms), "--json"], monkeypatch) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["packets"], result["raw_bytes"]) == (12_000 / chunk_ms, 384_000)


def test_a_missing_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--file", str(tmp_path / "missing.wav"), "--json"], monkeypatch) == 1
    printed = capsys.readouterr()
    assert printed.err == f"{tmp_path / 'missing.wav'} cannot be opened: no such file or directory.\n"
    assert not printed.out


def test_a_missing_microphone_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "list_devices", lambda: [])
    assert run(["--json"], monkeypatch) == 1
    assert capsys.readouterr().err == "No microphone was found: plug one in, or use --file.\n"


def test_the_page_about_it_tells_the_truth(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = PROGRAM.parents[1]
    page = (root / "docs/how-to/capture.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL))
    exec(compile(blocks["python"], "capture.md", "exec"), {})

    command, _, shown = blocks["console"].partition("\n")
    monkeypatch.chdir(root)
    run(command.removeprefix("$ python examples/capture.py ").split(), monkeypatch)
    first, second, *_, last = capsys.readouterr().out.splitlines()
    opus = re.compile(r"\d+ as Opus.*")  # how small exactly is the encoder's affair
    expected = [first, opus.sub("", second), "...", opus.sub("", last)]
    assert [opus.sub("", line) for line in shown.splitlines()] == expected
