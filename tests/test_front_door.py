"""`import raccall` is quick, says what there is, and hands out the real thing."""

import pydoc
import subprocess
import sys

import pytest

import raccall
from raccall.bots.record import record
from raccall.client import connect
from raccall.recorder import Recording


def test_importing_raccall_imports_nothing_heavy() -> None:
    heavy = ("numpy", "httpx", "asyncio", "msgspec", "raccall.recorder", "raccall.client")
    program = f"import raccall, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_names_are_the_real_things() -> None:
    assert raccall.record is record
    assert raccall.connect is connect
    assert raccall.Recording is Recording
    assert set(raccall.__all__) <= set(dir(raccall))
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        raccall.recrod  # noqa: B018


def test_help_tells_shapes_and_ends() -> None:
    text = pydoc.render_doc(raccall, renderer=pydoc.plaintext)
    for words in ("(frames, channels)", "asyncio.run", "until_empty", "wav_bytes", "48 kHz"):
        assert words in text
