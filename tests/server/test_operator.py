"""`/metrics` and `/api/state`: what they say, and to whom."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from raccall.client import connect
from raccall.server import operator
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime


@pytest.fixture
async def server(tmp_path):
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        yield server


@pytest.fixture
async def http(server):
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield http


def values(text):
    """(name, labels) → value; the parser raises for what is not the exposition format."""
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


async def test_prometheus_reads_what_happens(server, http):
    async with connect(server.invite(), name="Anna") as anna, connect(server.invite(), name="Tape", recorder=True) as _:
        await anna.join(None)
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    seen = values(answer.text)
    assert seen["raccall_rooms",] == seen["raccall_rooms_in_call",] == seen["raccall_members",] == 1
    assert seen["raccall_sessions", "control"] == 2 and seen["raccall_sessions", "voice"] == 1
    assert seen["raccall_relay_datagrams_total", "discovery"] == 1
    assert seen["raccall_relay_drops_total", "bad_seal"] == seen["raccall_relay_drops_total", "kernel_drops"] == 0
    assert seen["raccall_voice_bytes_total", "up"] >= 0 and ("raccall_event_loop_lag_seconds",) in seen
    assert seen["raccall_forward_latency_seconds_bucket", "+Inf"] == seen["raccall_forward_latency_seconds_count",]
    relay = server.service.relay.counters()
    told = {name for kind, name, *_ in (key for key in seen if len(key) > 1) if "_relay_" in kind}
    assert told == relay.keys(), "every counter is told, under one of the two names"


async def test_metrics_are_for_this_machine_and_for_operators(server, http, monkeypatch):
    assert (await http.get("/metrics")).status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert (await http.get("/metrics", headers={header: "198.51.100.7"})).status_code == 403
    monkeypatch.setattr(operator, "_from_here", lambda request: False)
    refused = await http.get("/metrics")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_operator")
    for token, status in ((server.operator_token, 200), (server.owner_token, 200), ("wrong", 403)):
        assert (await http.get("/metrics", headers={"Authorization": f"Bearer {token}"})).status_code == status


async def test_the_state_shows_rooms_and_members_and_no_secret(server, http):
    assert (await http.get("/api/state")).status_code == 403
    async with connect(server.invite(), name="Anna") as anna:
        await anna.join(None, muted=True)
        await anna.consent(True)
        answer = await http.get("/api/state", headers={"Authorization": f"Bearer {server.operator_token}"})
    state = answer.json()
    (room,) = state["rooms"]
    (member,) = room["members"]
    assert (room["name"], member["name"], member["muted"], member["connected"]) == ("lounge", "Anna", True, True)
    assert (state["sessions"], state["voices"], state["tunnels"]) == (1, 1, 0)
    for secret in (server.owner_token, server.operator_token):
        assert secret not in answer.text


async def test_an_operator_may_look_and_nothing_else(server, http):
    headers = {"Authorization": f"Bearer {server.operator_token}"}
    assert (await http.get("/api/rooms", headers=headers)).status_code == 403
    assert (await http.post("/api/rooms", headers=headers, json={"name": "x"})).status_code == 403


async def test_a_blocked_event_loop_is_seen(server):
    import time

    await asyncio.sleep(0.01)
    time.sleep(0.6)  # noqa: ASYNC251 what is to be seen
    await asyncio.sleep(0.01)
    assert server.service.watch.loop_lag_s > 0.2
