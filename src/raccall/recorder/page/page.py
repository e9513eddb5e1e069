"""Writes index.html: the template's own files and the recording's facts inlined into one.

Nothing a person typed is ever markup: all of it is in one JSON block, which the script puts on the page as text, and a
content security policy allows no script, style or place but this page's own.
"""

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath

import msgspec

from raccall.recorder.events import Event
from raccall.recorder.happenings import Happening, Span, happenings, presence
from raccall.recorder.segments import Segment
from raccall.recorder.summary import Person, Summary

PAGE = "index.html"

_TEMPLATE = resources.files("raccall.recorder.page") / "template"
_SCRIPTS = (
    "text.js",
    "envelope.js",
    "view.js",
    "voice.js",
    "player.js",
    "lane.js",
    "axis.js",
    "facts.js",
    "stage.js",
    "keys.js",
    "page.js",
)
"""Modules in the order of their use; they become one, because a page opened from disk may not load others."""


class _Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One speaker on the page."""

    person: Person
    peaks: str
    """Base64 of what Peaks.finish gives."""
    talk: list[Span]
    here: list[Span]
    muted: list[Span]


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON block."""

    summary: Summary
    lanes: list[_Lane]
    happenings: list[Happening]
    mix: str


def write_page(
    folder: Path,
    summary: Summary,
    events: Iterable[Event],
    *,
    peaks: Mapping[str, bytes],
    segments: Iterable[Segment],
    mix: str,
) -> None:
    """Write index.html into a recording's folder, beside tracks/ and mix.opus.

    peaks: as from Peaks.finish; a speaker without any has an empty lane.
    mix: path of the mix in the folder. The same arguments always give the same bytes. Raises OSError.
    """
    events = list(events)
    presences = presence(events, summary)
    talk: dict[str, list[Span]] = {}
    for segment in segments:
        talk.setdefault(segment.file_name, []).append((segment.begin_s, segment.end_s))
    lanes = []
    for person in summary.people:
        file_name = PurePosixPath(person.track).stem
        present = presences.get(person.user_id)
        lanes.append(
            _Lane(
                person=person,
                peaks=base64.b64encode(peaks.get(file_name, b"")).decode(),
                talk=talk.get(file_name, []),
                here=present.here if present else [(0.0, summary.duration_s)],
                muted=present.muted if present else [],
            )
        )
    facts = _Facts(summary=summary, lanes=lanes, happenings=happenings(events, summary), mix=mix)
    (folder / PAGE).write_text(_compose(facts, summary.room), encoding="utf-8", newline="\n")


def _compose(facts: _Facts, room: str) -> str:
    style = _read("page.css")
    script = "\n".join(_read(name) for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; media-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    parts = {
        "policy": html.escape(policy, quote=False),
        "title": html.escape(f"{room} – recording" if room else "Recording"),
        "style": style,
        # In JSON "<" occurs in strings only, where it may be escaped: so nothing in it can end the block.
        "facts": msgspec.json.encode(facts).decode().replace("<", "\\u003c"),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _read("page.html"))


def _source(inline: str) -> str:
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _read(name: str) -> str:
    return (_TEMPLATE / name).read_text(encoding="utf-8")
