"""Where a program's recording goes, and what is left of it when it fails."""

from pathlib import Path

import pytest

from raccall.errors import ConnectionFailed
from raccall.recorder import destination as module
from raccall.recorder.destination import destination

LOST = ConnectionFailed("call_ended", "The call is over.")


def test_a_folder_of_ones_own_stays_whatever_happens(tmp_path: Path) -> None:
    with destination(str(tmp_path)) as target:
        assert (target.folder, target.temporary) == (tmp_path, False)
    for error in (LOST, KeyboardInterrupt()):
        with pytest.raises(type(error)), destination(tmp_path):
            raise error
    assert tmp_path.is_dir()


@pytest.mark.parametrize("error", [LOST, KeyboardInterrupt()])
def test_a_temporary_folder_in_which_nothing_was_kept_goes(error: BaseException) -> None:
    with pytest.raises(type(error)), destination(None) as target:
        assert target.temporary and target.folder.is_dir()
        raise error
    assert not target.folder.exists()


def test_what_was_received_is_named_by_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_begun", lambda folder: True)
    monkeypatch.setattr(module.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    with pytest.raises(ConnectionFailed) as caught, destination(None):
        raise ConnectionFailed("call_ended", "The call is over.")
    assert tmp_path.is_dir()
    assert str(tmp_path) in caught.value.__notes__[0]
