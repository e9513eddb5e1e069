"""What the relay's benchmark says when it cannot measure, and of wrong packets."""

from pathlib import Path

import pytest

from bench import murmur, relay
from bench.relay_load import MURMUR, wrong_results

PEER_ROWS = [comparison for comparison in relay.COMPARISONS if comparison.theirs is MURMUR]


def test_without_mumble_its_rows_do_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(murmur, "find_program", lambda: None)
    rows = relay.compare(PEER_ROWS, tmp_path, repeats=3, seconds=1)
    assert len(rows) == 4
    assert all(not row.holds and "apt-get install mumble-server" in row.problem for row in rows)


def test_numbers_of_wrong_packets_prove_nothing() -> None:
    right = {"bad": 0, "verified": 5, "ns_per_fwd": 1000.0}
    assert wrong_results([right, right]) == ""
    for wrong in ({"bad": 1}, {"verified": 0}):
        row = relay.row(relay.COMPARISONS[0], [(right | wrong, right)])
        assert not row.holds and row.problem


def test_a_row_is_the_median_of_pairs() -> None:
    pairs = [
        ({"bad": 0, "verified": 1, "ns_per_fwd": mine}, {"bad": 0, "verified": 1, "ns_per_fwd": 1000.0})
        for mine in (900.0, 1100.0, 1500.0)
    ]
    row = relay.row(relay.COMPARISONS[0], pairs)
    assert (row.value, row.against, row.repeats) == (1100.0, 1000.0, (0.9, 1.1, 1.5))
