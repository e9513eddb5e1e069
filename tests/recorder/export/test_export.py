"""A whole recording exported: what comes out, and what is refused."""

import itertools
import json
import resource
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from calls import Sound, offset_ms
from folders import people, write_recording
from msgspec.structs import replace
from spoken import Call

from raccall.errors import InputError, RaccallError, StorageError
from raccall.recorder.export import Depth, Editor, Format, SegmentFormat, export
from raccall.recorder.limiter import CEILING
from raccall.recorder.loudness import LoudnessMeter
from raccall.recorder.sound import Block, RecordedSound


def read(path: Path) -> Sound:
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == 48_000
    return sound


def left(sound: Sound) -> Sound:
    return sound if sound.ndim == 1 else sound[:, 0]


@pytest.mark.parametrize("format", list(Format))
def test_every_format_holds_everyone_aligned_and_equally_long(call: Call, tmp_path: Path, format: Format) -> None:
    made = export(call.folder, tmp_path / "out", format=format, mix=True, lufs=None)
    assert [file.path for file in made.files] == [f"anna.{format}", f"ben.{format}", f"mix.{format}"]
    sounds = {path.stem: read(path) for path in (tmp_path / "out").iterdir()}
    assert {len(sound) for sound in sounds.values()} == {round(made.duration_s * 48_000)}
    assert {name: sound.shape[1] for name, sound in sounds.items()} == {"anna": 1, "ben": 2, "mix": 2}
    errors = []
    for name, said in call.said.items():
        found_ms, correlation = offset_ms(left(sounds[name]), left(said))
        errors.append(found_ms - call.begins_ms[name])
        assert correlation > 0.85
    assert abs(errors[0] - errors[1]) < 5
    mixed_ms, correlation = offset_ms(left(sounds["mix"]), left(sounds["anna"] + sounds["ben"]))
    # A track lies on a grid of 2.5 ms, and conceals losses by its decoder's means.
    assert abs(mixed_ms) < (2.5 if format is Format.OPUS else 0.1)
    assert correlation > (0.75 if format is Format.OPUS else 0.98)


def test_a_mix_in_floating_point_is_exactly_the_sum_of_the_tracks(call: Call, tmp_path: Path) -> None:
    export(call.folder, tmp_path / "out", depth=Depth.FLOAT, mix=True, lufs=None, gains_db={"anna": 12, "ben": 12})
    anna, ben, mix = (read(tmp_path / f"out/{name}.wav") for name in ("anna", "ben", "mix"))
    assert np.abs(mix).max() > 1  # nothing held it back
    np.testing.assert_array_equal(anna + ben, mix)
    sound = RecordedSound(call.folder, gains_db={"anna": 12, "ben": 12})
    np.testing.assert_array_equal(np.concatenate([block.mix for block in sound.blocks()]), mix)


@pytest.mark.parametrize("depth", [Depth.INT_16, Depth.INT_24])
def test_what_is_too_loud_is_limited_and_never_clips(call: Call, tmp_path: Path, depth: Depth) -> None:
    export(call.folder, tmp_path / "out", depth=depth, mix=True, lufs=None, gains_db={"anna": 18, "ben": 18})
    for name in ("anna", "ben", "mix"):
        assert 0.6 * CEILING < np.abs(read(tmp_path / f"out/{name}.wav")).max() <= CEILING + 1e-4


def test_a_part_sounds_like_the_same_part_of_the_whole(call: Call, tmp_path: Path) -> None:
    options = {"depth": Depth.FLOAT, "mix": True, "lufs": None}
    export(call.folder, tmp_path / "whole", **options)
    made = export(call.folder, tmp_path / "part", begin_s=1.2345, end_s=4.5, **options)
    begin, end = int(1.2345 * 48_000), int(4.5 * 48_000)
    assert made.duration_s * 48_000 == end - begin
    for name in ("anna", "ben", "mix"):
        part = read(tmp_path / f"part/{name}.wav")
        np.testing.assert_array_equal(part, read(tmp_path / f"whole/{name}.wav")[begin:end])


def test_a_speakers_packets_are_passed_through_as_opus(call: Call, tmp_path: Path) -> None:
    received = (call.folder / "tracks/anna.opus").read_bytes()
    export(call.folder, tmp_path / "all", format=Format.OPUS)
    assert (tmp_path / "all/anna.opus").read_bytes() == received
    for number, options in enumerate(({"begin_s": 1.0}, {"lufs": -20.0}, {"gains_db": {"anna": 3.0}})):
        export(call.folder, tmp_path / str(number), format=Format.OPUS, **options)
        assert (tmp_path / str(number) / "anna.opus").read_bytes() != received


