"""Delete recordings that are older than so many days, and nothing else."""

import argparse
import json
from pathlib import Path

from raccall.clock import wall_now
from raccall.errors import InputError, StorageError
from raccall.recorder.retention import Pruned, prune


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall prune`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that the recordings' folders are in")
    parser.add_argument("--days", type=int, required=True, metavar="N", help="delete what ended longer ago than this")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    parser.add_argument("--json", action="store_true", help="one JSON object for each recording")


def run(options: argparse.Namespace) -> int:
    """Tell of each one. Returns the exit code; raises InputError or StorageError."""
    if options.days < 1:
        raise InputError("days_out_of_range", "--days must be 1 or more.")
    if not options.folder.is_dir():
        raise InputError("not_a_folder", f"{options.folder} is not a folder.")
    left: list[Pruned] = []
    try:
        for pruned in prune(options.folder, lambda room: options.days, wall_now(), dry_run=options.dry_run):
            print(_as_json(pruned) if options.json else _as_text(pruned, options.dry_run))
            left += [pruned] if pruned.error is not None else []
    except OSError as error:
        raise StorageError("folder_unreadable", f"{options.folder} cannot be read: {error.strerror}.") from error
    if left:
        raise StorageError("prune_failed", f"{left[0].kept.path} could not be deleted: {left[0].error}.")
    return 0


def _as_json(pruned: Pruned) -> str:
    kept = pruned.kept
    fields = {"recording": str(kept.path), "room": kept.room, "ended": kept.ended.isoformat(), "bytes": kept.bytes}
    return json.dumps({**fields, "error": pruned.error})


def _as_text(pruned: Pruned, dry_run: bool) -> str:
    kept = pruned.kept
    done = "could NOT be deleted" if pruned.error is not None else "would be deleted" if dry_run else "deleted"
    return f"{kept.path}: {done} (ended {kept.ended:%Y-%m-%d %H:%M} UTC, {kept.bytes / 1e6:.1f} MB)"
