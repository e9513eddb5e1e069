"""The pictures of the documentation can be drawn."""

from pathlib import Path

from scripts import screenshots


async def test_a_state_is_drawn_with_who_is_there(tmp_path: Path) -> None:
    svg = await screenshots.draw(screenshots.in_the_room, (80, 24), tmp_path)
    assert svg.startswith("<svg") and "carla" in svg
