"""A speaker who sends next to nothing in silence (DTX) is recorded as one who sends it all."""

import json
from pathlib import Path

import numpy as np
import pytest
from calls import START, offset_ms
from folders import ANNA, at, people, read, write_recording

from raccall.recorder import Source, Stop, render
from raccall.testing.call import KEY, MODE, Samples, VirtualCall
from raccall.testing.dialogue import OWN_SPEECH, read_samples
from raccall.testing.network import GOOD_DSL
from raccall.voice.chains import SendChain

WORDS_AT = (0, 12 * 48_000)
WORDS_SAMPLES = 3 * 48_000
HALF = 369_600
"""7.7 s: in the pause."""


def said() -> Samples:
    """3 s of speech, 9 s of a quiet room, 3 s of speech."""
    sound = np.random.default_rng(1).standard_normal(15 * 48_000).astype(np.float32) * np.float32(0.001)
    for begin, name in zip(WORDS_AT, ("anna_1", "anna_2"), strict=True):
        sound[begin : begin + WORDS_SAMPLES] += read_samples(OWN_SPEECH / f"{name}.flac")[:WORDS_SAMPLES]
    return sound


def record(folder: Path, *, dtx: bool) -> Path:
    call = VirtualCall(GOOD_DSL, seed=3)
    call.clock.now = START
    call.add(ANNA, SendChain(ANNA, MODE, KEY, dtx=dtx))
    call.run({ANNA: said()})
    events = [*people(Source(now=at(0), ssrc=ANNA, user_id="1")), Stop(now=at(15_500), reason="test")]
    write_recording(folder, call.fresh, events)
    render(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    path = tmp_path_factory.mktemp("recordings")
    return {dtx: record(path / f"dtx_{dtx}", dtx=dtx) for dtx in (True, False)}


def test_words_on_both_sides_of_a_pause_lie_where_they_were_said(folders: dict[bool, Path]) -> None:
    places: dict[bool, list[float]] = {}
    for dtx, folder in folders.items():
        track = read(folder / "tracks" / "anna.opus")
        words = [said()[begin : begin + WORDS_SAMPLES] for begin in WORDS_AT]
        found = [offset_ms(half, word) for half, word in zip(np.split(track[: 2 * HALF], 2), words, strict=True)]
        assert min(correlation for _, correlation in found) > 0.9
        places[dtx] = [place for place, _ in found]
    assert places[True] == pytest.approx(places[False], abs=3)
    assert places[True][1] + HALF / 48 - places[True][0] == pytest.approx(12_000, abs=3)


def test_a_pause_is_no_loss(folders: dict[bool, Path]) -> None:
    resting, steady = (json.loads((folders[dtx] / "summary.json").read_text()) for dtx in (True, False))
    (anna,) = resting["people"]
    assert anna["packets"] < 0.6 * steady["people"][0]["packets"]
    assert (anna["lost"], anna["concealed_s"]) == (0, 0.0)
    assert resting["corrections"] == []