def test_only_those_asked_for(call: Call, tmp_path: Path) -> None:
    made = export(call.folder, tmp_path / "out", speakers=["2"], mix=True, depth=Depth.FLOAT, lufs=None)
    assert [(file.path, file.speaker) for file in made.files] == [("ben.wav", "ben"), ("mix.wav", "")]
    np.testing.assert_array_equal(read(tmp_path / "out/ben.wav"), read(tmp_path / "out/mix.wav"))


def test_loudness_is_what_was_asked_for(call: Call, tmp_path: Path) -> None:
    usual = export(call.folder, tmp_path / "usual", mix=True, depth=Depth.FLOAT)
    assert [file.gain_db == 0 for file in usual.files] == [True, True, False]
    for file in export(call.folder, tmp_path / "out", mix=True, lufs=-23.0, depth=Depth.FLOAT).files:
        assert measured(read(tmp_path / "out" / file.path)) == pytest.approx(-23, abs=0.3)


def test_levelled_sound_is_decoded_once_and_no_draft_is_left(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = export(call.folder, tmp_path / "plain", mix=True, depth=Depth.FLOAT, lufs=None)
    runs: list[RecordedSound] = []
    blocks = RecordedSound.blocks

    def counted(sound: RecordedSound, **options: Any) -> Iterator[Block]:
        runs.append(sound)
        return blocks(sound, **options)

    monkeypatch.setattr(RecordedSound, "blocks", counted)
    shares: list[float] = []
    made = export(call.folder, tmp_path / "out", mix=True, depth=Depth.FLOAT, lufs=-30.0, progress=shares.append)
    assert len(runs) == 1
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(file.path for file in made.files)
    for file in plain.files:
        gain = np.float32(10 ** (next(f.gain_db for f in made.files if f.path == file.path) / 20))
        levelled, sound = read(tmp_path / "out" / file.path), read(tmp_path / "plain" / file.path)
        np.testing.assert_allclose(levelled, sound * gain, rtol=1e-3, atol=1e-6)


def measured(sound: Sound) -> float:
    meter = LoudnessMeter(sound.shape[1])
    meter.add(sound)
    return meter.lufs


def test_a_zip_holds_it_all_and_encoded_sound_as_it_is(call: Call, tmp_path: Path) -> None:
    kinds = [SegmentFormat.JSON, SegmentFormat.VTT]
    made = export(call.folder, tmp_path / "call.zip", format=Format.FLAC, mix=True, segments=kinds, zip=True)
    assert made.path == tmp_path / "call.zip"
    assert list(tmp_path.iterdir()) == [made.path]
    with zipfile.ZipFile(made.path) as zipped:
        assert zipped.testzip() is None
        how = {info.filename: info.compress_type for info in zipped.infolist()}
        assert list(how) == [file.path for file in made.files]
        assert how["mix.flac"] == zipfile.ZIP_STORED and how["segments.json"] == zipfile.ZIP_DEFLATED
        with zipped.open("anna.flac") as file:
            assert soundfile.info(file).frames == made.duration_s * 48_000


def test_a_zip_of_more_than_4_gib_is_a_zip64(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100_000)
    export(call.folder, tmp_path / "call.zip", zip=True)
    assert b"PK\x06\x06" in (tmp_path / "call.zip").read_bytes()[-200:]  # ZIP64 end of central directory
    with zipfile.ZipFile(tmp_path / "call.zip") as zipped:
        assert zipped.testzip() is None


def test_segments_name_the_files_beside_them_and_follow_the_cut(call: Call, tmp_path: Path) -> None:
    export(call.folder, tmp_path / "whole", segments=["json"], tracks=False)
    whole = json.loads((tmp_path / "whole/segments.json").read_bytes())["segments"]
    assert {line["track"] for line in whole} == {"tracks/anna.opus", "tracks/ben.opus"}
    export(call.folder, tmp_path / "part", segments=["json"], speakers=["ben"], begin_s=2.5, end_s=4.0)
    part = json.loads((tmp_path / "part/segments.json").read_bytes())["segments"]
    assert {line["track"] for line in part} == {"ben.wav"}
    assert all(0 <= line["begin_s"] < line["end_s"] <= 1.5 for line in part)


def test_a_recording_that_was_never_rendered_is_exported_too(call: Call, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("journal.pcapng", "events.jsonl"):
        (bare / name).write_bytes((call.folder / name).read_bytes())
    made = export(bare, tmp_path / "out", format=Format.OPUS, segments=["json"])
    assert len(read(tmp_path / "out/anna.opus")) == made.duration_s * 48_000
    found = json.loads((tmp_path / "out/segments.json").read_bytes())["segments"]
    kept = json.loads((call.folder / "segments.json").read_bytes())["segments"]
    assert [line["begin_s"] for line in found] == pytest.approx([line["begin_s"] for line in kept], abs=0.05)


def test_a_speaker_called_mix_keeps_the_name(call: Call, tmp_path: Path) -> None:
    events = [replace(event, name="Mix") if getattr(event, "name", "") == "anna" else event for event in people()]
    folder = write_recording(tmp_path / "call", [], events)
    (folder / "journal.pcapng").write_bytes((call.folder / "journal.pcapng").read_bytes())
    made = export(folder, tmp_path / "out", mix=True)
    assert [(file.path, file.speaker) for file in made.files][::2] == [("Mix.wav", "Mix"), ("_mix.wav", "")]


def test_nobody_spoke(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / "call", [], people())
    assert refused(folder, tmp_path / "out") == "nothing_to_export"
    made = export(folder, tmp_path / "out", tracks=False, mix=True)
    assert not read(tmp_path / "out/mix.wav").any()
    assert made.duration_s > 0


def refused(folder: Path, out: Path, **options: object) -> str:
    """The error's code; nothing may be left behind."""
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(RaccallError) as caught:
        export(folder, out, **options)
    assert sorted(out.parent.rglob("*")) == before
    return caught.value.code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"speakers": ["carol"]}, "speaker_unknown"),
        ({"gains_db": {"carol": 3.0}}, "speaker_unknown"),
        ({"begin_s": 3600.0}, "range_invalid"),
        ({"begin_s": 3.0, "end_s": 2.0}, "range_invalid"),
        ({"lufs": -70.0}, "lufs_out_of_range"),
        ({"format": "flac", "depth": "float"}, "depth_unsupported"),
        ({"format": "mp3", "projects": ["reaper"]}, "project_format"),
    ],
)
def test_mistakes_are_refused_before_anything_is_made(
    call: Call, tmp_path: Path, options: dict[str, object], code: str
) -> None:
    assert refused(call.folder, tmp_path / "out", **options) == code


