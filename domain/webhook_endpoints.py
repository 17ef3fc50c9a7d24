"""What an endpoint is told: which types of events, and which of them pass its filter."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from domain.expressions import EvaluationFailed, InvalidExpression, Scope, compile_expression
from domain.refusals import InputError, Invalid

VARIABLES = frozenset({"type", "stream", "origin", "incident"})
"""What a filter may ask: two texts, `origin` of the envelope, and {id, number, status, severity, playbook, exercise,
client_ids, labels} of the incident, which is unknown for what concerns none."""


def check_filter(text: str | None) -> None:
    """Raise Invalid for a filter that is no condition over VARIABLES."""
    if text is None:
        return
    try:
        compile_expression(text, VARIABLES)
    except InvalidExpression as error:
        said = str(error)
        if error.position is not None and "at character" not in said:
            said = f"{said} (at character {error.position + 1})"
        reason = f"{said} It may ask: {', '.join(sorted(VARIABLES))}."
        raise Invalid("The filter cannot work like this.", errors=[InputError("/filter", reason[:300])]) from None


def passes(text: str | None, known: Mapping[str, Any]) -> bool:
    """Whether an event passes a filter: unless the filter says no. One that cannot be decided holds nothing back."""
    if text is None:
        return True
    variables = {name: value for name, value in known.items() if name in VARIABLES and value is not None}
    try:
        return compile_expression(text, VARIABLES).holds(Scope(variables, VARIABLES - variables.keys())) is not False
    except (EvaluationFailed, InvalidExpression):
        return True


def masked_url(url: str) -> str:
    """What may be shown of an address that is a secret: where it leads, and that there is more."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/..."
