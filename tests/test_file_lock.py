"""One at a time."""

import os
from pathlib import Path

from raccall.file_lock import try_lock


def test_a_second_descriptor_gets_it_when_the_first_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert try_lock(first)
        assert not try_lock(second)
        os.close(first)
        assert try_lock(second)
    finally:
        os.close(second)
