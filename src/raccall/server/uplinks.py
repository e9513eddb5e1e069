"""How much of each voice is lost before it reaches the server: told to recorders, who cannot know it. Pure."""

from collections.abc import Mapping

Counts = tuple[int, int]
"""Received and lost since a voice session began, as the relay counts."""


class Uplinks:
    """One room's, from look to look."""

    def __init__(self) -> None:
        self._before: dict[int, Counts] = {}

    def look(self, counts: Mapping[int, Counts]) -> dict[int, float]:
        """counts: by user id. Returns the loss in percent since the last look, of those from whom anything came."""
        loss_pct = {}
        for user_id, (received, lost) in counts.items():
            before = self._before.get(user_id, (received, lost))
            if received < before[0]:  # a new voice session
                before = (0, 0)
            came, missing = received - before[0], max(lost - before[1], 0)  # a late packet takes a loss back
            if came:
                loss_pct[user_id] = round(100 * missing / (came + missing), 2)
        self._before = dict(counts)
        return loss_pct
