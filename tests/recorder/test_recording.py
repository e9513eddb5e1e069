"""A recording as Python sees it: arrays that fit together, a WAV that others read, the journal once more."""

import gc
import io
import wave
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from calls import WALL_NS, Sender, encode, offset_ms, over_network, speech
from folders import ANNA, BEN, at, people, write_recording

from raccall.errors import InputError, StorageError
from raccall.recorder import Event, MemberJoined, Recording, Source, Stop
from raccall.recorder.limiter import CEILING
from raccall.voice.tap import TappedPacket

STOP = Stop(now=at(6_000), reason="test")


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[TappedPacket]:
    folder = tmp_path_factory.mktemp("speech")
    anna = Sender(ANNA, encode(speech(3, 1), folder), 100.0)
    ben = Sender(BEN, encode(speech(2, 2), folder), 3_500.0)
    return over_network([anna, ben], seed=1, loss=0.05, jitter_ms=20)


@pytest.fixture
def folder(tmp_path: Path, packets: list[TappedPacket]) -> Path:
    return write_recording(tmp_path / "call", packets, [*people(), STOP])


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "silent", [], [*people(), STOP])


def test_what_is_known_is_the_same_before_and_after_rendering(folder: Path) -> None:
    recording = Recording.open(folder)
    before = (recording.speakers, recording.duration_s, recording.segments)
    assert repr(recording) == f"<Recording {str(folder)!r}>"
    assert [speaker.name for speaker in recording.speakers] == ["anna", "ben"]
    assert recording.room == "lounge"
    assert recording.started == datetime.fromtimestamp(WALL_NS / 1e9, UTC)
    assert recording.summary.complete
    again = Recording.open(str(folder))
    assert (again.speakers, again.duration_s, again.segments) == before
    assert repr(again) == f"<Recording {str(folder)!r}: lounge, 0:06, anna, ben>"


def test_each_speaker_alone_is_where_they_spoke(folder: Path) -> None:
    recording = Recording.open(folder)
    anna, ben = recording.frames("anna"), recording.frames("2")
    assert anna.shape == ben.shape == (round(recording.duration_s * 48_000), 1)
    assert anna.dtype == np.float32
    begin_ms, correlation = offset_ms(anna[:, 0], speech(3, 1))
    assert correlation > 0.9
    assert begin_ms - offset_ms(ben[:, 0], speech(2, 2))[0] == pytest.approx(100 - 3_500, abs=5)


def test_the_mix_is_the_sum_of_the_voices_where_it_needs_no_limit(folder: Path) -> None:
    recording = Recording.open(folder)
    both = recording.frames("anna") + recording.frames("ben")
    quiet = np.float32(10 ** (-20 / 20))
    mix = recording.mix(gains_db={"anna": -20, "ben": -20})
    assert mix.shape == both.shape
    assert np.allclose(mix, both * quiet, atol=1e-6)


def test_a_part_is_cut_from_the_whole(folder: Path) -> None:
    recording = Recording.open(folder)
    whole, part = recording.frames("anna"), recording.frames("anna", begin_s=1.03125, end_s=2.5)
    assert np.array_equal(part, whole[round(1.03125 * 48_000) : 120_000])
    assert recording.mix(begin_s=1.03125, end_s=2.5).shape == part.shape
    with pytest.raises(InputError) as caught:
        recording.mix(begin_s=100)
    assert caught.value.code == "range_invalid"


def test_loud_voices_together_stay_below_full_scale(tmp_path: Path) -> None:
    loud = [0.95 * speech(2, seed) / np.abs(speech(2, seed)).max() for seed in range(4)]
    senders = [Sender(ssrc, encode(sound, tmp_path)) for ssrc, sound in enumerate(loud)]
    recording = Recording.open(write_recording(tmp_path / "call", over_network(senders, seed=1), people()))
    assert max(np.abs(block.mix).max() for block in recording.blocks()) > 1.5
    assert np.abs(recording.mix()).max() <= CEILING * 1.00001


def test_wav_bytes_are_the_mix_for_every_reader(folder: Path) -> None:
    recording = Recording.open(folder)
    data = recording.wav_bytes()
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (48_000, 2, 1)
        assert file.getnframes() == round(recording.duration_s * 48_000)
    sound, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert np.abs(sound - recording.mix()).max() < 1 / 20_000


def test_a_stereo_voice_makes_the_mix_stereo(tmp_path: Path) -> None:
    sound = np.stack([speech(1, 1), speech(1, 2)], axis=1)
    packets = over_network([Sender(ANNA, encode(sound, tmp_path))], seed=1)
    recording = Recording.open(write_recording(tmp_path / "call", packets, people()))
    assert recording.frames("anna").shape[1] == recording.mix().shape[1] == 2
    with wave.open(io.BytesIO(recording.wav_bytes())) as file:
        assert file.getnchannels() == 2


