"""Whoever installs a wheel gets the licence of everything compiled into it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_locked_crate_in_the_wheel_is_listed() -> None:
    command = [
        "cargo",
        "tree",
        "--locked",
        "-p",
        "raccall-python",
        "-e",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "-f",
        "{p}",
    ]
    tree = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    listed = (ROOT / "THIRD-PARTY-LICENSES.md").read_text(encoding="utf-8")
    crates = {line.split()[0] for line in tree.splitlines() if line and not line.startswith("raccall-")}
    assert crates
    assert [crate for crate in sorted(crates) if f"| {crate} |" not in listed] == []


def test_the_model_of_the_neural_suppressor_is_listed() -> None:
    listed = (ROOT / "THIRD-PARTY-LICENSES.md").read_text(encoding="utf-8")
    assert (ROOT / "crates/media/src/process/rnnoise/COPYING").read_text(encoding="utf-8").strip() in listed
