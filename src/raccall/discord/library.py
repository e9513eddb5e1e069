"""Is discord.py there, and is it the one? Several libraries call their package `discord`."""

import importlib.metadata
import importlib.util

from raccall.errors import InputError

CLASHING = ("py-cord", "py-cord-dev", "self.py", "discord.py-self")
"""Distributions that install a package of the same name, over discord.py's files or under them."""


def check_library() -> None:
    """Raises InputError "discord_missing" or "discord_clash", each saying what to type."""
    if importlib.util.find_spec("discord") is None:
        raise InputError("discord_missing", 'discord.py is not installed: pip install "raccall[discord]"')
    for name in CLASHING:
        if _is_installed(name):
            raise InputError(
                "discord_clash",
                f"{name} is installed, and its package has the same name as discord.py's: pip uninstall {name}, then"
                ' pip install --force-reinstall "discord.py".',
            )
    if not _is_installed("discord.py"):
        raise InputError("discord_clash", "The package named discord is not discord.py's: remove what installed it.")


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
