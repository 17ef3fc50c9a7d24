"""Words: what a search term and a stored text have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.words import WORD_MAX, WORD_MIN, WORDS_MAX, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Paste into ChatGPT, paste again!", ["paste", "into", "chatgpt", "again"]),
        ("INC-1001", ["inc", "1001"]),
        ("Straße STRASSE", ["strasse"]),
        ("ﬁle Ⅷ", ["file", "viii"]),
        ("Cafe\u0301 CAFÉ", ["café"]),
        ("ΣΊΣΥΦΟΣ σίσυφος", ["σίσυφοσ"]),
        ("a b cd", ["cd"]),
        ("snake_case ünïcode 日本語", ["snake", "case", "ünïcode", "日本語"]),
        ("\x00\x1b[31mred\ud800", ["31mred"]),
        ("", []),
        (None, []),
    ],
)
def test_a_text_becomes_words(text: str | None, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_long_run_is_found_by_its_beginning() -> None:
    assert words("x" * 100) == ["x" * WORD_MAX]


def test_several_texts_share_one_bound() -> None:
    many = " ".join(f"word{number}" for number in range(300))
    assert words("title", None, many)[:2] == ["title", "word0"]
    assert len(words("title", many)) == WORDS_MAX


@given(st.text(max_size=300))
def test_a_word_finds_itself(text: str) -> None:
    for word in words(text):
        assert WORD_MIN <= len(word) <= WORD_MAX
        assert words(word)[:1] == [word]
