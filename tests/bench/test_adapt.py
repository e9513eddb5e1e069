"""The bench's call in virtual time: a sender follows the link down and up."""

from bench.adapt import DOWN_S, END_S, FALL_S, FULL, LOW_BPS, RISE_S, UP_S, fall_at_once, run


def test_a_sender_follows_a_link_that_falls_and_rises() -> None:
    sent = run(fall_at_once, 32_000, adapting=True)
    unmoved = run(fall_at_once, 32_000, adapting=False)
    assert 0.8 * LOW_BPS < sent.bps(FALL_S + DOWN_S, FALL_S + DOWN_S + 2) < 1.2 * LOW_BPS
    assert sent.bps(RISE_S + UP_S, END_S) > FULL * unmoved.bps(RISE_S + UP_S, END_S), "of the same speech"
    assert max(sent.waits_ms(FALL_S + DOWN_S, RISE_S)) < 150
    assert max(sent.waits_ms(FALL_S, FALL_S + DOWN_S)) < 260, "told by the first packet that does not come"
    assert sent.dropped == 0


def test_a_sender_that_does_not_adapt_fills_the_queue() -> None:
    sent = run(fall_at_once, 32_000, adapting=False)
    assert sent.dropped > 0
    assert max(sent.waits_ms(0, RISE_S)) > 5000
