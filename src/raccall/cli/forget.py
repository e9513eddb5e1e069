"""Remove one speaker from a recording: their packets, their events, their track, and their voice in the mix."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from raccall.cli.progress import progress_line
from raccall.cli.screen import printable
from raccall.recorder import Forgotten, forget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall forget`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recording's folder")
    parser.add_argument("--speaker", required=True, metavar="NAME", help="name, user id or unknown-SSRC")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Forget the speaker, then say what is gone and what is left to look at. Returns the exit code."""
    with progress_line() as show:
        gone = forget(options.folder, options.speaker, progress=lambda share: show(f"removing: {share:4.0%}"))
    print(json.dumps(asdict(gone)) if options.json else _as_text(options.folder, gone))
    return 0


def _as_text(folder: Path, gone: Forgotten) -> str:
    lines = [f"{printable(gone.name)} is gone from {folder}: {gone.packets} packets, {gone.events} events"]
    if gone.mix_lost:
        lines.append("  mix and page are gone, too: without the journal, which was not kept, they cannot be made anew")
    if gone.unreadable:
        lines.append(f"  {gone.unreadable} damaged places are gone, too: nobody can say whose they were")
    if gone.unknown:
        lines.append(f"  perhaps theirs as well, forget each by its name: {', '.join(gone.unknown)}")
    if gone.untouched:
        lines.append(f"  not made here, so not touched: {', '.join(map(printable, gone.untouched))}")
    return "\n".join([*lines, "  copies elsewhere, such as backups and exports, are yours to delete"])
