"""HTTP's layers are loaded after the start, by the first request or a moment later."""

import asyncio
import subprocess
import sys

import pytest

from raccall.server import late
from raccall.server.late import LateApp


class App:
    def __init__(self):
        self.made, self.asked = 0, []

    def make(self):
        self.made += 1
        return self

    async def __call__(self, scope, receive, send):
        self.asked.append(scope["path"])


async def ask(app, *paths):
    await asyncio.gather(*(app({"path": path}, None, None) for path in paths))


async def test_the_first_request_makes_it_once_for_all():
    app = App()
    late_app = LateApp(app.make)
    await asyncio.sleep(0)
    assert app.made == 0
    await ask(late_app, "/a", "/b")
    assert (app.made, app.asked) == (1, ["/a", "/b"])


async def test_it_is_made_before_anybody_asks(monkeypatch):
    monkeypatch.setattr(late, "AFTER_S", 0.01)
    app = App()
    late_app = LateApp(app.make)
    async with asyncio.timeout(5):
        while not app.made:  # noqa: ASYNC110 (a thread makes it)
            await asyncio.sleep(0.01)
    await late_app.close()


async def test_it_can_be_closed_before_it_was_made():
    app = App()
    late_app = LateApp(app.make)
    await late_app.close()
    assert app.made == 0


@pytest.mark.parametrize("heavy", ["fastapi", "pydantic", "alembic", "prometheus_client", "numpy"])
def test_a_start_loads_nothing_that_only_requests_and_migrations_need(heavy):
    code = f"import raccall.cli.serve, sys; raise SystemExit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