def test_a_recording_in_which_nobody_spoke_is_empty_but_valid(silent: Path) -> None:
    recording = Recording.open(silent)
    assert recording.speakers == () and recording.segments == () and list(recording.blocks()) == []
    assert recording.duration_s == pytest.approx(6.2, abs=0.1)
    assert recording.mix().shape == (0, 1)
    with wave.open(io.BytesIO(recording.wav_bytes())) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels(), file.getnframes()) == (48_000, 2, 1, 0)
    with pytest.raises(InputError) as caught:
        recording.frames("anna")
    assert caught.value.code == "speaker_unknown"
    recording.render()
    assert Recording.open(silent).mix().shape == (0, 1)


def test_blocks_make_the_same_sound_second_by_second(folder: Path) -> None:
    recording = Recording.open(folder)
    shares: list[float] = []
    blocks = list(recording.blocks(speakers=["anna"], progress=shares.append))
    assert all(len(block.mix) <= 48_000 for block in blocks)
    assert np.array_equal(np.concatenate([block.voices["anna"] for block in blocks]), recording.frames("anna"))
    assert shares[-1] == 1.0
    with pytest.raises(InputError):  # at once, not when the first block is taken
        recording.blocks(speakers=["zoe"])


def test_segments_tell_who_spoke_when(folder: Path) -> None:
    segments = Recording.open(folder).segments
    assert {segment.name for segment in segments} == {"anna", "ben"}
    assert min(s.begin_s for s in segments if s.name == "ben") == pytest.approx(3.7, abs=0.5)


async def test_the_journal_replays_as_the_recorder_saw_it(folder: Path, packets: list[TappedPacket]) -> None:
    recording = Recording.open(folder)
    seen = [packet async for tick in recording.replay() for packet in tick.packets]
    assert [packet.rtp for packet in seen] == [packet.rtp for packet in packets] == [p.rtp for p in recording.packets()]
    anna = [packet.ssrc for packet in recording.packets("anna")]
    assert set(anna) == {ANNA} and len(anna) == sum(packet.ssrc == ANNA for packet in packets)


def test_two_of_the_same_name_are_told_apart(tmp_path: Path, packets: list[TappedPacket]) -> None:
    events: list[Event] = [people()[0]]
    for user_id, ssrc in (("1", ANNA), ("2", BEN)):
        events.append(MemberJoined(now=at(0), user_id=user_id, name="anna"))
        events.append(Source(now=at(0), ssrc=ssrc, user_id=user_id))
    recording = Recording.open(write_recording(tmp_path / "call", packets, events))
    assert np.array_equal(recording.frames("anna-2"), recording.frames("2"))
    assert not np.array_equal(recording.frames("1"), recording.frames("2"))


def test_the_journal_alone_is_enough(folder: Path) -> None:
    (folder / "events.jsonl").write_bytes(b"")
    recording = Recording.open(folder)
    assert recording.room == "" and recording.started is None
    assert [speaker.name for speaker in recording.speakers] == ["unknown-0000000a", "unknown-0000000b"]
    assert recording.frames("unknown-0000000a").any()


def test_a_forgotten_speaker_is_gone_from_the_open_recording(folder: Path) -> None:
    recording = Recording.open(folder)
    assert len(recording.summary.people) == 2 and len(recording.segments) > 1
    recording.forget("anna")
    assert [speaker.name for speaker in recording.speakers] == ["ben"]
    assert {segment.name for segment in recording.segments} == {"ben"}
    assert not any(getattr(event, "name", "") == "anna" for event in recording.events)


def test_exporting_makes_files_for_others(folder: Path, tmp_path: Path) -> None:
    made = Recording.open(folder).export(tmp_path / "out", format="flac", tracks=False, mix=True)
    assert [file.path for file in made.files] == ["mix.flac"]
    sound, rate = soundfile.read(tmp_path / "out" / "mix.flac")
    assert (rate, len(sound)) == (48_000, round(made.duration_s * 48_000))


def test_saving_keeps_a_temporary_recording(folder: Path, tmp_path: Path) -> None:
    recording = Recording(folder, temporary=True)
    kept = recording.save(tmp_path / "kept")
    with pytest.raises(InputError) as caught:
        recording.save(tmp_path / "kept")
    assert caught.value.code == "folder_exists"
    del recording, caught  # its traceback holds the recording
    gc.collect()
    assert not folder.exists()
    assert [speaker.name for speaker in kept.speakers] == ["anna", "ben"]


@pytest.mark.parametrize("where", ["", "missing"])
def test_a_folder_without_a_recording_is_one_sentence(where: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Recording.open(tmp_path / where)
    assert caught.value.code == "not_a_recording"


def test_a_disk_that_fails_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording.open(folder)

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    for ask in (lambda: recording.events, recording.mix, recording.wav_bytes, lambda: recording.speakers):
        with pytest.raises(StorageError, match="Input/output error"):
            ask()
