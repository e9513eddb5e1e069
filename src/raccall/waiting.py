"""Wait for the first of several things to end."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any


async def first_done(
    ends: Iterable[Awaitable[Any]], *, at_most_s: float | None = None
) -> "frozenset[asyncio.Future[Any]]":
    """Return when one of them has ended, or after `at_most_s`; the others are cancelled, and have ended as well then.

    Returned are those that ended by themselves, done: `result()` raises what they raised. None of them: time was up.
    """
    futures = [asyncio.ensure_future(end) for end in ends]
    try:
        done, _ = await asyncio.wait(futures, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
    return frozenset(done)


async def first_of(ends: Iterable[Awaitable[Any]], *, at_most_s: float | None = None) -> None:
    """The same; raises if it raised."""
    for end in await first_done(ends, at_most_s=at_most_s):
        end.result()
