"""A recording as sound in blocks: what mix, export, page and library stand on."""

import threading
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from calls import Sender, Sound, encode, offset_ms, over_network, speech
from folders import ANNA, BEN, at, people, read, write_recording

from raccall.errors import InputError
from raccall.recorder import Stop, render
from raccall.recorder.sound import BLOCK_SAMPLES, Block, RecordedSound

SOUNDS = {ANNA: speech(6, 1), BEN: speech(3, 2)}
BEGINS_MS = {ANNA: 150.0, BEN: 2_777.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Anna and Ben, 10 s, some packets lost."""
    path = tmp_path_factory.mktemp("recordings")
    senders = [Sender(ssrc, encode(SOUNDS[ssrc], path), BEGINS_MS[ssrc]) for ssrc in SOUNDS]
    packets = over_network(senders, seed=3, loss=0.03, jitter_ms=30)
    return write_recording(path / "call", packets, [*people(), Stop(now=at(10_000), reason="test")])


def joined(blocks: Collection[Block]) -> tuple[dict[str, Sound], Sound]:
    """All blocks behind each other: voices and mix."""
    blocks = list(blocks)
    voices = {name: np.concatenate([block.voices[name] for block in blocks]) for name in blocks[0].voices}
    return voices, np.concatenate([block.mix for block in blocks])


def test_blocks_have_no_holes_and_hold_what_was_said_when_it_was_said(folder: Path) -> None:
    sound = RecordedSound(folder)
    blocks = list(sound.blocks())
    assert [block.position for block in blocks] == [index * BLOCK_SAMPLES for index in range(len(blocks))]
    voices, mix = joined(blocks)
    assert {len(mix), *map(len, voices.values())} == {sound.frames}
    assert [speaker.file_name for speaker in sound.speakers] == list(voices) == ["anna", "ben"]
    for ssrc, name in ((ANNA, "anna"), (BEN, "ben")):
        assert voices[name].shape == (sound.frames, 1)
        found_ms, correlation = offset_ms(voices[name][:, 0], SOUNDS[ssrc])
        assert found_ms == pytest.approx(BEGINS_MS[ssrc] + 200 + 40, abs=5)
        assert correlation > 0.95


def test_the_mix_is_exactly_the_sum_of_the_voices(folder: Path) -> None:
    for block in RecordedSound(folder).blocks():
        assert np.array_equal(block.mix, block.voices["anna"] + block.voices["ben"])


def test_a_voice_lies_where_its_track_does(folder: Path) -> None:
    render(folder)
    voices, _ = joined(list(RecordedSound(folder).blocks()))
    for name, voice in voices.items():
        track = read(folder / "tracks" / f"{name}.opus")
        assert len(track) == len(voice)
        found_ms, correlation = offset_ms(voice[:, 0], track)
        assert abs(found_ms) < 3
        assert correlation > 0.95


def test_a_part_sounds_exactly_like_the_whole(folder: Path) -> None:
    _, whole = joined(list(RecordedSound(folder).blocks()))
    part = RecordedSound(folder, begin_s=2.5, end_s=4.25)
    blocks = list(part.blocks())
    assert (blocks[0].position, part.frames) == (120_000, 84_000)
    _, mix = joined(blocks)
    assert np.array_equal(mix, whole[120_000:204_000])


def test_the_number_of_workers_changes_no_sample(folder: Path) -> None:
    alone = list(RecordedSound(folder, workers=1).blocks())
    for workers in (2, 5):
        for mine, theirs in zip(RecordedSound(folder, workers=workers).blocks(), alone, strict=True):
            assert mine.position == theirs.position
            assert all(np.array_equal(mine.voices[name], voice) for name, voice in theirs.voices.items())


def test_a_reader_who_stops_early_leaves_nothing_running(folder: Path) -> None:
    before = threading.active_count()
    blocks = RecordedSound(folder, workers=3).blocks()
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_hundred_speakers_of_whom_most_say_a_word(tmp_path: Path) -> None:
    payloads = encode(speech(2, 1), tmp_path)
    senders = [Sender(ssrc, payloads if ssrc < 10 else payloads[:10], 37.0 * ssrc) for ssrc in range(100)]
    call = write_recording(tmp_path / "call", over_network(senders, seed=1), [people()[0]])
    sound = RecordedSound(call)
    voices, mix = joined(list(sound.blocks()))
    assert len(sound.speakers) == len(voices) == 100
    assert all(voice.any() for voice in voices.values())
    assert np.abs(mix - np.sum(list(voices.values()), axis=0)).max() < 1e-4


def test_an_end_after_the_end_is_the_end(folder: Path) -> None:
    assert RecordedSound(folder, end_s=1e6).frames == RecordedSound(folder).frames


@pytest.mark.parametrize("word", ["anna", "1"])
def test_a_speaker_is_chosen_by_name_or_id(folder: Path, word: str) -> None:
    whole, _ = joined(list(RecordedSound(folder).blocks()))
    voices, mix = joined(list(RecordedSound(folder, speakers=[word]).blocks()))
    assert list(voices) == ["anna"]
    assert np.array_equal(mix, whole["anna"])


def test_a_gain_is_in_the_voice_and_in_the_mix(folder: Path) -> None:
    plain, _ = joined(list(RecordedSound(folder).blocks()))
    voices, mix = joined(list(RecordedSound(folder, gains_db={"ben": -6.0206}).blocks()))
    assert np.array_equal(voices["anna"], plain["anna"])
    assert voices["ben"] == pytest.approx(plain["ben"] / 2, abs=1e-6)
    assert np.array_equal(mix, voices["anna"] + voices["ben"])


def test_progress_only_grows_and_ends_at_one(folder: Path) -> None:
    shares: list[float] = []
    for _ in RecordedSound(folder).blocks(progress=shares.append):
        pass
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 5


def test_an_unknown_speaker_is_refused_and_those_there_are_named(folder: Path) -> None:
    for asked in ({"speakers": ["carl"]}, {"gains_db": {"carl": 3.0}}):
        with pytest.raises(InputError, match="anna, ben") as caught:
            RecordedSound(folder, **asked)  # type: ignore[arg-type]
        assert caught.value.code == "speaker_unknown"


@pytest.mark.parametrize(
    ("begin_s", "end_s"), [(-1.0, None), (3.0, 2.0), (2.0, 2.0), (1e6, None), (float("nan"), None)]
)
def test_a_range_that_holds_nothing_is_refused(folder: Path, begin_s: float, end_s: float | None) -> None:
    with pytest.raises(InputError) as caught:
        RecordedSound(folder, begin_s=begin_s, end_s=end_s)
    assert caught.value.code == "range_invalid"


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        RecordedSound(tmp_path)
    assert caught.value.code == "not_a_recording"


def test_a_recording_without_packets_is_silence(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / "call", [], [*people(), Stop(now=at(2_000), reason="test")])
    sound = RecordedSound(folder)
    _, mix = joined(list(sound.blocks()))
    assert sound.speakers == ()
    assert mix.shape == (sound.frames, 1) and sound.frames == 105_600
    assert not mix.any()
