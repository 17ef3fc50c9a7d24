"""Which playbook a report seems to call for, and because of which words. A person decides; this only proposes."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from domain.expressions import Expression, Scope, compile_expression
from domain.playbook_files import SuggestText
from domain.words import words

VARIABLES = frozenset({"text", "words"})
TEXT_AT_MOST = 4_000  # characters that are looked at


class Suggestion(Struct, frozen=True):
    """A proposed playbook, with the reason in words."""

    slug: str
    because: str


class Sign(Struct, frozen=True):
    """One sign with its weight; one of negative weight speaks against the playbook and gives no reason for it."""

    slug: str
    expression: Expression
    weight: int
    because: str


def signs_of(slug: str, texts: Iterable[SuggestText]) -> list[Sign]:
    """The compiled signs of one playbook. Raises InvalidExpression for a condition that does not compile."""
    return [
        Sign(slug, compile_expression(text.when, VARIABLES, shipped=True), text.weight, text.because) for text in texts
    ]


def weigh(signs: Iterable[Sign], report: Mapping[str, Any]) -> Suggestion | None:
    """The playbook with the greatest weight of signs that hold, at least zero; the earlier one wins a tie.

    `report` is the mapped report; `title`, `summary`, `category` and `labels` are read as text.
    """
    parts = [report.get("title"), report.get("summary"), report.get("category"), *(report.get("labels") or ())]
    text = " ".join(str(part) for part in parts if part)[:TEXT_AT_MOST].casefold()
    scope = Scope({"text": text, "words": words(text)})
    weights: dict[str, int] = {}
    reasons: dict[str, list[str]] = {}
    for sign in signs:
        if sign.expression.holds(scope) is True:
            weights[sign.slug] = weights.get(sign.slug, 0) + sign.weight
            if sign.weight >= 0:
                reasons.setdefault(sign.slug, []).append(sign.because)
    slug = max(weights, key=lambda name: weights[name], default=None)
    if slug is None or weights[slug] < 0:
        return None
    return Suggestion(slug, " ".join(reasons[slug]))
