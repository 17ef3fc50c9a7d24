"""The usual fields: a column as it is, an instant, a list of transitions as far as the reader may do them."""

from app.statements import Field, Pinned

# Obligations in the order in which their notices go out: by date, where no law moves one ahead, undated last.
LISTED = "coalesce({t}.listed_at,{t}.due_at,{t}.guideline_due_at,'infinity'::timestamptz)"


def plain(names: str) -> dict[str, Field]:
    """Columns, separated by spaces, whose value is the answer: text, numbers, lists, JSON."""
    return {name: Field(f"{{t}}.{name}") for name in names.split()}


def instants(names: str) -> dict[str, Field]:
    """Columns, separated by spaces, that hold an instant: answered in UTC with six decimals."""
    return {name: Field(f"instant({{t}}.{name})") for name in names.split()}


def pinned(names: str) -> dict[str, Pinned]:
    """What the playbook version says of a step or action: attributes of its struct, separated by spaces."""
    return dict.fromkeys(names.split(), Pinned())


def permitted(stored: str) -> Field:
    """The stored verdicts in `stored`, a JSON column; `app/offers.py` matches them with the reader."""
    return Field(f"coalesce({stored},'[]'::json)")


SLA_STATE = (
    "case when {met} is not null then case when {met} <= {t}.breach_at then 'met' else 'met_late' end"
    " when {at} > {t}.breach_at then 'breached' when {at} > {t}.at_risk_at then 'at_risk' else 'on_track' end"
)


def sla_state(met: str, at: str = "{now}") -> str:
    """The state of a deadline as `domain.deadlines.sla_state` computes it: the same rule in SQL."""
    return SLA_STATE.replace("{met}", met).replace("{at}", at)
