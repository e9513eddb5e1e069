"""One server for one data folder."""

from pathlib import Path

import pytest

from raccall.errors import StorageError
from raccall.store import FolderLock


def test_a_second_server_is_told_why(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(StorageError, match="Another server uses the data folder") as refused:
        FolderLock(tmp_path)
    assert refused.value.code == "data_in_use"
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refused:
        FolderLock(tmp_path / "missing")
    assert refused.value.code == "data_not_writable"
