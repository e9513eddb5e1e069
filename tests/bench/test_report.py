"""What a benchmark prints, and when its claim holds."""

import json
import subprocess
import sys
from pathlib import Path

from bench.__main__ import BENCHES, SOAKS
from bench.report import Report, Row

ROOT = Path(__file__).parents[2]


def row(value: float | None, **other: object) -> Row:
    facts = {"name": "x", "against": 100.0, "kind": "limit", "limit": 1.5} | other
    return Row(value=value, **facts)  # type: ignore[arg-type]


def test_a_row_holds_on_the_better_side_of_its_limit() -> None:
    assert row(150).holds and not row(151).holds
    assert row(150, better="higher").holds and not row(149, better="higher").holds


def test_what_could_not_be_measured_does_not_hold() -> None:
    assert not row(None).holds
    assert not row(1, against=None).holds
    assert not row(1, problem="packets arrived changed").holds
    assert not Report(claim="nothing was measured", unit="ns").holds


def test_medians_and_the_ratio_of_each_repetition() -> None:
    made = Row.of_repeats(name="x", value=[110, 900, 130], against=[100, 100, 130], kind="limit", limit=1.5)
    assert (made.value, made.against, made.ratio) == (130, 100, 1.3)
    assert made.repeats == (1.1, 9.0, 1.0)


def test_one_object_with_every_key() -> None:
    report = Report(claim="fast", unit="ns", rows=[row(150), row(None, problem="no compiler")])
    made = json.loads(report.to_json())
    assert set(made) == {"claim", "unit", "rows", "holds"}
    assert made["rows"][0] == {
        "name": "x",
        "value": 150,
        "against": 100.0,
        "kind": "limit",
        "ratio": 1.5,
        "limit": 1.5,
        "better": "lower",
        "holds": True,
    }
    assert made["rows"][1]["problem"] == "no compiler"
    assert made["holds"] is False
    assert "no compiler" in report.to_table()


def test_an_unknown_name_is_told() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_every_benchmark_is_explained() -> None:
    explained = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    missing = [name for name in [*BENCHES, *SOAKS] if f"| {name} | " not in explained]
    assert missing == []
