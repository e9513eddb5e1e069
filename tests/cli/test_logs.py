"""What a server logs: stable keys, one line, no secrets, no floods."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from raccall.cli import logs
from raccall.client import connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime

log = logging.getLogger("raccall.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in logs.LOGGERS]
    before = [(one.handlers, one.propagate, one.level) for one in loggers]
    yield
    for one, (handlers, propagate, level) in zip(loggers, before, strict=True):
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def test_an_event_has_the_same_keys_in_both_styles() -> None:
    told = {}
    for style in logs.FORMATS:
        stream = io.StringIO()
        logs.log_to(stream, style=style)
        log.info("member_joined", extra={"fields": {"room": "a b", "user_id": "7"}})
        log.debug("not shown")
        told[style] = stream.getvalue()
    fields = json.loads(told["json"])
    assert list(fields) == ["time", "level", "event", "room", "user_id"]
    assert fields["time"].endswith("Z") and (fields["level"], fields["event"]) == ("info", "member_joined")
    assert told["text"].endswith(' info member_joined room="a b" user_id=7\n')


def test_no_line_can_be_forged_and_an_exception_is_one_line() -> None:
    stream = io.StringIO()
    logs.log_to(stream, style="text")
    log.info("joined", extra={"fields": {"name": "x\n2026-01-01 00:00:00 error all lost\x1b[2J"}})
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("it broke")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2 and "\x1b" not in stream.getvalue()
    assert "ValueError: broken" in lines[1]


def test_repeats_are_left_out_and_counted() -> None:
    repeats, lines = logs.Repeats(), logs.JsonLines()

    def told(event: str, wall: float) -> dict[str, object] | None:
        record = logging.makeLogRecord({"msg": event, "name": "raccall", "created": wall, "fields": {}})
        return json.loads(lines.format(record)) if repeats.filter(record) else None

    assert sum(told("refused", 1000.0) is not None for _ in range(100)) == logs.BURST
    assert told("other", 1000.0) is not None
    later = told("refused", 1000.0 + logs.PER_SECONDS)
    assert later is not None and later["left_out"] == 100 - logs.BURST
    again = told("refused", 1000.0 + logs.PER_SECONDS)
    assert again is not None and "left_out" not in again


async def test_a_servers_log_tells_what_happens_and_no_secret(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.log_to(stream, style="json", level="debug")
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        invite = server.invite()
        async with connect(invite, name="anna") as anna:
            given = await anna.ask_for_voice()
            await anna.join(None)
            log.error("leaked %s %s %s", invite, server.owner_token, given.token)
        secrets = [server.owner_token, server.operator_token, invite.rpartition("/")[2], given.token, anna._guest.token]
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    events = [one["event"] for one in told]
    for event in ("member_joined", "voice_connected", "member_left", "voice_ended"):
        assert event in events, events
    assert not [secret for secret in secrets if secret in stream.getvalue()]
    assert stream.getvalue().count(logs.HIDDEN) >= 3
