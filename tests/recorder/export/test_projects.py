"""Editor projects, read by independent parsers: REAPER's by `rpp`, Audacity's as the XML it is."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import rpp
from spoken import Call

from raccall.errors import InputError
from raccall.recorder.export import Editor, Format, export
from raccall.recorder.export.marks import Mark
from raccall.recorder.export.projects import ProjectTrack, check_project_format, project

NAMES = ["anna", 'Zoë "Zed" O\'Hara', "a `b` \"c\" 'd'", "<&>", "line\nbreak\x1b"]
TRACKS = [ProjectTrack(name, f"{number}.wav") for number, name in enumerate(NAMES)]
MARKS = [Mark(1.25, "anna", 'say "hi"'), Mark(3.0, "", "gap: 7 packets lost (kernel)")]


def test_reaper_has_every_track_at_zero_named_and_coloured() -> None:
    root = rpp.loads(project(Editor.REAPER, "talk", TRACKS, Format.WAV, 12.5, MARKS))
    assert root.tag == "REAPER_PROJECT"
    tracks = root.findall("TRACK")
    names = [track.find("NAME")[1] for track in tracks]
    assert names == ["anna", 'Zoë "Zed" O\'Hara', "a 'b' \"c\" 'd'", "<&>", "line break"]
    assert len({track.find("PEAKCOL")[1] for track in tracks}) == len(tracks)
    for track, expected in zip(tracks, TRACKS, strict=True):
        item = track.find("ITEM")
        assert float(item.find("POSITION")[1]) == 0
        assert float(item.find("LENGTH")[1]) == 12.5
        source = item.find("SOURCE")
        assert source.attrib[0] == "WAVE"
        assert source.find("FILE")[1] == f"talk_data/{expected.file}"
    markers = [(float(marker[2]), marker[3]) for marker in root.findall("MARKER")]
    assert markers == [(1.25, 'anna: say "hi"'), (3.0, "gap: 7 packets lost (kernel)")]


def test_audacity_imports_every_track_at_zero() -> None:
    text = project(Editor.AUDACITY, "talk", TRACKS, Format.WAV, 12.5, MARKS)
    root = ElementTree.fromstring(text.encode())
    space = "{http://audacity.sourceforge.net/xml/}"
    assert (root.tag, root.get("projname"), root.get("rate")) == (f"{space}project", "talk_data", "48000.0")
    imports = root.findall(f"{space}import")
    assert [next(iter(found.attrib)) for found in imports] == ["filename"] * len(TRACKS)  # Audacity wants it first
    assert [found.get("filename") for found in imports] == [track.file for track in TRACKS]
    assert [found.get("name") for found in imports] == [*NAMES[:4], "line break"]
    assert {float(found.get("offset", "-1")) for found in imports} == {0.0}
    notes = root.find(f"{space}labeltrack")
    assert notes is not None and notes.get("numlabels") == "2"
    assert [(float(label.get("t", "")), label.get("title")) for label in notes] == [
        (1.25, 'anna: say "hi"'),
        (3.0, "gap: 7 packets lost (kernel)"),
    ]


@pytest.mark.parametrize(("format", "source"), [(Format.WAV, "WAVE"), (Format.FLAC, "FLAC"), (Format.OGG, "VORBIS")])
def test_reaper_is_told_what_kind_of_file_it_is(format: Format, source: str) -> None:
    root = rpp.loads(project(Editor.REAPER, "talk", TRACKS[:1], format, 1.0, []))
    assert root.find(".//SOURCE").attrib == [source]


def test_formats_that_editors_place_elsewhere_are_refused() -> None:
    for format in (Format.MP3, Format.OPUS):
        with pytest.raises(InputError) as caught:
            check_project_format(format)
        assert caught.value.code == "project_format"


def test_a_projects_marks_are_the_notes_and_gaps_where_they_were(call: Call, tmp_path: Path) -> None:
    export(call.folder, tmp_path / "talk", projects=["reaper"], begin_s=1.0)
    root = rpp.loads((tmp_path / "talk/talk.rpp").read_text(encoding="utf-8"))
    markers = [(float(marker[2]), marker[3]) for marker in root.findall("MARKER")]
    text = "anna: listen <here> & \"there\" it's 'loud'"  # with all three quotes in it, one is replaced
    assert markers == [(1.2, text), (2.2, "gap: 7 packets lost (kernel)")]  # 200 ms of lead-in, one second cut off
