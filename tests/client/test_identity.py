"""One secret in one file, and a key for each name at each server."""

import stat
import sys
from pathlib import Path

import pytest

from raccall.client.identity import SECRET_BYTES, identity_key, load_secret, server_of
from raccall.client.link import parse_link
from raccall.voice.e2ee import DaveMember


def test_the_secret_lasts_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "identity"
    secret = load_secret(file)
    assert len(secret) == SECRET_BYTES
    assert load_secret(file) == secret != load_secret(tmp_path / "other")
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700, "a server's data may be there, too"


@pytest.mark.parametrize("damage", ["", "xyz", "00", "ü" * 64])
def test_a_damaged_file_is_left_alone_and_the_call_goes_on(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "identity"
    file.write_text(damage, encoding="utf-8")
    assert load_secret(file) != load_secret(file)
    assert file.read_text(encoding="utf-8") == damage


def test_a_folder_that_cannot_be_made_costs_recognition_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(load_secret(tmp_path / "file" / "identity")) == SECRET_BYTES


def test_each_name_at_each_server_has_a_key_of_its_own() -> None:
    secret = bytes(range(32))
    key = identity_key(secret, "host:1", "anna")
    assert key == identity_key(secret, "host:1", "anna")
    others = [
        identity_key(secret, "host:1", "ben"),
        identity_key(secret, "host:2", "anna"),
        identity_key(bytes(32), "host:1", "anna"),
    ]
    assert len({key, *others}) == 4
    assert DaveMember(1, 2, key).identity_key() == key
    assert key.hex() == "42b37c578ef5715bf69e17d8d5b1c3da1a36d5f43588f3840a00377936cbe326"


def test_a_server_with_its_own_certificate_is_known_by_it() -> None:
    fingerprint = "ab" * 32
    first = parse_link(f"https://one.example:7420/join/t#{fingerprint}")
    second = parse_link(f"https://192.0.2.1:7420/join/t#{fingerprint}")
    assert server_of(first) == server_of(second) == fingerprint
    assert server_of(parse_link("http://127.0.0.1:7420/join/t")) == "127.0.0.1:7420"
