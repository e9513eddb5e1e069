"""A file that only grows: whole pieces, whatever the disk does."""

import resource
import signal
from pathlib import Path

import pytest

from raccall.recorder.append import AppendOnly


def test_pieces_are_there_at_once(tmp_path: Path) -> None:
    file = AppendOnly(tmp_path / "file")
    file.append(b"one")
    file.append(b"two")
    assert (tmp_path / "file").read_bytes() == b"onetwo"
    file.sync()
    file.close()
    file.close()


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError):
        AppendOnly(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_piece_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    file = AppendOnly(tmp_path / "file")
    file.append(b"x" * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        with pytest.raises(OSError):
            file.append(b"y" * 1000)
        assert (tmp_path / "file").read_bytes() == b"x" * 1000
        file.append(b"z" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / "file").read_bytes() == b"x" * 1000 + b"z" * 100
    file.close()
