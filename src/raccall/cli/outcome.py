"""What a recording became: made with progress, told at the end."""

import json
from pathlib import Path

from raccall.cli.progress import progress_line
from raccall.cli.screen import printable
from raccall.recorder import Summary, render


def render_and_tell(folder: Path, *, as_json: bool) -> None:
    """Make tracks, mix and summary with progress, and print where they are. Raises as `render` does."""
    with progress_line() as show:
        summary = render(folder, progress=lambda share: show(f"making tracks and mix: {share:4.0%}"))
    print(json.dumps(_as_json(folder, summary)) if as_json else _as_text(folder, summary))


def _as_json(folder: Path, summary: Summary) -> dict[str, object]:
    return {
        "recording": str(folder),
        "mix": str(folder / "mix.opus"),
        "duration_s": summary.duration_s,
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
    return "\n".join([*lines, f"  everyone: {folder / 'mix.opus'}"])
