"""News in batches, in virtual time."""

from raccall.server.batches import BATCH_MS, Batches
from raccall.units import NANOS_PER_MS, Nanos


class Told:
    def __init__(self):
        self.now = Nanos(10**9)
        self.told = []
        self.batches = Batches(lambda room_id, news: self.told.append((room_id, news)))

    def wait(self, milliseconds):
        """As the adapter does: whenever the timer is due."""
        end = self.now + milliseconds * NANOS_PER_MS
        while (timer := self.batches.get_timer()) is not None and timer <= end:
            self.now = Nanos(max(self.now, timer))
            self.batches.handle_timer(self.now)
        self.now = Nanos(end)

    def take(self):
        told, self.told = self.told, []
        return told


def test_the_first_is_told_at_once_and_what_follows_together():
    told = Told()
    for number in range(5):
        told.batches.add(7, number)
    assert told.take() == [(7, [0])]
    told.wait(BATCH_MS - 1)
    assert told.take() == []
    told.wait(1)
    assert told.take() == [(7, [1, 2, 3, 4])]
    told.batches.add(7, 5)
    assert told.take() == [], "not more often than that"
    told.wait(2 * BATCH_MS)
    assert told.take() == [(7, [5])] and told.batches.get_timer() is None
    told.batches.add(7, 6)
    assert told.take() == [(7, [6])]


def test_rooms_do_not_wait_for_each_other():
    told = Told()
    told.batches.add(7, "a")
    told.batches.add(8, "b")
    assert told.take() == [(7, ["a"]), (8, ["b"])]


def test_what_must_come_before_something_else_can_be_told_now():
    told = Told()
    told.batches.flush(7)
    for number in range(3):
        told.batches.add(7, number)
    told.batches.flush(7)
    told.wait(10 * BATCH_MS)
    assert told.take() == [(7, [0]), (7, [1, 2])]
