"""Discord on this machine, for tests: `stand_in.StandIn`."""

from raccall.testing.discord.stand_in import StandIn
from raccall.testing.discord.voice import Way
from raccall.testing.discord.world import Account, Channel, Guild

__all__ = ["Account", "Channel", "Guild", "StandIn", "Way"]
