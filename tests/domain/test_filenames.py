"""It keeps the name of a file as data and takes out what could do harm."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.filenames import FILENAME_CHARACTERS_MAX, clean_filename, extension_of


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("prompt.png", "prompt.png"),
        ("../../x", "x"),
        ("C:\\Users\\me\\mail.eml", "mail.eml"),
        ("/etc/passwd", "passwd"),
        ("a\0b.txt", "ab.txt"),
        ("a\r\nSet-Cookie: x.txt", "a Set-Cookie_ x.txt"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        (".htaccess", "htaccess"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.log", "console.log"),
        ("..", "evidence"),
        ("", "evidence"),
        ("  \u3000 ", "evidence"),
        ("re\u0301sume\u0301.pdf", "r\u00e9sum\u00e9.pdf"),
        ("\u8bc1\u636e.pdf", "\u8bc1\u636e.pdf"),
        ("a\ud800b.txt", "ab.txt"),
        ('x"; filename="y.html', "x_; filename=_y.html"),
    ],
)
def test_it_cleans_a_name(given: str, kept: str) -> None:
    assert clean_filename(given) == kept


def test_a_long_name_keeps_its_extension() -> None:
    name = clean_filename("a" * 4_000 + ".xlsx")
    assert len(name) == FILENAME_CHARACTERS_MAX
    assert name.endswith("a.xlsx")


@given(st.text(max_size=400))
def test_a_cleaned_name_is_harmless_and_stays_as_it_is(name: str) -> None:
    clean = clean_filename(name)
    assert 0 < len(clean) <= FILENAME_CHARACTERS_MAX
    assert not set(clean) & set('/\\\0<>:"|?*')
    assert not clean.startswith(".")
    assert not any(unicodedata.category(c).startswith("C") for c in clean)
    assert clean_filename(clean) == clean


@pytest.mark.parametrize(
    ("name", "extension"), [("a.PNG", "png"), ("a", ""), ("a.tar.gz", "gz"), (".png", ""), ("a." + "x" * 40, "")]
)
def test_it_reads_an_extension(name: str, extension: str) -> None:
    assert extension_of(name) == extension
