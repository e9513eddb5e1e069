"""Who spoke when, for other programs: WebVTT with voice tags (W3C), and labels as Audacity reads them."""

import html
from collections.abc import Iterable

from raccall.recorder.export.marks import Mark, one_line
from raccall.recorder.segments import Segment

NOTE_SECONDS = 5.0
"""How long a note is shown."""


def webvtt(segments: Iterable[Segment], marks: Iterable[Mark], length_s: float) -> str:
    """One cue a segment, its voice and text the speaker's name; notes and gaps as cues of the class "note".

    length_s: of the sound, where the last cue ends.
    """
    cues = [(s.begin_s, s.end_s, f"<v {_voice(s.name)}>{_text(s.name)}</v>") for s in segments]
    for mark in marks:
        tag = f"<v.note {_voice(mark.name)}>{_text(mark.text)}</v>" if mark.name else f"<c.note>{_text(mark.text)}</c>"
        cues.append((mark.at_s, min(mark.at_s + NOTE_SECONDS, length_s), tag))
    lines = ["WEBVTT"]
    for begin_s, end_s, text in sorted(cues):
        lines += ["", f"{_time(begin_s)} --> {_time(end_s)}", text]
    return "\n".join(lines) + "\n"


def labels(segments: Iterable[Segment], marks: Iterable[Mark]) -> str:
    """A line each: begin, end and text, with tabs between. Audacity: File, Import, Labels."""
    rows = [(s.begin_s, s.end_s, s.name) for s in segments] + [(m.at_s, m.at_s, m.label) for m in marks]
    return "".join(f"{begin_s:.3f}\t{end_s:.3f}\t{one_line(text)}\n" for begin_s, end_s, text in sorted(rows))


def _time(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _text(text: str) -> str:
    """Cue text: what looks like markup, or like the arrow between times, is escaped."""
    return html.escape(one_line(text), quote=False)


def _voice(name: str) -> str:
    """An annotation; must not be empty."""
    return _text(name) or "unknown"
