"""What a recording became: made with progress, told at the end."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from raccall.cli.progress import progress_line, say
from raccall.cli.screen import printable
from raccall.recorder import Summary, render
from raccall.recorder.received import delete_received
from raccall.recorder.space import megabytes

NOT_RENDERED = "Everything received is in {folder}; `raccall render {folder}` makes tracks and mix of it."


def render_and_tell(folder: Path, *, as_json: bool, also: Mapping[str, object] | None = None) -> Summary:
    """Make tracks, mix and summary with progress, and print where they are. Raises as `render` does.

    also: for the JSON object.
    """
    with progress_line() as show:
        summary = render(folder, progress=lambda share: show(f"making tracks and mix: {share:4.0%}"))
    _print(json.dumps(_as_json(folder, summary) | dict(also or {})) if as_json else _as_text(folder, summary))
    return summary


def tell_journal(folder: Path, seconds: float, *, as_json: bool) -> None:
    """The end of a recording of which nothing is made."""
    if as_json:
        _print(json.dumps({"event": "recorded", "recording": str(folder), "duration_s": seconds}))
    else:
        _print(f"{seconds:.0f} s recorded. {NOT_RENDERED.format(folder=folder)}")


def tell_sealed(folder: Path, seconds: float, *, as_json: bool) -> None:
    """The end of a recording that this machine cannot read."""
    if as_json:
        _print(json.dumps({"event": "recorded", "recording": str(folder), "duration_s": seconds, "encrypted": True}))
    else:
        _print(
            f"{seconds:.0f} s recorded, encrypted, in {folder}. Where the key is:"
            f" raccall decrypt {folder} --identity KEYFILE --out DIR"
        )


def tell_only_tracks(folder: Path, summary: Summary) -> None:
    """Delete what was received, and say what is given up with it. Raises StorageError, then nothing is deleted."""
    freed = delete_received(folder, summary)
    say(
        f"Journal and events are deleted ({megabytes(freed)}): the tracks are read back and whole, but they cannot be"
        " made anew, and what the network repaired in the mix is in no track."
    )


def _as_json(folder: Path, summary: Summary) -> dict[str, object]:
    return {
        "event": "recorded",
        "recording": str(folder),
        "page": str(folder / "index.html"),
        "mix": str(folder / "mix.opus"),
        "duration_s": summary.duration_s,
        "stopped": summary.stopped,
        "alarms": [alarm.kind for alarm in summary.alarms if not alarm.ended],
        "speakers": [
            {"name": person.name, "track": str(folder / person.track), "loss_pct": person.loss_pct}
            for person in summary.people
        ],
    }


def _as_text(folder: Path, summary: Summary) -> str:
    lines = [f"{summary.duration_s:.0f} s recorded in {folder}"]
    for person in summary.people:
        loss = f"{person.packets} packets, {person.loss_pct:.1f} % lost"
        lines.append(f"  {printable(person.name)}: {loss}  {folder / person.track}")
    lost_here = summary.lost_in_kernel + summary.lost_in_tap
    if lost_here:
        lines.append(f"  {lost_here} packets were lost on this machine: it was too busy")
    for alarm in summary.alarms:
        if not alarm.ended:
            lines.append(f"  alarm: {alarm.text}")
    return "\n".join(
        [*lines, f"  everyone: {folder / 'mix.opus'}", f"  to listen in a browser: {folder / 'index.html'}"]
    )


def _print(text: str) -> None:
    """To stdout, which may be a terminal that was closed."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains of it at exit
