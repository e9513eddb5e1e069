"""Make an ordinary recording of an encrypted one, with the key that the recording machine does not have."""

import argparse
import sys
from pathlib import Path

from raccall.cli.outcome import render_and_tell
from raccall.recorder.age_keys import read_identities
from raccall.recorder.sealed import unseal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall decrypt`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `raccall record --encrypt-to`")
    parser.add_argument(
        "--identity", type=Path, required=True, metavar="KEYFILE", help="secret key: of age, or an OpenSSH key file"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR2", help="new or empty folder, in clear")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Decrypt, make the tracks, say where they are. Returns the exit code."""
    opened = unseal(options.folder, read_identities(options.identity), options.out)
    if opened.broken or opened.missing or opened.cut_bytes:
        lost = max(opened.broken, opened.missing)
        print(f"{lost} damaged segments are lost, {opened.segments} are whole", file=sys.stderr)
    render_and_tell(options.out, as_json=options.json)
    return 0
