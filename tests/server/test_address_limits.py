from raccall.server import address_limits
from raccall.server.address_limits import AddressLimits
from raccall.units import NANOS_PER_SECOND, Nanos


def test_each_address_has_its_own_allowance():
    limits = AddressLimits(burst=3, per_second=1)
    assert [limits.allow("a", Nanos(0)) for _ in range(4)] == [True, True, True, False]
    assert limits.allow("b", Nanos(0))
    assert limits.allow("a", Nanos(NANOS_PER_SECOND)) and not limits.allow("a", Nanos(NANOS_PER_SECOND))


def test_of_many_addresses_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr(address_limits, "MAX_REMEMBERED_ADDRESSES", 100)
    limits = AddressLimits(burst=1, per_second=0)
    for number in range(1000):
        assert limits.allow(str(number), Nanos(0))
    assert len(limits._limits) == 100
    assert not limits.allow("999", Nanos(0)) and limits.allow("0", Nanos(0))
