"""The bot's token: where it may come from, and that it is never shown."""

import contextlib
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from raccall.errors import InputError, RaccallError

VARIABLE = "RACCALL_DISCORD_TOKEN"
HIDDEN = "[hidden]"

_SHAPE = re.compile(r"[\w.~+/=-]{20,200}")
"""No space, no control character: those would end up in an error about a header, and with them the token."""


class Token:
    """A token that shows itself to nobody who does not ask for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str, place: str) -> None:
        """place: where it was found, for the error. Raises InputError "token_malformed"."""
        stripped = text.strip()
        if not _SHAPE.fullmatch(stripped):
            raise InputError("token_malformed", f"What {place} holds is no token of a bot.")
        self._text = stripped

    def reveal(self) -> str:
        """For logging in."""
        return self._text

    def __repr__(self) -> str:
        return f"Token({HIDDEN})"

    def scrub(self, text: str) -> str:
        """The text without the token."""
        return text.replace(self._text, HIDDEN)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """What is raised inside does not tell the token, nor does its traceback."""
        try:
            yield
        except RaccallError:
            raise  # sentences of our own
        except Exception as error:
            report = "".join(traceback.format_exception(error))
            if self._text in report:
                raise RuntimeError(self.scrub(report)) from None
            raise


class Scrubbing(logging.Formatter):
    """Another formatter's lines without the token."""

    def __init__(self, formatter: logging.Formatter | None, token: Token) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        return self._token.scrub(self._formatter.format(record))


def read_token(file: Path | None, environment: Mapping[str, str]) -> Token:
    """From the file if one is given, else from the environment. Raises InputError "token_missing", "token_unreadable",
    "token_malformed"."""
    if file is not None:
        try:
            return Token(file.read_text(encoding="utf-8"), str(file))
        except OSError as error:
            raise InputError("token_unreadable", f"{file} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise InputError("token_malformed", f"What {file} holds is no token of a bot.") from None
    if not environment.get(VARIABLE):
        raise InputError(
            "token_missing",
            f"The bot needs its token: put it into {VARIABLE}, or into a file, and name that with --token-file.",
        )
    return Token(environment[VARIABLE], VARIABLE)
