"""ASGI middleware: a request's body may be this big and no bigger."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024


class BodyLimit:
    """Ends a request whose body is too long, whatever its headers say, with status 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received: list[Message] = []
        size = 0
        while not received or received[-1].get("more_body", False):
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY_BYTES:
                await _refuse(send)
                return
            received.append(message)
        received.reverse()

        async def replay() -> Message:
            return received.pop() if received else await receive()

        await self._app(scope, replay, send)


async def _refuse(send: Send) -> None:
    body = b'{"code":"request_too_long","sentence":"The request is longer than 64 KiB."}'
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
