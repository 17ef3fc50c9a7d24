"""What an endpoint is told: which types of events, and which of them pass its filter."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from domain.expressions import EvaluationFailed, InvalidExpression, Scope, compile_expression
from domain.refusals import InputError, Invalid

MEMBERS: Mapping[str, frozenset[str]] = {
    "type": frozenset(),
    "stream": frozenset(),
    "origin": frozenset({"kind", "id", "source_id", "connection_id", "external_event_id"}),
    "incident": frozenset(
        {"id", "number", "status", "severity", "playbook", "exercise", "client_ids", "labels", "next_due_at", "url"}
    ),
}
"""What a filter may ask: two texts, `origin` of the envelope, and the incident, unknown for what concerns none."""
VARIABLES = frozenset(MEMBERS)


def check_filter(text: str | None) -> None:
    """Raise Invalid for a filter that is no condition over MEMBERS: what it cannot decide would hold nothing back."""
    if text is None:
        return
    try:
        places = compile_expression(text, VARIABLES).places or ()
    except InvalidExpression as error:
        said = str(error)
        if error.position is not None and "at character" not in said:
            said = f"{said} (at character {error.position + 1})"
        reason = f"{said} It may ask: {', '.join(sorted(VARIABLES))}."
        raise Invalid("The filter cannot work like this.", errors=[InputError("/filter", reason[:300])]) from None
    strange = [(root, str(path[0])) for root, path in places if path and path[0] not in MEMBERS[root]]
    if strange:
        root, name = strange[0]
        reason = f"`{root}` has no `{name}`. It has: {', '.join(sorted(MEMBERS[root])) or 'no members, it is a text'}."
        raise Invalid("The filter cannot work like this.", errors=[InputError("/filter", reason)])


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
