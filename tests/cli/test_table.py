"""Lines stay straight and within their width whatever names hold."""

import pytest

from raccall.cli.table import Column, cut, places, table, wrapped


@pytest.mark.parametrize(
    ("text", "expected"),
    [("anna", 4), ("日本語", 6), ("Čeněk", 5), ("C\u030cene\u030ck", 5), ("한국", 4), ("", 0)],
)
def test_places_of_a_row(text: str, expected: int) -> None:
    assert places(text) == expected


def test_cut_leaves_whole_letters_and_says_so() -> None:
    assert cut("anna", 4) == "anna"
    assert cut("annabel", 4) == "ann…"
    assert cut("日本語", 4) == "日…"
    assert cut("a\x1b[2Jb\u202ec", 20) == "a�[2Jb�c"


def test_columns_are_straight() -> None:
    lines = list(table([Column("who", left=True, width=6), Column("n")], [["日本語の名前", "1"], ["x", "12345"]]))
    assert lines == ["who        n", "日本…      1", "x      12345"]
    assert len({places(line) for line in lines}) == 1


@pytest.mark.parametrize("text", ["", "a few words to break", "x" * 50, "日本語" * 9, "a " + "y" * 25 + " b"])
def test_wrapped_lines_keep_every_letter(text: str) -> None:
    lines = list(wrapped(text, 10))
    assert all(places(line) <= 10 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
