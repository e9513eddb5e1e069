"""`import raccall.discord` costs nothing; what is missing or in the way is told with what to type."""

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

from raccall.discord.library import check_library
from raccall.errors import InputError


def test_importing_it_imports_no_library() -> None:
    program = (
        "import raccall, sys; raccall.discord; print([n for n in ('discord', 'aiohttp', 'numpy') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_its_names_are_the_real_things() -> None:
    import raccall.discord
    from raccall.discord.listening import listen
    from raccall.discord.recording import record

    assert raccall.discord.record is record and raccall.discord.listen is listen
    assert set(raccall.discord.__all__) <= set(dir(raccall.discord))
    for name in raccall.discord.__all__:
        assert getattr(raccall.discord, name)
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        raccall.discord.recrod  # noqa: B018


def test_discord_py_is_enough() -> None:
    check_library()


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "raccall\[discord\]"') as missing:
        check_library()
    assert missing.value.code == "discord_missing"


def test_py_cord_in_its_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: name)
    with pytest.raises(InputError, match=r"py-cord is installed.*pip uninstall py-cord") as clash:
        check_library()
    assert clash.value.code == "discord_clash"


def test_a_package_of_an_unknown_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_found)
    with pytest.raises(InputError, match=r"is not discord\.py's"):
        check_library()
