"""`raccall export`: what is typed becomes what is made, and a mistake becomes one sentence."""

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path[:0] = [
    str(Path(__file__).parent.parent / "recorder"),
    str(Path(__file__).parent.parent / "recorder" / "export"),
]

from spoken import make_call  # noqa: E402

from raccall.cli import export  # noqa: E402
from raccall.cli.main import main  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_call(tmp_path_factory.mktemp("export")).folder


def wanted(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    return export._wanted(parser.parse_args(["call", *words]))


@pytest.mark.parametrize(
    ("words", "tracks", "mix", "segments"),
    [
        ([], True, False, []),
        (["--mix"], False, True, []),
        (["--mix", "--tracks"], True, True, []),
        (["--mix", "--project", "reaper"], True, True, []),
        (["--segments", "vtt"], False, False, ["vtt"]),
        (["--segments", "vtt", "--format", "mp3"], True, False, ["vtt"]),
        (["--zip"], True, True, ["json", "vtt"]),
        (["--zip", "--mix"], False, True, []),
    ],
)
def test_what_is_made(words: list[str], tracks: bool, mix: bool, segments: list[str]) -> None:
    found = wanted(*words)
    assert (found["tracks"], found["mix"], found["segments"]) == (tracks, mix, segments)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("83.5", 83.5),
        ("1:23", 83),
        ("12:34.5", 754.5),
        ("1:23:45", 5025),
        ("0:00:00.25", 0.25),
        ("90:00", 5400),
        ("1:2:3", 3723),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert wanted("--from", text)["begin_s"] == wanted("--to", text)["end_s"] == seconds


def test_gains_and_loudness() -> None:
    found = wanted("--gain", "anna=3", "--gain", "a=b=-6.5", "--lufs", "-20")
    assert found["gains_db"] == {"anna": 3.0, "a=b": -6.5}
    assert (found["lufs"], wanted()["lufs"], wanted("--lufs", "off")["lufs"]) == (-20.0, "usual", None)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--from", "soon"], "time_invalid"),
        (["--to", "1:75:00"], "time_invalid"),
        (["--to", "1:60"], "time_invalid"),
        (["--to", "1:2:3:4"], "time_invalid"),
        (["--from", "nan"], "time_invalid"),
        (["--from", "-1"], "time_invalid"),
        (["--gain", "anna"], "gain_invalid"),
        (["--gain", "anna=loud"], "gain_invalid"),
        (["--gain", "anna=99"], "gain_invalid"),
        (["--lufs", "loud"], "lufs_out_of_range"),
        (["--lufs", "nan"], "lufs_out_of_range"),
        (["--lufs", "3"], "lufs_out_of_range"),
        (["--speaker", "carol"], "speaker_unknown"),
        (["--from", "1:00:00"], "range_invalid"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    folder: Path, tmp_path: Path, words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(folder), "--out", str(tmp_path / "out"), *words]) == 2
    told = capsys.readouterr()
    assert told.err.endswith(f"[{code}]\n") and told.err.count("\n") == 1 and not told.out
    assert not (tmp_path / "out").exists()


def test_files_lie_beside_the_recording_when_nothing_else_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(folder)]) == 0
    assert sorted(path.name for path in (folder.parent / "call-export").iterdir()) == ["anna.wav", "ben.wav"]
    assert "ben.wav" in capsys.readouterr().out
    assert main(["export", str(folder), "--zip", "--format", "opus"]) == 0
    assert (folder.parent / "call.zip").is_file()


def test_json_says_what_was_made(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(folder), "--mix", "--format", "flac", "--to", "3", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["duration_s"]) == (str(out), 3.0)
    assert [(file["path"], file["speaker"]) for file in told["files"]] == [("mix.flac", "")]
    assert told["files"][0]["gain_db"] != 0
