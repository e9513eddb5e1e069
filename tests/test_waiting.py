"""The first of several ends."""

import asyncio

import pytest

from raccall.waiting import first_done, first_of


async def never() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ValueError("no")


async def test_the_others_have_ended_when_the_first_has() -> None:
    cleaned = []

    async def cleans_up() -> None:
        try:
            await never()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    (end,) = await first_done([cleans_up(), asyncio.sleep(0, "first")])
    assert end.result() == "first" and cleaned == [True]


async def test_time_is_up() -> None:
    assert await first_done([never()], at_most_s=0) == frozenset()
    await first_of([never()], at_most_s=0)


async def test_what_it_raised_is_raised_by_the_one_and_told_by_the_other() -> None:
    (end,) = await first_done([never(), fails()])
    with pytest.raises(ValueError):
        end.result()
    with pytest.raises(ValueError):
        await first_of([never(), fails()])


async def test_cancelled_it_cancels_all() -> None:
    inner = asyncio.ensure_future(never())
    outer = asyncio.create_task(first_of([inner]))
    await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert inner.cancelled()
