"""The page that an invite link opens in a browser: what it is, and what to run.

Of the address only what this server has signed is shown: else anybody could let it ask people to run a command.
"""

import html

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from raccall.clock import wall_now
from raccall.errors import RefusedError
from raccall.server.service import Service

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Nothing runs, nothing is loaded, no frame; and the invite goes nowhere else."""

STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:10vh auto;padding:0 1rem;"
    "color:#222;background:#fff}"
    "pre{padding:1rem;background:#eee;white-space:pre-wrap;overflow-wrap:anywhere;border-radius:.4rem}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#2a2a2a}}"
)


def add_pages(app: FastAPI, service: Service) -> None:
    """The one route."""

    @app.get("/join/{token}", include_in_schema=False)
    async def join_page(token: str) -> HTMLResponse:
        try:
            room = service.rooms.get(service.tokens.read_invite(token, wall_now()))
        except RefusedError as error:
            return page("An invite that does not work", f"<p>{html.escape(str(error))}</p>", status=404)
        link = html.escape(service.place.link(token))
        return page(
            f"You are invited to the call {html.escape(room.name)}",
            f"<p>With Raccall installed, run this in a terminal:</p><pre>raccall join '{link}'</pre>"
            "<p>Everyone in the call sees who is there, and whether it is recorded.</p>",
        )


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """title, body: HTML."""
    head = f"<meta name=viewport content='width=device-width'><title>{title}</title><style>{STYLE}</style>"
    whole = f"<!doctype html><html lang=en><meta charset=utf-8>{head}<h1>{title}</h1>{body}</html>"
    return HTMLResponse(whole, status_code=status, headers=HEADERS)
