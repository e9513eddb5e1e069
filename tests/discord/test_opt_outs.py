"""Who said no is not forgotten."""

from pathlib import Path

import pytest

from raccall.discord.opt_outs import OptOuts
from raccall.errors import StorageError


def test_it_outlasts_the_program(tmp_path: Path) -> None:
    path = tmp_path / "new" / "opt-outs.json"
    OptOuts(path).set(1, "7", True)
    again = OptOuts(path)
    again.set(2, "8", True)
    again.set(2, "9", True)
    again.set(2, "9", False)
    assert (OptOuts(path).of(1), OptOuts(path).of(2), OptOuts(path).of(3)) == ({"7"}, {"8"}, frozenset())


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"1": 2}'])
def test_a_damaged_file_is_no_yes(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "opt-outs.json"
    path.write_text(damaged)
    with pytest.raises(StorageError, match="says who must not be recorded"):
        OptOuts(path)


def test_a_no_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        OptOuts(tmp_path / "file" / "opt-outs.json").set(1, "7", True)
