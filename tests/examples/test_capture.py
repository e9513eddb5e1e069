"""The tutorial's program keeps its promises."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.testing.dialogue import OWN_SPEECH

PROGRAM = Path(__file__).parents[2] / "examples" / "capture.py"


@pytest.fixture
def speech(tmp_path: Path) -> str:
    """More than 12 s of speech at 16 kHz."""
    clips = [soundfile.read(file, dtype="float32") for file in sorted(OWN_SPEECH.glob("*.flac"))]
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.concatenate([samples for samples, _ in clips]), clips[0][1])
    return str(path)


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), *words])
    runpy.run_path(str(PROGRAM), run_name="__main__")


def test_twelve_seconds_get_nineteen_times_smaller(
    speech: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--file", speech], monkeypatch)
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
