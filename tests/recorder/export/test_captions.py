"""Who spoke when, as WebVTT (read by `webvtt`) and as Audacity's labels."""

from io import StringIO
from pathlib import Path

import webvtt
from spoken import Call

from raccall.recorder.export import export
from raccall.recorder.export.captions import labels
from raccall.recorder.export.captions import webvtt as written
from raccall.recorder.export.marks import Mark
from raccall.recorder.segments import Segment

SEGMENTS = [Segment("1", "Anna & <Co>", "Anna", 0.0, 2.5), Segment("2", "Ben", "Ben", 3599.9996, 3661.25)]
MARKS = [Mark(2.0, "Ben", "look: 1 --> 2"), Mark(3660.0, "", "gap: 7 packets lost (kernel)")]


def test_captions_name_the_voice() -> None:
    text = written(SEGMENTS, MARKS, 3662.0)
    cues = list(webvtt.from_buffer(StringIO(text)))
    assert [(cue.start, cue.end) for cue in cues] == [
        ("00:00:00.000", "00:00:02.500"),
        ("00:00:02.000", "00:00:07.000"),
        ("01:00:00.000", "01:01:01.250"),
        ("01:01:00.000", "01:01:02.000"),
    ]
    assert [cue.raw_text for cue in cues] == [
        "<v Anna &amp; &lt;Co&gt;>Anna &amp; &lt;Co&gt;</v>",
        "<v.note Ben>look: 1 --&gt; 2</v>",
        "<v Ben>Ben</v>",
        "<c.note>gap: 7 packets lost (kernel)</c>",
    ]


def test_labels_are_begin_end_and_text() -> None:
    assert labels(SEGMENTS, MARKS).splitlines() == [
        "0.000\t2.500\tAnna & <Co>",
        "2.000\t2.000\tBen: look: 1 --> 2",
        "3600.000\t3661.250\tBen",
        "3660.000\t3660.000\tgap: 7 packets lost (kernel)",
    ]


def test_a_recordings_captions(call: Call, tmp_path: Path) -> None:
    export(call.folder, tmp_path / "out", tracks=False, segments=["vtt", "labels"])
    voices = {cue.voice for cue in webvtt.read(tmp_path / "out/segments.vtt")}
    assert voices == {"anna", "ben", None}
    lines = (tmp_path / "out/labels.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split("\t")[2].split(":")[0] for line in lines} == {"anna", "ben", "gap"}
