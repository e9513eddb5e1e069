"""Make a key pair for encrypted recordings, as `age-keygen` does, for those who do not have age."""

import argparse
from pathlib import Path

from raccall.recorder.age_keys import new_identity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall keygen`."""
    parser.add_argument("file", type=Path, metavar="KEYFILE", help="where the secret key goes; it must not exist")


def run(options: argparse.Namespace) -> int:
    """Write the secret key, print the public one. Returns the exit code."""
    print(new_identity(options.file))
    return 0
