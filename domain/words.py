"""The words a search finds an incident by."""

import re
import unicodedata
from collections.abc import Iterator

WORD_MIN = 2  # characters
WORD_MAX = 40  # a longer run is cut, so that an address or a hash is still found by its beginning
WORDS_MAX = 200  # per text
TEXT_MAX = 200_000  # characters read of one text; the rest is not searched

RUN = re.compile(r"[^\W_]+")  # letters and digits of any script; linear, whatever the text


def words(*texts: str | None) -> list[str]:
    """The distinct words of `texts` in order of appearance: case-folded, compatibility forms unified, accents kept.

    At most WORDS_MAX words of WORD_MIN to WORD_MAX characters. The same text always gives the same words, so a
    search term normalised here meets the stored word by plain equality or prefix.
    """
    found: dict[str, None] = {}
    for text in texts:
        for word in _normalised(text or ""):
            found[word] = None
            if len(found) == WORDS_MAX:
                return list(found)
    return list(found)


def _normalised(text: str) -> Iterator[str]:
    # Folding can change the normal form and the other way round: fold, unify, fold again (Unicode 3.13, D146).
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text[:TEXT_MAX]).casefold()).casefold()
    for match in RUN.finditer(folded):
        word = match.group()[:WORD_MAX]
        if len(word) >= WORD_MIN:
            yield word
