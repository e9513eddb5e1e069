"""Invite links: the right ones, and each way to be wrong."""

import pytest

from raccall.client.link import parse_link
from raccall.errors import InputError

PRINT = "ab" * 32


def test_a_plain_link() -> None:
    link = parse_link(" http://127.0.0.1:7420/join/eyJy.b-_x\n")
    assert (link.secure, link.host, link.port, link.token) == (False, "127.0.0.1", 7420, "eyJy.b-_x")
    assert link.api_url == "http://127.0.0.1:7420/api"
    assert link.gateway_url == "ws://127.0.0.1:7420/gateway"
    assert link.fingerprint is None


def test_a_link_with_a_certificate() -> None:
    link = parse_link(f"https://voice.example.org/join/abc#{PRINT.upper()}")
    assert (link.secure, link.port, link.fingerprint) == (True, 443, bytes.fromhex(PRINT))
    assert link.gateway_url == "wss://voice.example.org:443/gateway"
    colons = ":".join(["ab"] * 32)
    assert parse_link(f"https://voice.example.org/join/abc#{colons}") == link


def test_an_ipv6_address_keeps_its_brackets_in_urls() -> None:
    link = parse_link("http://[::1]:7420/join/abc")
    assert link.host == "::1"
    assert link.api_url == "http://[::1]:7420/api"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lounge",
        "ftp://host/join/abc",
        "http:///join/abc",
        "http://host:99999/join/abc",
        "http://[::1/join/abc",
        "http://host:7420/",
        "http://host:7420/join/",
        "http://host:7420/join/a b",
        f"http://host:7420/join/abc#{PRINT}",
        "https://host:7420/join/abc#1234",
        f"https://host:7420/join/abc#{'zz' * 32}",
    ],
)
def test_a_malformed_link_is_one_clear_sentence(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_link(text)
    assert caught.value.code == "invite_malformed"
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
