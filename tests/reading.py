"""What a program that a test started says, line by line."""

import asyncio


async def line_with(words: str, stream: asyncio.StreamReader | None, within_s: float = 30) -> str:
    """The next line with `words` in it. AssertionError with what came instead if the program ends before."""
    assert stream is not None, "the program was started without a pipe"
    lines = list[str]()
    async with asyncio.timeout(within_s):
        while line := (await stream.readline()).decode():
            if words in line:
                return line
            lines.append(line)
    raise AssertionError(f"the program ended without {words!r}:\n{''.join(lines)}")
