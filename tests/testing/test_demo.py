"""The promise of the project in one test: two people over a bad network, each track is what its speaker said, in place.

The witness is libsndfile with its own libopus: not our decoder. Real sockets, so a few seconds of real time.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.cli.main import main
from raccall.testing.dialogue import OWN_SPEECH, compose
from raccall.units import FRAME_MS, SAMPLE_RATE_HZ

pytestmark = pytest.mark.realtime


@pytest.fixture
def short_speech(tmp_path: Path) -> Path:
    """The first 2.5 s of one file of each voice."""
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in ("anna", "ben"):
        samples, rate = soundfile.read(OWN_SPEECH / f"{name}_1.flac", dtype="float32")
        soundfile.write(folder / f"{name}_1.flac", samples[: int(2.5 * rate)], rate)
    return folder


STEPS = 5 * SAMPLE_RATE_HZ // 1000
"""Packets lie on a grid of 2.5 ms: a pause between two sentences may be a step or two longer or shorter."""


def place(said: np.ndarray, track: np.ndarray) -> int:
    """The sample of `track` at which `said` begins."""
    size = 1 << (len(said) + len(track)).bit_length()
    spectrum = np.fft.rfft(track, size) * np.conj(np.fft.rfft(said, size))
    return int(np.fft.irfft(spectrum, size)[: len(track)].argmax())


def likeness(said: np.ndarray, heard: np.ndarray) -> float:
    """How alike they are, 1 is the same: correlation of each second in its place, weighted by its energy."""
    alike = energy = 0.0
    for start in range(STEPS, len(said) - SAMPLE_RATE_HZ, SAMPLE_RATE_HZ):
        second = said[start : start + SAMPLE_RATE_HZ]
        around = heard[start - STEPS : start + SAMPLE_RATE_HZ + STEPS]
        if second.any() and len(around) == SAMPLE_RATE_HZ + 2 * STEPS:
            products = np.correlate(around, second, "valid")
            power = np.sum(second**2)
            alike += products.max() / np.sqrt(power * np.sum(around**2)) * power
            energy += power
    return float(alike / energy)


@pytest.mark.parametrize(("loss", "least_likeness"), [(5, 0.8), (20, 0.6)])
def test_each_track_is_what_was_said_and_in_its_place(
    loss: int, least_likeness: float, short_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "call"
    words = ["demo", "--out", str(out), "--speech", str(short_speech), "--loss", str(loss), "--json"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert [speaker["name"] for speaker in result["speakers"]] == ["anna", "ben"]

    places_ms, lengths = [], set()
    for speaker in result["speakers"]:
        said, _ = soundfile.read(speaker["speech"], dtype="float32")
        track, rate = soundfile.read(speaker["track"], dtype="float32")
        assert rate == SAMPLE_RATE_HZ
        begin = place(said, track)
        assert likeness(said, track[begin:]) >= least_likeness
        places_ms.append(begin * 1000 / SAMPLE_RATE_HZ)
        lengths.add(len(track))
        assert speaker["uplink_lost_packets"] > 0
    assert len(lengths) == 1, "tracks start together and are equally long"
    assert abs(places_ms[0] - places_ms[1]) <= FRAME_MS
    assert json.loads((Path(result["recording"]) / "summary.json").read_text())["complete"]


def test_a_dialogue_gives_everyone_the_same_length_and_a_turn_alone() -> None:
    anna, ben = compose()
    assert (anna.name, ben.name) == ("anna", "ben")
    assert len(anna.samples) == len(ben.samples)
    alone = [np.abs(anna.samples) * (ben.samples == 0), np.abs(ben.samples) * (anna.samples == 0)]
    assert all(voice.max() > 0.1 for voice in alone)


@pytest.mark.parametrize("files", [[], ["one.wav"]])
def test_a_folder_without_two_voices_is_one_clear_sentence(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in files:
        soundfile.write(tmp_path / name, np.zeros(100), 8000)
    assert main(["demo", "--out", str(tmp_path / "out"), "--speech", str(tmp_path)]) == 2
    assert "[no_speech]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_strange_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "[folder_not_empty]" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"
