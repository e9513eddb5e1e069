"""Trust on first use: a key counts once it was there in two calls."""

from pathlib import Path

import pytest

from raccall.client.known_keys import MAX_KEYS, KnownKeys


def test_another_key_is_told_once_it_was_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "known.json"
    assert KnownKeys(file).meet("s", "anna", "1")
    assert KnownKeys(file).meet("s", "anna", "1")
    known = KnownKeys(file)
    assert known.meet("other", "anna", "2")
    assert known.meet("s", "ben", "2")
    assert not known.meet("s", "anna", "2")
    assert known.meet("s", "anna", "2"), "told once"
    assert KnownKeys(file).meet("s", "anna", "3"), "the second key was in one call only"


def test_who_has_another_key_in_each_call_is_not_told_of(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    assert all(KnownKeys(file).meet("s", "discord", str(call)) for call in range(5))


def test_another_key_of_who_was_verified_is_told_from_the_first_call_on(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    known = KnownKeys(file)
    known.meet("s", "anna", "1")
    known.verify("s", "anna", "1")
    assert KnownKeys(file).is_verified("s", "anna", "1") and not KnownKeys(file).is_verified("s", "anna", "2")
    assert KnownKeys(file).meet("s", "anna", "1") and KnownKeys(file).is_verified("s", "anna", "1")
    assert not KnownKeys(file).meet("s", "anna", "2")
    assert not KnownKeys(file).is_verified("s", "anna", "1")


def test_many_epochs_are_one_call(tmp_path: Path) -> None:
    known = KnownKeys(tmp_path / "known.json")
    for _ in range(9):
        assert known.meet("s", "anna", "1")
    assert KnownKeys(tmp_path / "known.json").meet("s", "anna", "2")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"a":1}', b"{" * 9999])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "known.json"
    file.write_bytes(content)
    assert KnownKeys(file).meet("s", "anna", "1")
    (tmp_path / "no folder").write_text("")
    assert KnownKeys(tmp_path / "no folder" / "known.json").meet("s", "anna", "1")


def test_those_met_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raccall.client.known_keys.MAX_KEYS", 2)
    assert MAX_KEYS > 2
    file = tmp_path / "known.json"
    for _ in range(2):
        known = KnownKeys(file)
        for name in ("anna", "ben"):
            known.meet("s", name, "1")
    known = KnownKeys(file)
    known.meet("s", "carl", "1")
    assert known.meet("s", "anna", "2"), "forgotten"
