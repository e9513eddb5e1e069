"""What is remembered survives, and a bad file harms nobody."""

from pathlib import Path

import pytest

from raccall.cli.terminal.memory import MAX_VOLUMES, Memory


def test_volumes_and_devices_come_back(tmp_path: Path) -> None:
    file = tmp_path / "new" / "join.json"
    memory = Memory.load(file)
    memory.set_volume_db("host:7420", "ben", -6.0)
    memory.microphone = "Headset"
    memory.save(file)
    again = Memory.load(file)
    assert again.volume_db("host:7420", "ben") == -6.0
    assert again.volume_db("other:7420", "ben") == again.volume_db("host:7420", "anna") == 0.0
    assert (again.microphone, again.speaker) == ("Headset", None)
    again.set_volume_db("host:7420", "ben", 0.0)
    assert again.volumes_db == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"volumes_db": 3}', b"[]"])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "join.json"
    file.write_bytes(content)
    assert Memory.load(file) == Memory()


def test_what_cannot_be_written_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Memory().save(tmp_path / "file" / "join.json")


def test_only_the_newest_volumes_are_kept() -> None:
    memory = Memory()
    for number in range(MAX_VOLUMES + 10):
        memory.set_volume_db("h", str(number), 1.0)
    assert len(memory.volumes_db) == MAX_VOLUMES
    assert memory.volume_db("h", "9") == 0.0 and memory.volume_db("h", "10") == 1.0
