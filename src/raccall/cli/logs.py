"""What a server logs: one line an event, for people or for programs; no secrets; nothing a thousand times.

text    2026-11-21 17:20:03 info member_joined room=lounge
json    {"time":"2026-11-21T17:20:03.123Z","level":"info","event":"member_joined","room":"lounge"}

An event is logged as `log.info("member_joined", extra={"fields": {...}})`; its name and the names of its fields stay
the same. A sentence of other loggers becomes `event` "message" with the field `text`.
"""

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
LOGGERS = ("raccall", "uvicorn.error")
"""The web server's own loggers speak of what went wrong there."""

BURST = 20
PER_SECONDS = 10.0
MAX_KINDS = 1000
"""Kinds of events counted at once; beyond, counting begins anew."""

_SECRET = re.compile(
    r"(?<=/join/)[\w.~-]+"  # invites
    r"|(?<=[Bb]earer )\S+"
    r"|\b[0-9a-f]{32,}\b"  # owner's and operator's tokens, session tokens, keys
    r"|\b[\w-]{16,}\.[\w-]{27,}\b"  # what the server signed
)
HIDDEN = "[hidden]"


def log_to(stream: TextIO | None = None, *, style: str = "text", level: str = "info") -> logging.Handler:
    """Send all that a server logs to `stream` (standard error). Again: instead of before. Returns the handler."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    handler.addFilter(Repeats())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    return handler


class Repeats(logging.Filter):
    """Lets BURST events of one kind through in PER_SECONDS; the first one after that says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}  # kind → beginning of its time, count in it

    def filter(self, record: logging.LogRecord) -> bool:
        kind = f"{record.levelno} {record.name} {record.msg}"
        began, count = self._seen.get(kind, (record.created, 0))
        if record.created - began >= PER_SECONDS:
            if count > BURST:
                record.left_out = count - BURST
            began, count = record.created, 0
        if len(self._seen) >= MAX_KINDS:
            self._seen.clear()
        self._seen[kind] = (began, count + 1)
        return count < BURST


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, event, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        wall = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"time": wall, "level": record.levelname.lower()}
        return json.dumps(head | _event(self, record), ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """Local time, level, event, fields as key=value; a sentence stays one."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        fields = _event(self, record)
        name = fields.pop("event")
        said = fields.pop("text") if name == "message" else name
        parts = [f"{key}={_quoted(str(value))}" for key, value in fields.items()]
        return " ".join([when, record.levelname.lower(), said, *parts])


def _event(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    if fields is None:
        event: dict[str, Any] = {"event": "message", "text": _one_line(record.getMessage())}
    else:
        event = {"event": str(record.msg)}
        event |= {key: _one_line(value) if isinstance(value, str) else value for key, value in fields.items()}
    if record.exc_info:
        event["error"] = _one_line(formatter.formatException(record.exc_info))
    if (left_out := getattr(record, "left_out", 0)) > 0:
        event["left_out"] = left_out
    return event


def _one_line(text: str) -> str:
    """Without secrets, and without what could forge a line."""
    text = _SECRET.sub(HIDDEN, text)
    return "".join(letter if letter.isprintable() else " | " if letter == "\n" else "�" for letter in text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "=') else text
