"""Every error a person can cause, with a sentence and a stable code.

    RaccallError            one clear sentence in `str(error)`, a stable `error.code`
    ├── InputError          what was typed or handed over is wrong (a file, a link, a number)
    ├── RefusedError        the server said no (invite, name, full room)
    ├── ConnectionFailed    the server cannot be reached, or its certificate is not the pinned one
    └── StorageError        a folder or disk cannot be read or written

Broken invariants are not here: they are bugs and crash. Hostile bytes are not here either: they are counted.
"""


class RaccallError(Exception):
    """What a person did wrong, in one sentence.

    code: stable, lower case with underscores ("invite_expired"); scripts may rely on it.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class InputError(RaccallError):
    """Something typed or handed over is wrong."""


class RefusedError(RaccallError):
    """The server said no."""


class ConnectionFailed(RaccallError):
    """The server cannot be reached or is not the one that was expected."""


class StorageError(RaccallError):
    """A folder or disk cannot be read or written."""
