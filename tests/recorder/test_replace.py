"""Files take their places all together, whichever step a kill interrupts."""

import os
from pathlib import Path

import pytest

from raccall.recorder.replace import finish_replacing, replacing

OLD = {"journal": "old", "tracks/anna": "old", "tracks/ben": "old", "page": "old", "mine.txt": "mine"}
NEW = {"journal": "new", "tracks/ben": "new", "mine.txt": "mine"}


class Killed(BaseException):
    """Nothing after it runs, as after a kill: not even what the code does for its own errors (see `kill_at`)."""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def replace_all(folder: Path) -> None:
    with replacing(folder, gone=("journal", "tracks", "page")) as made:
        write(made, {"journal": "new", "tracks/ben": "new"})


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every call that changes a folder fail from the `step`-th on."""
    calls = 0

    def counted(function):  # type: ignore[no-untyped-def]
        def call(*words, **named):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls > step:
                raise Killed
            return function(*words, **named)

        return call

    for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


def test_all_is_replaced_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    replace_all(tmp_path)
    assert files(tmp_path) == NEW
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "mine.txt", "tracks"]


def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    seen = set()
    for step in range(100):
        folder = tmp_path / str(step)
        write(folder, OLD)
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_at(step, monkeypatch)
            try:
                replace_all(folder)
                ended = True
            except Killed:
                ended = False
        finish_replacing(folder)
        found = {name: text for name, text in files(folder).items() if not name.startswith(".")}
        assert found in (OLD, NEW)
        seen.add(found == NEW)
        if ended:
            break
    assert ended and step > 10 and seen == {True, False}


def test_an_error_while_making_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    with pytest.raises(ZeroDivisionError), replacing(tmp_path, gone=("journal",)) as made:
        write(made, {"journal": "half"})
        raise ZeroDivisionError
    assert files(tmp_path) == OLD


HOSTILE = [
    '["../precious", "/precious", "a/../../precious", "linked/precious", ".."]',
    '{"a": 1}',
    "[1, null]",
    "[[[",
    "",
]


@pytest.mark.parametrize("manifest", HOSTILE)
def test_a_folder_that_came_from_somebody_else_deletes_nothing_outside_of_itself(manifest: str, tmp_path: Path) -> None:
    write(tmp_path, {"precious": "mine", "call/journal": "old", "call/.replacement/journal": "new"})
    (tmp_path / "call/.replacement/.replaces.json").write_text(manifest)
    (tmp_path / "call/linked").symlink_to(tmp_path)
    finish_replacing(tmp_path / "call")
    assert files(tmp_path) == {"precious": "mine", "call/journal": "new"}


def test_a_linked_replacement_is_none(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/precious": "mine", "call/journal": "old"})
    (tmp_path / "call/.replacement").symlink_to(tmp_path / "elsewhere")
    finish_replacing(tmp_path / "call")
    assert files(tmp_path) == {"elsewhere/precious": "mine", "call/journal": "old"}
