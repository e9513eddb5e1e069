"""What a person gives beside the capture: keys, owners, the server's address."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.errors import InputError
from raccall.recorder.importing import Owner, parse_server, read_keys, read_owners

ONE, TWO = bytes(range(32)), bytes(range(100, 132))


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        ONE.hex().encode(),
        b"\xef\xbb\xbf# of Tuesday\r\n\r\n" + ONE.hex().upper().encode() + b"  # first\r\n",
        base64.b64encode(ONE) + b"\n",
        json.dumps(list(ONE)).encode(),
        json.dumps({"mode": "xsalsa20_poly1305", "secret_key": list(ONE)}).encode(),
        json.dumps({"op": 4, "d": {"secret_key": list(ONE)}}, indent=1).encode(),
        json.dumps([ONE.hex()]).encode(),
    ],
)
def test_a_key_in_any_form(text: bytes) -> None:
    assert read_keys(text, "key.txt") == [ONE]


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE.hex()}\n{TWO.hex()}\n{ONE.hex()}\n".encode(),
        f"{json.dumps(list(ONE))}\n{json.dumps({'secret_key': list(TWO)})}\n".encode(),
        json.dumps([list(ONE), {"secret_key": list(TWO)}]).encode(),
    ],
)
def test_the_keys_of_several_sessions(text: bytes) -> None:
    assert read_keys(text, "keys") == [ONE, TWO]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n# nothing\n",
        ONE[:31],
        ONE.hex()[:-1].encode(),
        b"[1, 2]",
        b"[300]",
        b"{}",
        b"[",
        b"[[[",
        b"[1.5]",
        b"\xff" * 31,
        b"[" * 10_000,
        base64.b64encode(ONE[:24]) + b"=",
        (ONE.hex() + "\n").encode() + b"oops",
        b'{"secret_key": [null]}',
    ],
)
def test_what_is_no_key_is_said_without_showing_it(text: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_keys(text, "key.txt")
    assert caught.value.code == "key_malformed"
    assert str(caught.value).startswith("key.txt holds no voice key") and ONE.hex()[:8] not in str(caught.value)


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_other_bytes_are_an_error_and_nothing_else(text: bytes) -> None:
    for read in (read_keys, read_owners):
        with contextlib.suppress(InputError):
            read(text, "x")  # type: ignore[operator]


def test_owners_by_ssrc() -> None:
    text = b'{"10": "anna", "0xB": {"user_id": "7", "name": "ben"}, "12": {"user_id": 7, "name": "ben"}}'
    assert read_owners(text, "users.json") == {10: Owner("anna", "anna"), 11: Owner("7", "ben"), 12: Owner("7", "ben")}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"anna": 10}',
        b'{"10": 5}',
        b'{"-1": "anna"}',
        b'{"4294967296": "anna"}',
        b'{"1": ""}',
        b'{"1": {"name": "anna"}}',
        b'{"1": {"user_id": null, "name": "anna"}}',
        b"\xff",
        b"[" * 10_000,
    ],
)
def test_what_does_not_name_owners(text: bytes) -> None:
    with pytest.raises(InputError, match=r"users\.json does not say whose voices they are") as caught:
        read_owners(text, "users.json")
    assert caught.value.code == "users_malformed"


def test_servers() -> None:
    assert parse_server("50004").port == 50004 and parse_server("50004").host is None
    assert parse_server("203.0.113.5").host == bytes([203, 0, 113, 5])
    assert parse_server("203.0.113.5:50004").port == 50004
    assert parse_server("2001:db8::1").host == parse_server("[2001:db8::1]:5").host
    assert parse_server("[2001:db8::1]:5").port == 5


@pytest.mark.parametrize("text", ["", "0", "65536", "example.org", "1.2.3.4:x", ":5:", "[::1", "[::1]:70000", "²"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_server(text)
    assert caught.value.code == "server_malformed"
