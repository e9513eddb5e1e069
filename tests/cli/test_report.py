"""`raccall report`: the recording as a table of 80 columns."""

import json
from pathlib import Path

import pytest

from raccall.cli.main import main
from raccall.cli.table import places
from raccall.recorder import Gap, MemberJoined, MemberLeft, Note, Person, Start, Stop, Summary
from raccall.recorder.events import Alarm, Correction, EventWriter
from raccall.recorder.segments import Segment, write_segments
from raccall.recorder.summary import Damage

NAMES = ("anna", "日本語の名前 とても長い名前です", "ev\x1b[31mil\u202e" + "x" * 300)
SECOND = 1_000_000_000


def person(number: int, name: str) -> Person:
    return Person(
        user_id=str(number),
        name=name,
        track=f"tracks/{number}.opus",
        packets=1_000_000,
        lost=52_631,
        loss_pct=5.0,
        duplicates=0,
        late=0,
        malformed=0,
        excess=0,
        sources=1,
        sounding_s=20_000.0,
        concealed_s=800.0,
        recovered_s=252.62,
        drift_ppm=-123.4,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six hours, three people, everything that can be told."""
    gap = Gap(now=60 * SECOND, packets=7, where="kernel")
    alarm = Alarm(now=90 * SECOND, kind="silence", text="No sound for five minutes")
    log = EventWriter(tmp_path / "events.jsonl")
    for event in (
        Start(now=0, wall_ns=0, wall="2026-11-21T12:00:00.123456+00:00", room="lounge\x07" * 20, version="test"),
        *(MemberJoined(now=number, user_id=str(number), name=name) for number, name in enumerate(NAMES)),
        gap,
        alarm,
        Note(now=100 * SECOND, text="a note \x1b[2J" + "of many words " * 20, user_id="0", name="anna"),
        MemberLeft(now=3_700 * SECOND, user_id="2"),
        Stop(now=21_600 * SECOND, reason="max_size"),
    ):
        log.append(event)
    log.close()
    write_segments(tmp_path, [Segment("0", "anna", "0", 1.0, 31.0), Segment("1", "", "1", 40.0, 50.0)])
    Summary(
        room="lounge\x07" * 20,
        started="2026-11-21T12:00:00.123456+00:00",
        lead_in_ms=200.0,
        duration_s=21_600.2,
        complete=True,
        people=[person(number, name) for number, name in enumerate(NAMES)],
        lost_in_network=157_886,
        lost_in_kernel=7,
        lost_in_tap=0,
        gaps=[gap],
        corrections=[Correction(now=SECOND, user_id="0", shift_ms=2.5, reason="drift_in_silence")],
        alarms=[alarm],
        stopped="max_size",
        damage=Damage(journal_places=1, journal_bytes=512, journal_packets=3, event_lines=1),
        versions={},
    ).write(tmp_path)
    return tmp_path


def test_everything_is_told_in_80_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert all(places(line) <= 80 for line in lines)
    assert all(letter.isprintable() for line in lines for letter in line)
    assert lines[1] == "6:00:00 · 3 people · 2026-11-21 12:00:00 UTC · ended: max_size"
    assert " ".join(lines[4].split()) == "anna 0:30 75 % 1000000 5.0 % 252.6 s 800.0 s -123 ppm"
    assert "lost: 157886 in the network, 7 in the kernel, 0 in the recorder" in lines
    assert "DAMAGE: 512 bytes at 1 places of the journal, 3 packets, 1 events" in lines
    assert "     1:00  7 packets lost on the recording machine: its socket buffer was full" in lines
    assert "     1:30  No sound for five minutes" in lines
    assert said.split().count("words") == 20
    assert "  1:01:40  ev�[31mil�xxx" in said
    assert "1 corrections; --json lists them" in said


def test_json_for_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(p["name"], p["talked_s"], p["share_pct"]) for p in report["people"]] == [
        (NAMES[0], 30.0, 75.0),
        (NAMES[1], 10.0, 25.0),
        (NAMES[2], 0.0, 0.0),
    ]
    assert [one["kind"] for one in report["happenings"]] == ["shift", "gap", "alarm", "note", "left", "stopped"]


def test_a_recording_without_anybody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "segments.json").write_text('{"segments": []}')
    summary = json.loads((folder / "summary.json").read_text()) | {"people": [], "complete": False}
    (folder / "summary.json").write_text(json.dumps(summary))
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "Nobody was heard." in said and "CUT SHORT" in said


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "not_a_recording"),
        (lambda folder: (folder / "summary.json").rename(folder / "journal.pcapng"), "not_rendered"),
        (lambda folder: (folder / "summary.json").rename(folder / "journal.pcapng.sealed"), "recording_sealed"),
        (lambda folder: (folder / "summary.json").write_text("{"), "summary_unreadable"),
        (lambda folder: (folder / "segments.json").unlink(), "report_failed"),
    ],
)
def test_a_folder_that_cannot_be_told_of_is_one_sentence(
    folder: Path, spoil: object, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(spoil)
    spoil(folder)
    assert main(["report", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"[{code}]\n") and said.count("\n") == 1
