"""Files of a folder exchanged all together or not at all, whenever a kill comes.

The new ones are made in a folder inside it. When they are whole and on the disk, one rename decides: before it the old
files stand, after it the new ones do. They then take their places one by one; were that cut short, `finish_replacing`
goes on where it stopped. Whoever opens a recording calls it first, also one that came from somebody else: so it changes
nothing outside the folder, whatever is written in it.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_MAKING = ".replacement-unfinished"
_DECIDED = ".replacement"
_MANIFEST = ".replaces.json"


@contextmanager
def replacing(folder: Path, gone: Collection[str]) -> Iterator[Path]:
    """Give an empty folder; what is in it at the end takes its place in `folder`, and the files and folders named in
    `gone` are removed there. If the block raises, nothing changes. Raises OSError.
    """
    finish_replacing(folder)
    making = folder / _MAKING
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        yield making
        new = [path.name for path in making.iterdir()]
        (making / _MANIFEST).write_text(json.dumps([name for name in gone if name not in new]), encoding="utf-8")
        for path in (*making.rglob("*"), making):
            _sync(path)
        making.rename(folder / _DECIDED)
        _sync(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    finish_replacing(folder)


def finish_replacing(folder: Path) -> None:
    """Complete a replacement that was decided; a no-op without one. Raises OSError."""
    decided = folder / _DECIDED
    if not decided.is_dir() or decided.is_symlink():
        return
    for name in _gone(decided / _MANIFEST):
        if _is_inside(folder, name):
            _remove(folder / name)
    for path in sorted(decided.iterdir()):
        if path.name != _MANIFEST:
            if path.is_dir():
                _remove(folder / path.name)
            path.replace(folder / path.name)
    _sync(folder)
    (decided / _MANIFEST).unlink(missing_ok=True)
    decided.rmdir()


def _gone(manifest: Path) -> list[str]:
    """What is to be removed; nothing where the last step is all that is left, or somebody else wrote the manifest."""
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a name leads to something in the folder, or in a folder of it that is no link."""
    *above, last = name.split("/")
    if len(above) > 1 or any(part in ("", ".", "..") or set(part) & set("\\:\0") for part in (*above, last)):
        return False
    return not (above and (folder / above[0]).is_symlink())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Return when a file, or a folder's list of files, is on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows writes folders through, and cannot open them
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
