"""Raccall: self-hosted voice chat that records.

    recording = await raccall.record("http://…/join/…", seconds=30)     # join a call, keep it
    recording = raccall.Recording.open("monday")                        # or open one that was made before
    recording.speakers                                                  # who spoke
    recording.frames("anna")                                            # numpy float32, (frames, channels), 48 kHz
    recording.mix()                                                     # everyone together

`record` is a coroutine: in a notebook `await` it as it is, in a program write `asyncio.run(raccall.record(...))`.

    raccall.record      join a call as a visible recorder and keep it
    raccall.Recording   a recording's folder: speakers, sound as numpy arrays, segments, packets
    raccall.connect     a session with a server: listen, speak, type
    raccall.discord     record Discord's voice channels (pip install "raccall[discord]")
    raccall.errors      every error a person can cause, each with one sentence and a stable code

ARCHITECTURE.md is the map of what is inside.
"""

import importlib
from typing import TYPE_CHECKING, Any

from raccall import errors
from raccall._native import __version__

if TYPE_CHECKING:
    from raccall.bots.record import record
    from raccall.client.adapter import connect
    from raccall.recorder.recording import Recording

__all__ = ["Recording", "__version__", "connect", "errors", "record"]

# Imported when first used, so that `import raccall` costs nothing: tests/test_front_door.py.
_HOMES = {
    "Recording": "raccall.recorder.recording",
    "connect": "raccall.client.adapter",
    "record": "raccall.bots.record",
}


def __getattr__(name: str) -> Any:
    if name == "discord":
        return importlib.import_module("raccall.discord")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
