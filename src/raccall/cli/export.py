"""Make files of a recording for other programs: sound per speaker or mixed, editor projects, who spoke when."""

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

from raccall.cli.progress import progress_line
from raccall.cli.screen import printable
from raccall.errors import InputError
from raccall.recorder.export import Depth, Editor, Exported, Format, SegmentFormat, export

_USUAL = "usual"

_TIME = re.compile(r"(\d+:){0,2}\d+(\.\d+)?", re.ASCII)
_GAIN_RANGE_DB = (-60.0, 24.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall export`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recording's folder")
    what = parser.add_argument_group("what")
    what.add_argument("--mix", action="store_true", help="everybody in one file")
    what.add_argument("--tracks", action="store_true", help="one file per speaker; so without --mix, too")
    what.add_argument("--speaker", action="append", metavar="NAME", help="only this one; may be given again")
    what.add_argument("--from", dest="begin", metavar="TIME", help="begin there: 83.5, 1:23.5 or 0:01:23.5")
    what.add_argument("--to", dest="end", metavar="TIME", help="end there")
    what.add_argument(
        "--segments",
        action="append",
        choices=list(SegmentFormat),
        help="who spoke when; no sound if nothing else is said",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--format", choices=list(Format), help="default: wav; ogg is Vorbis")
    how.add_argument(
        "--depth", choices=list(Depth), default=Depth.INT_16, help="of WAV and FLAC (default: %(default)s)"
    )
    how.add_argument("--lufs", metavar="N", help="loudness of each file, or off (default: the mix at -16)")
    how.add_argument("--gain", action="append", default=[], metavar="NAME=DB", help="make a speaker louder or quieter")
    how.add_argument("--project", action="append", default=[], choices=list(Editor), help="an editor's project, too")
    where = parser.add_argument_group("where")
    where.add_argument("--out", type=Path, metavar="PATH", help="folder, or ZIP file (default: beside DIR)")
    where.add_argument("--zip", action="store_true", help="one ZIP; with everything if nothing else is said")
    where.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Export with progress, then say what was made. Returns the exit code."""
    wanted = _wanted(options)
    name = options.folder.resolve().name
    out = options.out or options.folder.resolve().parent / (f"{name}.zip" if options.zip else f"{name}-export")
    with progress_line() as show:
        made = export(options.folder, out, **wanted, progress=lambda share: show(f"exporting: {share:4.0%}"))
    print(json.dumps(_as_json(made)) if options.json else _as_text(made))
    return 0


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `export`."""
    wanted = {
        "format": options.format or Format.WAV,
        "depth": options.depth,
        "mix": options.mix,
        "tracks": options.tracks or not options.mix or bool(options.project),
        "speakers": options.speaker,
        "gains_db": dict(_gain(word) for word in options.gain),
        "begin_s": _seconds(options.begin, "--from") if options.begin else 0.0,
        "end_s": _seconds(options.end, "--to") if options.end else None,
        "lufs": _lufs(options.lufs),
        "segments": options.segments or [],
        "projects": options.project,
        "zip": options.zip,
    }
    nothing_said = not (options.mix or options.tracks or options.segments or options.project)
    if options.zip and nothing_said:
        wanted |= {"mix": True, "segments": [SegmentFormat.JSON, SegmentFormat.VTT]}
    if options.segments and not (options.mix or options.tracks or options.project or options.format):
        wanted["tracks"] = False
    return wanted


def _seconds(text: str, option: str) -> float:
    """Seconds, minutes:seconds or hours:minutes:seconds; what stands behind a colon is below 60."""
    parts = text.split(":")
    if not _TIME.fullmatch(text) or any(float(part) >= 60 for part in parts[1:]):
        raise InputError("time_invalid", f"{option} {text} is no time: write 83.5, 1:23.5 or 0:01:23.5.")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + float(part)
    return seconds


def _gain(word: str) -> tuple[str, float]:
    """NAME=dB; a name may hold an equals sign."""
    name, _, number = word.rpartition("=")
    low, high = _GAIN_RANGE_DB
    gain_db = _number(number)
    if not name or not low <= gain_db <= high:
        raise InputError("gain_invalid", f"--gain {word}: write NAME=dB, with {low:g} to {high:g} dB.")
    return name, gain_db


def _lufs(text: str | None) -> float | str | None:
    if text is None:
        return _USUAL
    if text in ("off", "none"):
        return None
    if math.isnan(lufs := _number(text)):
        raise InputError("lufs_out_of_range", f"--lufs {text}: write a number such as -16, or off.")
    return lufs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _as_json(made: Exported) -> dict[str, object]:
    return {
        "path": str(made.path),
        "duration_s": made.duration_s,
        "files": [{"path": file.path, "speaker": file.speaker, "gain_db": file.gain_db} for file in made.files],
    }


def _as_text(made: Exported) -> str:
    lines = [f"{made.duration_s:.1f} s exported to {printable(str(made.path))}"]
    for file in made.files:
        louder = f"  {file.gain_db:+.1f} dB" if file.gain_db else ""
        lines.append(f"  {printable(file.path)}{louder}")
    return "\n".join(lines)
