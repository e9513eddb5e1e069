"""The head of a first request, and the answer that makes a WebSocket of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raccall.server.handshake import MAX_HEAD_BYTES, HeadMalformed, read_head, refusal

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3, as is the answer
GOOD = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}


def request(begin="GET /?v=8 HTTP/1.1", **changes):
    fields = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([begin, "Host: 192.0.2.1:7420", *lines, "", ""]).encode()


def test_the_example_of_the_standard():
    head = read_head(request() + b"\x81\x00")
    assert (head.path, head.query("v"), head.headers["host"]) == ("/", "8", "192.0.2.1:7420")
    assert head.wants_websocket and head.size == len(request())
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head.switching()


@pytest.mark.parametrize(
    "changes", [{"Connection": "keep-alive, upgrade"}, {"Upgrade": "WebSocket"}, {"begin": "GET /gateway HTTP/1.1"}]
)
def test_what_clients_write_otherwise_is_as_good(changes):
    assert read_head(request(**changes)).switching()


@pytest.mark.parametrize(
    "changes, status",
    [
        ({"begin": "POST / HTTP/1.1"}, 400),
        ({"begin": "GET / HTTP/1.0"}, 400),
        ({"Connection": "close"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Version": None}, 426),
        ({"Sec_WebSocket_Key": "AAAA"}, 400),
        ({"Sec_WebSocket_Key": "ü"}, 400),
        ({"Sec_WebSocket_Key": f"{KEY}, {KEY}"}, 400),
        ({"Sec_WebSocket_Key": None}, 400),
    ],
)
def test_a_handshake_that_is_none(changes, status):
    with pytest.raises(HeadMalformed) as raised:
        read_head(request(**changes)).switching()
    assert raised.value.status == status and refusal(status).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_head_that_is_not_whole_is_waited_for_up_to_a_limit():
    assert read_head(request()[:-1]) is None
    with pytest.raises(HeadMalformed):
        read_head(b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD_BYTES)


def test_a_line_that_is_no_header_is_refused():
    for line in (b"no colon", b" folded: line", b"space : before"):
        with pytest.raises(HeadMalformed):
            read_head(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: request() + data))
def test_any_bytes_are_read_or_refused(data):
    try:
        head = read_head(data)
        if head is not None and head.wants_websocket:
            head.switching()
    except HeadMalformed:
        pass
