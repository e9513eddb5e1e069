"""`raccall prune`: says what it does; mistakes are one sentence."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from raccall.cli.main import main
from raccall.clock import wall_now
from raccall.recorder.events import EventWriter, Start, Stop
from raccall.units import NANOS_PER_SECOND


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A recording that ended 31 days ago."""
    folder = tmp_path / "old"
    folder.mkdir()
    writer = EventWriter(folder / "events.jsonl")
    wall = wall_now() - timedelta(days=31)
    wall_ns = int(wall.timestamp()) * NANOS_PER_SECOND
    writer.append(Start(now=0, wall_ns=wall_ns, wall=wall.isoformat(), room="lounge", version="0"))
    writer.append(Stop(now=1, reason="stopped"))
    writer.close()
    (folder / "journal.pcapng").write_bytes(b"voices")
    return folder


def test_dry_run_only_says_what_would_go(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", str(old.parent), "--days", "30", "--dry-run"]) == 0
    assert "would be deleted" in capsys.readouterr().out and old.exists()
    assert main(["prune", str(old.parent), "--days", "32"]) == 0
    assert capsys.readouterr().out == "" and old.exists()
    assert main(["prune", str(old.parent), "--days", "30", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["recording"], told["room"], told["error"]) == (str(old), "lounge", None)
    assert not old.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--days", "0"], "days_out_of_range"),
        (["--days", "-1"], "days_out_of_range"),
        (["--days", "1"], "not_a_folder"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "/nothing/here", *words]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"[{code}]\n") and said.count("\n") == 1


def test_what_cannot_be_deleted_is_an_error_after_the_rest(
    old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert main(["prune", str(old.parent), "--days", "30"]) == 2
    printed = capsys.readouterr()
    assert "could NOT be deleted" in printed.out and printed.err.endswith("[prune_failed]\n")
