"""A token is never shown, whatever goes wrong."""

import io
import logging
import traceback
from pathlib import Path

import pytest

from raccall.discord.secret import VARIABLE, Scrubbing, Token, read_token
from raccall.errors import InputError

SECRET = "MTE3NzA5NDU3ODQ4MjcwODUx.GkX9aZ.not-a-real-token-at-all"


def test_it_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    assert read_token(file, {}).reveal() == read_token(None, {VARIABLE: SECRET}).reveal() == SECRET


@pytest.mark.parametrize(
    ("environment", "code"),
    [({}, "token_missing"), ({VARIABLE: SECRET + "\nx"}, "token_malformed"), ({VARIABLE: "short"}, "token_malformed")],
)
def test_a_bad_one_is_a_sentence_without_it(environment: dict[str, str], code: str) -> None:
    with pytest.raises(InputError) as refused:
        read_token(None, environment)
    assert refused.value.code == code and SECRET not in str(refused.value)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path, code in ((tmp_path / "none", "token_unreadable"), (tmp_path / "bytes", "token_malformed")):
        with pytest.raises(InputError) as refused:
            read_token(path, {})
        assert refused.value.code == code


def test_it_does_not_show_itself() -> None:
    token = Token(SECRET, "here")
    assert SECRET not in f"{token} {token!r} {[token]} {vars(Token)}"
    assert not hasattr(token, "__dict__")


def test_it_is_in_no_traceback() -> None:
    with pytest.raises(RuntimeError) as raised:
        with Token(SECRET, "here").hidden():
            try:
                raise ValueError(f"Authorization: Bot {SECRET}")
            except ValueError as error:
                raise KeyError("other") from error
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown and "Authorization: Bot [hidden]" in shown


def test_it_is_in_no_log() -> None:
    stream, token = io.StringIO(), Token(SECRET, "here")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Scrubbing(None, token))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("with %s", SECRET)
    assert SECRET not in stream.getvalue() and stream.getvalue().count("[hidden]") == 2
