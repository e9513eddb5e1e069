"""What a person is told about who can listen."""

import io
import json
from pathlib import Path

import pytest

from raccall.cli.screen import Screen, describe
from raccall.cli.secrecy import Secrecy, lock_words
from raccall.client import ClearRefused, EncryptionBroken, EncryptionChanged, GhostsChanged
from raccall.client.known_keys import KnownKeys
from raccall.errors import RefusedError
from raccall.wire.control import MemberInfo

CODE = "12345 67890"
ALONE = EncryptionChanged(True, 0, 0, "", {})
CLEAR = EncryptionChanged(False, 0, 0, "", {})


def together(key: str = "bb") -> EncryptionChanged:
    return EncryptionChanged(True, 1, 5, CODE, {"1": "aa", "2": key})


class FakeSession:
    user_id = "1"
    name = "anna"

    def __init__(self, encryption: EncryptionChanged | None) -> None:
        self.encryption = encryption
        self.members = {"1": MemberInfo(user_id="1", name="anna"), "2": MemberInfo(user_id="2", name="ben\x1b")}

    async def fingerprint(self, user_id: str) -> str:
        if user_id != "2":
            raise RefusedError("not_in_group", "That person is not in the call's encryption.")
        return "11111 22222"


class Seen:
    """A call's Secrecy and what it printed."""

    def __init__(self, folder: Path, encryption: EncryptionChanged | None = None, *, as_json: bool = False) -> None:
        self.stream = io.StringIO()
        self.screen = Screen(self.stream, as_json=as_json)
        session = FakeSession(encryption)
        self.secrecy = Secrecy(session, self.screen, KnownKeys(folder / "known"), "server")  # type: ignore[arg-type]

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_each_change_is_one_line() -> None:
    assert describe(ALONE, "1") is None
    assert describe(together(), "1") == f"Encrypted end to end, for 2 members. Code: {CODE}"
    assert "NOT encrypted" in (describe(CLEAR, "1") or "")
    assert describe(GhostsChanged(("666",)), "1") == (
        "! GHOST: somebody who is not shown here can listen, or the server tried to let them (user 666)."
    )
    assert describe(GhostsChanged(()), "1") == "Nobody can listen any more who is not shown here."
    assert "requires it" in (describe(ClearRefused(), "1") or "")
    assert "(forged)" in (describe(EncryptionBroken("forged"), "1") or "")


def test_json_has_all_of_it() -> None:
    stream = io.StringIO()
    Screen(stream, as_json=True).event(together(), "1")
    Screen(stream, as_json=True).event(GhostsChanged(("666",)), "1")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "event": "encryption_changed",
        "encrypted": True,
        "epoch": 1,
        "transition_id": 5,
        "code": CODE,
        "identities": {"1": "aa", "2": "bb"},
    }
    assert second == {"event": "ghosts_changed", "user_ids": ["666"]}


def test_the_status_has_a_lock() -> None:
    assert lock_words(None, ()) == ""
    assert lock_words(ALONE, ()) == "encrypted, alone"
    assert lock_words(together(), ()) == "encrypted"
    assert lock_words(CLEAR, ()) == "NOT encrypted"
    assert lock_words(together(), ("666",)).startswith("! GHOST")


def test_a_key_that_is_not_the_one_of_earlier_calls_is_told(tmp_path: Path) -> None:
    for _ in range(2):
        seen = Seen(tmp_path, together())
        seen.secrecy.look(together())
        assert seen.lines == []
    seen = Seen(tmp_path, as_json=True)
    seen.secrecy.look(GhostsChanged(()))
    seen.secrecy.look(together("cc"))
    assert [json.loads(line)["event"] for line in seen.lines] == ["identity_changed"]
    seen = Seen(tmp_path)
    seen.secrecy.look(together("dd"))
    assert seen.lines == [], "a key that was there once only is nobody's own"


@pytest.mark.parametrize(
    ("encryption", "line", "words"),
    [
        (None, "/verify", ["NOT encrypted"]),
        (CLEAR, "/verify", ["NOT encrypted"]),
        (ALONE, "/verify", ["nobody to compare"]),
        (together(), "/verify", [CODE, "you, ben�", "You and ben�, in every call: 11111 22222"]),
        (together(), "/verify nobody", ["Nobody called nobody"]),
        (together(), "/verify ANNA", ["That is you. /verify with another one's name"]),
        (together(), "/verified anna", ["That is you."]),
        (together(), "/verified", ["/verified NAME notes"]),
        (together(), "/verified nobody", ["Nobody called nobody"]),
        (CLEAR, "/verified ben\x1b", ["NOT encrypted"]),
    ],
)
async def test_verify(tmp_path: Path, encryption: EncryptionChanged | None, line: str, words: list[str]) -> None:
    seen = Seen(tmp_path, encryption)
    assert await seen.secrecy.answer(line)
    assert not await seen.secrecy.answer("/verifying")
    assert len(seen.lines) == len(words)
    for shown, expected in zip(seen.lines, words, strict=True):
        assert expected in shown


async def test_who_was_compared_is_verified_until_they_come_with_another_key(tmp_path: Path) -> None:
    seen = Seen(tmp_path, together())
    seen.secrecy.look(together())
    assert seen.secrecy.verified == frozenset()
    await seen.secrecy.answer("/verify ben\x1b")
    assert seen.lines[-1].endswith("/verified ben�")
    await seen.secrecy.answer("/verified BEN\x1b")
    assert seen.secrecy.verified == {"2"} and "is verified" in seen.lines[-1]
    assert Seen(tmp_path, together()).secrecy.verified == {"2"}, "remembered"
    assert Seen(tmp_path, CLEAR).secrecy.verified == frozenset(), "a call in clear verifies nobody"
    again = Seen(tmp_path, together("cc"))
    assert again.secrecy.verified == frozenset()
    again.secrecy.look(together("cc"))
    assert Seen(tmp_path, together()).secrecy.verified == frozenset(), "another key ends it"


def test_the_lock_counts_who_is_verified() -> None:
    three = EncryptionChanged(True, 1, 5, CODE, {"1": "aa", "2": "bb", "3": "cc"})
    assert [lock_words(three, (), verified) for verified in (0, 1, 2)] == [
        "encrypted",
        "encrypted, 1 of 2 verified",
        "encrypted, all verified",
    ]