def test_an_unknown_speaker_is_told_who_there_is(call: Call, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="anna, ben"):
        export(call.folder, tmp_path / "out", speakers=["carol"])


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, tmp_path / "out") == "not_a_recording"


def test_a_recording_of_which_only_tracks_were_kept_says_so(call: Call, tmp_path: Path) -> None:
    kept = shutil.copytree(call.folder, tmp_path / "kept")
    (kept / "journal.pcapng").unlink()
    assert refused(kept, tmp_path / "out") == "journal_not_kept"


def test_nothing_is_overwritten(call: Call, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/ben.wav").write_text("mine")
    assert refused(call.folder, tmp_path / "out") == "output_exists"
    (tmp_path / "call.zip").write_text("mine")
    assert refused(call.folder, tmp_path / "call.zip", zip=True) == "output_exists"
    assert refused(call.folder, tmp_path / "call.zip") == "output_exists"
    export(call.folder, tmp_path / "out", format="flac")  # beside what is there
    assert (tmp_path / "out/ben.wav").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError) as caught:
        export(call.folder, tmp_path / "file/out")
    assert caught.value.code == "export_failed"


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("zip", [False, True])
def test_a_full_disk_leaves_nothing_behind(call: Call, tmp_path: Path, format: Format, zip: bool) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    try:
        assert refused(call.folder, tmp_path / "out", format=format, zip=zip, mix=True) == "export_failed"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_progress_goes_up_to_one(call: Call, tmp_path: Path) -> None:
    shares: list[float] = []
    export(call.folder, tmp_path / "out", mix=True, progress=shares.append)
    assert all(before <= after for before, after in itertools.pairwise(shares))
    assert shares[-1] == 1.0 and len(shares) > 4


def test_a_project_brings_its_tracks_along(call: Call, tmp_path: Path) -> None:
    made = export(call.folder, tmp_path / "talk", projects=list(Editor), format=Format.FLAC)
    paths = {file.path for file in made.files}
    assert paths == {"talk_data/anna.flac", "talk_data/ben.flac", "talk.rpp", "talk.aup"}
    assert all((tmp_path / "talk" / path).is_file() for path in paths)
