"""Projects that editors open with every track named, coloured and placed at zero: REAPER, Audacity.

REAPER's project is indented text (`<BLOCK`, lines, `>`). Audacity's own format since version 3 is a database of its
samples; the project of version 2 is XML, may tell to import files from the folder NAME_data beside it, and is opened by
versions 2 and 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import quoteattr

from raccall.errors import InputError
from raccall.recorder.export.formats import Format
from raccall.recorder.export.marks import Mark, one_line
from raccall.units import SAMPLE_RATE_HZ


class Editor(StrEnum):
    """Whose project it is."""

    REAPER = "reaper"
    AUDACITY = "audacity"

    @property
    def ending(self) -> str:
        """Of the project's file."""
        return {Editor.REAPER: "rpp", Editor.AUDACITY: "aup"}[self]


@dataclass(frozen=True, slots=True)
class ProjectTrack:
    """One file in a project."""

    name: str
    file: str
    """Name in the folder of sounds."""


COLOURS = ((0x3B, 0x82, 0xC4), (0xD9, 0x6C, 0x4F), (0x5A, 0xA4, 0x69), (0x9B, 0x6B, 0xC3), (0xC9, 0xA2, 0x27))
"""Red, green, blue; speakers take turns. In REAPER only: Audacity colours clips, which an import cannot name."""

_REAPER_SOURCES = {Format.WAV: "WAVE", Format.FLAC: "FLAC", Format.OGG: "VORBIS"}


def check_project_format(format: Format) -> None:
    """Raise InputError "project_format" for files that editors do not open everywhere, or not at the same sample."""
    if format not in _REAPER_SOURCES:
        raise InputError("project_format", f"A project needs WAV, FLAC or Ogg files: editors place {format} unlike.")


def data_folder(name: str) -> str:
    """Where a project's sounds lie, beside it: the name that Audacity looks for."""
    return f"{name}_data"


def project(
    editor: Editor, name: str, tracks: Sequence[ProjectTrack], format: Format, length_s: float, marks: Sequence[Mark]
) -> str:
    """The text of a project file called `name`. Marks become markers, or a label track."""
    if editor is Editor.REAPER:
        return _reaper(name, tracks, format, length_s, marks)
    return _audacity(name, tracks, marks)


def _reaper(name: str, tracks: Sequence[ProjectTrack], format: Format, length_s: float, marks: Sequence[Mark]) -> str:
    lines = ['<REAPER_PROJECT 0.1 "6.0"', f"  SAMPLERATE {SAMPLE_RATE_HZ} 1 0", "  TEMPO 120 4 4"]
    lines += [
        f"  MARKER {number} {mark.at_s:.3f} {_reaper_string(mark.label)} 0" for number, mark in enumerate(marks, 1)
    ]
    for number, track in enumerate(tracks):
        red, green, blue = COLOURS[number % len(COLOURS)]
        lines += [
            "  <TRACK",
            f"    NAME {_reaper_string(track.name)}",
            f"    PEAKCOL {1 << 24 | blue << 16 | green << 8 | red}",
            "    NCHAN 2",
            "    <ITEM",
            "      POSITION 0",
            f"      LENGTH {length_s:.9f}",
            "      LOOP 0",
            f"      NAME {_reaper_string(track.name)}",
            f"      <SOURCE {_REAPER_SOURCES[format]}",
            f"        FILE {_reaper_string(f'{data_folder(name)}/{track.file}')}",
            "      >",
            "    >",
            "  >",
        ]
    return "\n".join([*lines, ">"]) + "\n"


def _reaper_string(text: str) -> str:
    """In whichever quote it does not hold; with all three in it, one is replaced."""
    line = one_line(text)
    quote = next((mark for mark in "\"'`" if mark not in line), None)
    return f"{quote}{line}{quote}" if quote else "`" + line.replace("`", "'") + "`"


def _audacity(name: str, tracks: Sequence[ProjectTrack], marks: Sequence[Mark]) -> str:
    lines = [
        '<?xml version="1.0" standalone="no" ?>',
        '<!DOCTYPE project PUBLIC "-//audacityproject-1.3.0//DTD//EN" '
        '"http://audacity.sourceforge.net/xml/audacityproject-1.3.0.dtd" >',
        '<project xmlns="http://audacity.sourceforge.net/xml/" '
        f'projname={quoteattr(data_folder(name))} version="1.3.0" audacityversion="2.4.2" sel0="0.0" sel1="0.0" '
        f'vpos="0" h="0.0" zoom="10.0" rate="{SAMPLE_RATE_HZ}.0" snapto="off" selectionformat="hh:mm:ss">',
        "\t<tags/>",
    ]
    if marks:
        lines.append(f'\t<labeltrack name="notes" numlabels="{len(marks)}" height="73" minimized="0">')
        for mark in marks:
            lines.append(f'\t\t<label t="{mark.at_s:.3f}" t1="{mark.at_s:.3f}" title={quoteattr(mark.label)}/>')
        lines.append("\t</labeltrack>")
    for track in tracks:
        # Audacity wants the file first; the rest is set on the track that the import made.
        lines.append(
            f'\t<import filename={quoteattr(track.file)} offset="0.0" name={quoteattr(one_line(track.name))} mute="0" '
            f'solo="0" height="150" minimized="0" gain="1.0" pan="0.0"/>'
        )
    return "\n".join([*lines, "</project>"]) + "\n"
