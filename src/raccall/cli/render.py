"""Make a recording's tracks, mix and summary again from its journal: after a crash, or with a newer version."""

import argparse
from pathlib import Path

from raccall.cli.outcome import render_and_tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall render`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recording's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Render, then say where the files are. Returns the exit code."""
    render_and_tell(options.folder, as_json=options.json)
    return 0
