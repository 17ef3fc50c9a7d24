"""Breach statutes of one shape, told as a table: one row per state becomes the rules for each party that is told.

The laws of the states differ in figures, not in kind: who owns the data tells people, an authority and the consumer
reporting agencies, who maintains it for somebody tells the owner. data/obligations/us_states.yaml holds the figures.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Row = dict[str, Any]
Event = Literal["discovered_at", "determined_at", "individuals_notified_at", "hhs_notified_at"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Telling(_Strict):
    """One party's notice: how many residents it takes, by when from which event, and what is particular to it."""

    recipient: str | None = None
    at_least: int | None = None
    more_than: int | None = None
    event: Event | None = None  # the statute's own clock where absent
    after_individuals: bool = False  # counted from the notice to individuals
    duration: str | None = None
    at_once: bool = False
    order: Literal["before", "with"] | None = None  # toward the notice to individuals
    note: str | None = None


class HealthTelling(_Strict):
    """What an entity under HIPAA owes the state's authority: business days from telling HHS."""

    recipient: str
    business_days: int


class Statute(_Strict):
    """The statute of one state. `lists` are data types that trigger beside those that all of them list."""

    code: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    state: str
    citation: str
    event: Event
    lists: tuple[str, ...]
    individuals: Telling
    authority: Telling | None = None
    agencies: Telling | None = None
    maintainer: Telling
    health: HealthTelling | None = None
    question: str | None = None  # the legal test; None where the statute knows none
    exempt: tuple[Row, ...] = ()
    remarks: tuple[Row, ...] = ()
    content: tuple[str, ...] = ()
    note: str | None = None


class Statutes(_Strict):
    """What all statutes share, and the table."""

    version: str
    as_of: str
    asks: str
    trigger: str
    listed: tuple[str, ...]  # data types that every statute lists
    needs_legal: tuple[str, ...]  # data types that only counsel can place where a statute does not list them
    exempt: tuple[Row, ...]
    content: tuple[str, ...]
    table: tuple[Statute, ...]


OURS = 'data_role == "owner"'
NOT_OURS = {"when": 'data_role == "maintainer"', "text": "The duty is the client's: we maintain the data for it."}
OWNS = "Who owns or licenses the data tells"
MAINTAINS = "Who maintains the data for another tells the owner"


def rows_of(content: Any) -> list[Row]:
    """The rules of a table of statutes, as a rule file has them. Raises ValueError for a table that is wrong."""
    if content is None:
        return []
    statutes = Statutes.model_validate(content)
    return [row for one in statutes.table for row in _rows(statutes, one)]


def _rows(all_of_them: Statutes, one: Statute) -> list[Row]:
    shared = _shared(all_of_them, one)
    told = f"OB-US-{one.code}"
    rows = [
        shared
        | _owners(one, one.individuals)
        | {
            "id": told,
            "title": f"{one.state}: individuals",
            "toward": "individuals",
            "recipient": one.individuals.recipient or f"residents of {one.state} concerned",
            "content_requirements": [*all_of_them.content, *one.content],
            "remarks": list(one.remarks),
        }
    ]
    if one.authority is not None:
        rows.append(_to_authority(shared, one, one.authority))
    if one.health is not None:
        rows.append(_to_authority_after_hhs(shared, one, one.health))
    if one.agencies is not None:
        agencies = one.agencies.recipient or "nationwide consumer reporting agencies"
        rows.append(
            shared
            | _owners(one, one.agencies)
            | {"id": f"{told}-CRA", "title": f"{one.state}: reporting agencies", "toward": "third_party"}
            | {"recipient": agencies, "content_requirements": ["timing, distribution and content of the notices"]}
            | {"confidence": "M"}
        )
    rows.append(_to_owner(shared, one))
    return rows


def _shared(all_of_them: Statutes, one: Statute) -> Row:
    listed = [*all_of_them.listed, *one.lists]
    return {
        "version": all_of_them.version,
        "group": "us_state",
        "as_of": all_of_them.as_of,
        "confidence": "H",
        "citation": one.citation,
        "residents": {"within": [f"US-{one.code}"]},
        "asks": all_of_them.asks,
        "trigger": all_of_them.trigger,
        "elements": {
            "triggering": listed,
            "needs_legal": [name for name in all_of_them.needs_legal if name not in listed],
        },
        "exempt": [*all_of_them.exempt, *one.exempt],
        "legal_test": {"question": one.question} if one.question else None,
        "note": one.note,
    }


def _owners(one: Statute, telling: Telling) -> Row:
    """What a duty of the owner adds: whose it is, how many residents it takes, and its clock."""
    return {
        "per": "jurisdiction",
        "applies": OURS,
        "applies_text": OWNS,
        "clients_duty": NOT_OURS,
        "threshold": _threshold(telling),
        "clock": _clock(one, telling),
        "note": telling.note or one.note,
    }


def _to_authority(shared: Row, one: Statute, telling: Telling) -> Row:
    order = {"order": telling.order, "order_of": [f"OB-US-{one.code}"]} if telling.order else {}
    return (
        shared
        | _owners(one, telling)
        | {
            "id": f"OB-US-{one.code}-AG",
            "title": f"{one.state}: authority",
            "toward": "regulator",
            "recipient": telling.recipient or f"Attorney General of {one.state}",
            "content_requirements": ["what happened and when", "the number of residents told", "a copy of the notice"],
        }
        | order
    )


def _to_authority_after_hhs(shared: Row, one: Statute, health: HealthTelling) -> Row:
    clock = {
        "event": "hhs_notified_at",
        "submission_of": "OB-HIPAA-HHS-500",
        "business_days": health.business_days,
        "country": "US",
    }
    return shared | {
        "id": f"OB-US-{one.code}-AG-HIPAA",
        "title": f"{one.state}: authority, after HHS",
        "toward": "regulator",
        "recipient": health.recipient,
        "per": "jurisdiction",
        "applies": 'hipaa_role == "covered_entity"',
        "applies_text": "Who is subject to HIPAA and tells HHS tells the state as well",
        "trigger": "phi",
        "elements": None,
        "content_requirements": ["the notice that HHS received"],
        "clock": clock,
    }


def _to_owner(shared: Row, one: Statute) -> Row:
    telling = one.maintainer
    return shared | {
        "id": f"OB-US-{one.code}-MAINT",
        "title": f"{one.state}: owner of the data",
        "toward": "client",
        "recipient": "the owner or licensee of the data",
        "per": "client",
        "applies": 'data_role == "maintainer"',
        "applies_text": MAINTAINS,
        "legal_test": None,
        "content_requirements": ["what happened and when", "the types of data", "who is affected, as far as known"],
        "clock": _clock(one, telling),
        "confidence": "M",
        "note": telling.note,
    }


def _threshold(telling: Telling) -> Row | None:
    bounds = {"at_least": telling.at_least, "more_than": telling.more_than}
    known = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"fact": "residents", **known} if known else None


def _clock(one: Statute, telling: Telling) -> Row:
    clock: Row = {"event": telling.event or one.event, "duration": telling.duration, "at_once": telling.at_once}
    if telling.after_individuals:
        clock |= {"event": "individuals_notified_at", "submission_of": f"OB-US-{one.code}"}
    return clock
