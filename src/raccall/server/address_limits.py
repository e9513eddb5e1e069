"""How often each address may ask for something."""

from collections import OrderedDict

from raccall.units import Nanos
from raccall.voice.gateway.limit import RateLimit

MAX_REMEMBERED_ADDRESSES = 10_000
"""The address that asked longest ago is forgotten first."""


class AddressLimits:
    """One bucket of `burst` for each address, which gains `per_second`. People behind one router share it."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._limits: OrderedDict[str, RateLimit] = OrderedDict()

    def allow(self, address: str, now: Nanos) -> bool:
        """Once more? False if it asked too often."""
        limit = self._limits.pop(address, None)
        if limit is None:
            limit = RateLimit(now, burst=self._burst, per_second=self._per_second)
            if len(self._limits) >= MAX_REMEMBERED_ADDRESSES:
                self._limits.popitem(last=False)
        self._limits[address] = limit
        return limit.allow(now)
