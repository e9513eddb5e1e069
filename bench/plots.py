"""Pictures of results, where matplotlib is installed: bench/results/NAME.png."""

from pathlib import Path
from typing import Any

from bench.report import note

RESULTS = Path(__file__).parent / "results"
PANEL_INCHES = 4.0


def axes_of(rows: int, columns: int) -> Any:
    """An array (rows, columns) of matplotlib axes, or None: there is nothing to draw with, which is said."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        note("no picture: matplotlib is not installed (pip install 'raccall[bench]')")
        return None
    figure = Figure(figsize=(PANEL_INCHES * columns, PANEL_INCHES * rows))
    FigureCanvasAgg(figure)
    return figure.subplots(rows, columns, squeeze=False)


def save(axes: Any, name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    figure = axes.flat[0].figure
    figure.tight_layout()
    path = RESULTS / f"{name}.png"
    figure.savefig(path)
    note(f"drawn: bench/results/{path.name}")
