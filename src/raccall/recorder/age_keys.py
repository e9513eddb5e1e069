"""Keys of age (age-encryption.org/v1), the format of sealed recordings: who can open them, and with what.

A recipient is public and all that recording needs; an identity is secret and belongs elsewhere. As with the `age`
command both may be age's own (age1…, AGE-SECRET-KEY-1…) or OpenSSH keys. The work is done by pyrage, the Python face of
age's Rust implementation.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raccall.errors import InputError, StorageError

if TYPE_CHECKING:
    from types import ModuleType

MAX_KEY_FILE_BYTES = 1 << 20

_SECRET = ("AGE-SECRET-KEY-", "-----BEGIN ")

Recipient = Any
"""pyrage.x25519.Recipient or pyrage.ssh.Recipient."""
Identity = Any
"""pyrage.x25519.Identity or pyrage.ssh.Identity."""


def pyrage() -> "ModuleType":
    """The library. Raises InputError "encryption_missing" where it is not installed."""
    try:
        import pyrage
    except ImportError:
        raise InputError(
            "encryption_missing", "Encryption needs one more package: pip install 'raccall[encryption]'."
        ) from None
    return pyrage  # type: ignore[no-any-return]


def read_recipients(words: Iterable[str]) -> list[Recipient]:
    """Public keys, or files of them (one a line, # begins a comment), as `age -r` and `age -R` take them.

    Raises InputError "recipient_invalid", "recipient_secret", "encryption_missing".
    """
    found = []
    for word in words:
        key = _recipient(word)
        if key is not None:
            found.append(key)
            continue
        path = Path(word)
        if not path.is_file():
            raise InputError("recipient_invalid", f"{word} is neither a public key (age1…, ssh-…) nor a file of them.")
        for line in _lines(path):
            if (key := _recipient(line)) is None:
                raise _not_public(path, line)
            found.append(key)
    if not found:
        raise InputError("recipient_invalid", "There is no public key to encrypt to.")
    return found


def read_identities(path: Path) -> list[Identity]:
    """The secret keys of a file: age's, or one OpenSSH private key without a passphrase.

    Raises InputError "identity_invalid", "encryption_missing".
    """
    age = pyrage()
    lines = _lines(path)
    try:
        if lines and lines[0].startswith("-----BEGIN "):
            return [age.ssh.Identity.from_buffer(path.read_bytes())]
        found = [age.x25519.Identity.from_str(line) for line in lines]
    except age.IdentityError:
        raise InputError(
            "identity_invalid", f"{path} is not a key that opens recordings: AGE-SECRET-KEY-1…, or an OpenSSH key file."
        ) from None
    if not found:
        raise InputError("identity_invalid", f"{path} holds no key.")
    return found


def new_identity(path: Path) -> str:
    """Make a key pair, as `age-keygen` does: the secret goes to a new file that only its owner reads.

    Returns the public key. Raises InputError "file_exists", "encryption_missing" or StorageError.
    """
    identity = pyrage().x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(f"# public key: {public}\n{identity}\n", encoding="ascii")
    except FileExistsError:
        raise InputError("file_exists", f"{path} exists already; a key is never overwritten.") from None
    except OSError as error:
        raise StorageError("file_unwritable", f"{path} cannot be written: {error.strerror}.") from error
    return public


def _not_public(path: Path, line: str) -> InputError:
    """The line itself is never shown: it may be secret."""
    if line.upper().startswith(_SECRET):
        sentence = f"{path} holds a secret key, which has no place where calls are recorded; give the public one."
        return InputError("recipient_secret", sentence)
    return InputError("recipient_invalid", f"{path} holds a line that is no public key (age1…, ssh-…).")


def _recipient(text: str) -> Recipient | None:
    age = pyrage()
    kind = age.ssh.Recipient if text.startswith("ssh-") else age.x25519.Recipient
    try:
        return kind.from_str(text)
    except age.RecipientError:
        return None


def _lines(path: Path) -> list[str]:
    """Without comments and empty lines."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_KEY_FILE_BYTES).decode()
    except OSError as error:
        raise InputError("key_file_unreadable", f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise InputError("key_file_unreadable", f"{path} is not a file of keys.") from None
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
