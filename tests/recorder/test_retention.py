"""Old recordings are deleted, and nothing else is."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raccall.recorder.events import EventWriter, Note, Start, Stop
from raccall.recorder.retention import Pruned, prune, recordings_in
from raccall.units import NANOS_PER_SECOND

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR_NS = 3600 * NANOS_PER_SECOND


def recording(folder: Path, *, days_old: float, room: str = "lounge", stopped: bool = True, hours: int = 1) -> Path:
    """A folder like a recording that ended so many days ago, rendered or not."""
    ended = NOW - timedelta(days=days_old)
    wall_ns = int((ended - timedelta(hours=hours)).timestamp()) * NANOS_PER_SECOND
    folder.mkdir(parents=True)
    writer = EventWriter(folder / "events.jsonl")
    writer.append(Start(now=5, wall_ns=wall_ns, wall="", room=room, version="0"))
    writer.append(Note(now=5 + hours * HOUR_NS, text="late"))
    if stopped:
        writer.append(Stop(now=5 + hours * HOUR_NS, reason="stopped"))
    writer.close()
    (folder / "journal.pcapng").write_bytes(b"voices")
    (folder / "tracks").mkdir()
    (folder / "tracks" / "anna.opus").write_bytes(b"anna")
    return folder


def gone(folder: Path, days: int = 30, *, dry_run: bool = False) -> list[str]:
    return [pruned.kept.path.name for pruned in prune(folder, lambda room: days, NOW, dry_run=dry_run)]


def test_what_is_older_goes_whole_and_the_rest_stays(tmp_path: Path) -> None:
    old = recording(tmp_path / "old", days_old=31)
    (old / "export.wav").write_bytes(b"anna again")
    recording(tmp_path / "older", days_old=400)
    recording(tmp_path / "young", days_old=29.9, hours=20)  # began before, ended after
    assert gone(tmp_path, dry_run=True) == ["older", "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "older", "young"]
    assert gone(tmp_path) == ["older", "old"]
    assert [path.name for path in tmp_path.iterdir()] == ["young"]
    assert gone(tmp_path) == []


def test_what_is_not_a_recording_is_never_touched(tmp_path: Path) -> None:
    elsewhere = recording(tmp_path / "elsewhere" / "call", days_old=400)
    below = tmp_path / "recordings"
    recording(below / "deeper" / "call", days_old=400)
    (below / "photos").mkdir()
    (below / "photos" / "journal.pcapng").write_bytes(b"not a recording without events")
    (below / "thesis.txt").write_text("old")
    only_events = recording(below / "only events", days_old=400)
    (only_events / "journal.pcapng").unlink()
    foreign = recording(below / "foreign", days_old=400)
    (foreign / "events.jsonl").write_text('{"event": "purchase", "now": 1}\n')
    hostile = recording(below / "hostile", days_old=400)
    (hostile / "events.jsonl").write_text(
        '{"event":"start","now":0,"wall_ns":9223372036854775807,"wall":"","room":"lounge","version":"0"}\n'
    )
    (below / "link").symlink_to(elsewhere, target_is_directory=True)
    before = sorted(below.rglob("*"))
    assert gone(below, 1) == []
    assert sorted(below.rglob("*")) == before and (elsewhere / "journal.pcapng").exists()


def test_a_link_inside_a_recording_is_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo").write_bytes(b"photo")
    old = recording(tmp_path / "recordings" / "old", days_old=31)
    (old / "photos").symlink_to(precious, target_is_directory=True)
    assert gone(tmp_path / "recordings") == ["old"]
    assert (precious / "photo").exists() and not old.exists()


@pytest.mark.parametrize(("minutes_ago", "deleted"), [(1, False), (59, False), (61, False), (60 * 24 * 2, True)])
def test_a_recording_without_an_end_runs_as_long_as_its_journal_grows(
    tmp_path: Path, minutes_ago: int, deleted: bool
) -> None:
    call = recording(tmp_path / "call", days_old=40, stopped=False)
    written = (NOW - timedelta(minutes=minutes_ago)).timestamp()
    os.utime(call / "journal.pcapng", (written, written))
    assert bool(gone(tmp_path, 1)) is deleted


def test_an_encrypted_recording_is_as_old_as_its_journal(tmp_path: Path) -> None:
    for name, days in (("old", 31), ("young", 29)):
        call = tmp_path / name
        call.mkdir()
        for file in ("journal.pcapng.sealed", "events.jsonl.sealed"):
            (call / file).write_bytes(b"sealed")
            written = (NOW - timedelta(days=days)).timestamp()
            os.utime(call / file, (written, written))
    assert gone(tmp_path) == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["young"]


def test_each_room_has_its_own_time(tmp_path: Path) -> None:
    recording(tmp_path / "a", days_old=10, room="lounge")
    recording(tmp_path / "b", days_old=10, room="kitchen")
    days = {"lounge": 9, "kitchen": None}
    assert [pruned.kept.room for pruned in prune(tmp_path, days.get, NOW)] == ["lounge"]


def test_what_cannot_be_deleted_is_told_and_the_others_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording(tmp_path / "held", days_old=50)
    recording(tmp_path / "free", days_old=40)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == "held":
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    results: list[Pruned] = list(prune(tmp_path, lambda room: 30, NOW))
    assert [(pruned.kept.path.name, pruned.error) for pruned in results] == [
        ("held", "Permission denied"),
        ("free", None),
    ]
    assert [kept.path.name for kept in recordings_in(tmp_path, NOW)] == ["held"], "found again the next day"


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(recordings_in(tmp_path / "nothing", NOW)) == []
