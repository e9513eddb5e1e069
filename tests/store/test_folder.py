import os
import sys

import pytest

from raccall.errors import StorageError
from raccall.store import DataFolder


def test_the_secret_is_made_once_and_only_for_its_owner(tmp_path):
    folder = DataFolder(tmp_path / "deep" / "data")
    secret = folder.secret()
    assert len(secret) == 32
    assert DataFolder(folder.path).secret() == secret
    assert sorted(os.listdir(folder.path)) == ["secret"]
    if sys.platform != "win32":
        assert (folder.path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as refused:
        DataFolder(tmp_path / "file" / "data")
    assert refused.value.code == "data_not_writable"
    with pytest.raises(StorageError):
        DataFolder(tmp_path / "file")


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_without_write_permission_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError) as refused:
        DataFolder(tmp_path)
    assert refused.value.code == "data_not_writable"


def test_a_damaged_secret_is_not_replaced(tmp_path):
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(StorageError) as refused:
        DataFolder(tmp_path).secret()
    assert refused.value.code == "secret_unreadable"
    assert (tmp_path / "secret").read_bytes() == b"short"
