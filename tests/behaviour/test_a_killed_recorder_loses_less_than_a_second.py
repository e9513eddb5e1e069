"""kill -9 while people talk: the folder renders, nothing is missing inside it, and little at its end."""

import random
from pathlib import Path

import pytest

from bench.kills import kill_once

TALKERS = 10


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_recorder_loses_less_than_a_second(tmp_path: Path, seed: int) -> None:
    """200 of them, with 50 talkers, are `make soak`."""
    outcome = kill_once(tmp_path / "call", random.Random(seed).uniform(0.2, 1.2), TALKERS)
    assert outcome.problem == ""
    assert outcome.packets > TALKERS
    assert outcome.lost_s < 1.0
