"""The benchmark of deep redundancy: calls with and without it are told apart, and a loss of quality does not hold."""

from bench.dred import BITRATES_BPS, GAINS, Heard, rows


def heard(pesq: float) -> Heard:
    return Heard(pesq=pesq, plcmos=4.0, kbps=60.0, made_up_pct=1.0, send_us=300.0, receive_us=70.0)


def test_every_bitrate_and_loss_is_a_row_beside_the_same_calls_without() -> None:
    settings = [(bitrate_bps, loss_pct) for bitrate_bps in BITRATES_BPS for loss_pct in GAINS]
    calls = [heard(pesq) for _ in settings for _ in range(3) for pesq in (3.0, 3.2)]
    found = list(rows(settings, calls))
    assert len(found) == len(settings)
    assert all(row.holds and abs(row.value - 3.2) < 1e-9 for row in found if row.value is not None)
    assert [round(row.against or 0, 3) for row in found] == [3.0, 3.0, 3.1] * len(BITRATES_BPS)
    assert [round(found[0].beside[f"PESQ {whose}"], 3) for whose in ("without", "with")] == [3.0, 3.2]


def test_redundancy_that_costs_quality_does_not_hold() -> None:
    assert not any(row.holds for row in rows([(48_000, 10.0)], [heard(3.0), heard(2.99)]))
