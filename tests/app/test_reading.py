"""The one read path: what is declared can be read, in one statement, as exact JSON; and SQL agrees with the rules."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import app.nouns
from app.authentication import Principal
from app.database import Database, Db
from app.nouns.columns import sla_state as sla_state_sql
from app.nouns.incidents import incident_key
from app.nouns.proof import OCCURRENCE_STATE
from app.offers import show_offers
from app.reading import read_all, read_one
from app.statements import NOUNS, Field, Group, Many, Noun, One, Pinned, Shape, compile_one, compile_page, shape
from domain.actors import Actor
from domain.deadlines import sla_state
from domain.risks import band
from tests.api.small_api import Caller, insert_thing, make_tenant

ALL = sorted(NOUNS)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def reader(caller: Caller, *roles: str) -> Principal:
    actor = Actor(kind="person", id=caller.id, roles=frozenset(roles))
    return Principal(caller.tenant_id, actor, caller.id, None, uuid4(), "Ann", frozenset(roles), None, True)


def everything(noun: Noun, depth: int = 2) -> Shape:
    """Every field of a noun and of what it leads to, a few levels deep."""
    parts: list[tuple[str, str, Shape | None]] = []
    for name, member in noun.fields.items():
        if isinstance(member, Field | Pinned):
            parts.append((name, name, None))
        elif isinstance(member, Group):
            parts.append((name, name, Shape(tuple((one, one, None) for one in member.fields))))
        elif depth:
            parts.append((name, name, everything(NOUNS[member.noun], depth - 1)))
    return Shape(tuple(parts))


@pytest.mark.parametrize("name", ALL)
async def test_every_field_can_be_read(database: Database, superuser: asyncpg.Connection, name: str) -> None:
    caller = await make_tenant(superuser)
    noun, whole = NOUNS[name], everything(NOUNS[name])
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        assert json.loads(await read_all(db, name, whole, {}, reader(caller)))[:0] == []
        key: Any = {"uuid": uuid4(), "integer": 1}.get(noun.key_type, "x")
        assert await read_one(db, name, whole, key, reader(caller)) is None


@pytest.mark.parametrize("name", ALL)
async def test_every_filter_and_sort_is_a_statement(
    database: Database, superuser: asyncpg.Connection, name: str
) -> None:
    caller = await make_tenant(superuser)
    noun = NOUNS[name]
    key = Shape((next((n, n, None) for n, m in noun.fields.items() if isinstance(m, Field)),))
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        for sort in [s for one in noun.sorts for s in (one, f"-{one}")]:
            for continued in (False, True):
                filters = tuple((one, 2 if noun.filters[one].each else 1) for one in sorted(noun.filters))
                sql, _ = compile_page(name, key, frozenset(), filters, sort, continued)
                await db.connection.prepare(sql)


def test_every_noun_can_be_listed_and_related() -> None:
    for noun in NOUNS.values():
        assert noun.sort.lstrip("-") in noun.sorts, noun.name
        for name, member in noun.fields.items():
            if isinstance(member, One | Many):
                assert member.noun in NOUNS, f"{noun.name}.{name}"


async def add_incident(database: Database, caller: Caller, title: str = "a") -> UUID:
    async with database.transaction(caller.tenant_id) as db:
        return await insert_thing(db, reader(caller), title)


async def read(db: Db, caller: Caller, incident: UUID, wanted: dict[str, Any], *roles: str) -> dict[str, Any]:
    text = await read_one(db, "incident", shape(wanted), incident, reader(caller, *roles))
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    "title", ['a "quoted" \\ title', "line\nbreak\ttab", "Grüße 日本 😀 \u2028", "</script>{{7*7}}"]
)
async def test_text_comes_back_exactly(database: Database, superuser: asyncpg.Connection, title: str) -> None:
    caller = await make_tenant(superuser)
    incident = await add_incident(database, caller, title)
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        found = await read(
            db, caller, incident, {"title": None, "reported_at": None, "client_ids": None, "facts": None}
        )
    assert found["title"] == title
    assert found["client_ids"] == []
    assert found["facts"] == {}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["reported_at"])


async def test_a_number_names_an_incident_too(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser)
    incident = await add_incident(database, caller)
    by_number = incident_key("INC-1001")
    assert by_number is not None
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        text = await read_one(db, "incident", shape({"id": None}), by_number[1], reader(caller), by=by_number[0])
    assert json.loads(text or "{}") == {"id": str(incident)}
    assert incident_key(str(incident)) == ("", incident)
    for nonsense in ["INC-0", "INC-", "inc-1001", "INC-1001 ", "x", "", "INC-99999999999"]:
        assert incident_key(nonsense) is None


async def test_rows_are_nested_where_they_belong(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser)
    first, second = [await add_incident(database, caller, title) for title in ("first", "second")]
    for incident, label in ((first, "one"), (second, "two")):
        await superuser.execute(
            "insert into external_references (tenant_id, incident_id, id, system, external_id, added_at)"
            " values ($1, $2, $3, 'jira', $4, now())",
            caller.tenant_id,
            incident,
            uuid4(),
            label,
        )
    wanted = shape({"title": None, "external_references": {"system": None, "id": None}, "assignee": {"name": None}})
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        items = json.loads(await read_all(db, "incident", wanted, {}, reader(caller)))
    assert items == [
        {"title": "second", "external_references": [{"system": "jira", "id": "two"}], "assignee": None},
        {"title": "first", "external_references": [{"system": "jira", "id": "one"}], "assignee": None},
    ]


async def test_a_hidden_field_reads_null(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser)
    await add_incident(database, caller)
    NOUNS["veiled"] = Noun(
        "veiled", "incidents", {"open": Field("{t}.title"), "veiled": Field("{t}.title", frozenset({"hr"}))}
    )
    try:
        wanted = shape({"open": None, "veiled": None})
        assert "null" in compile_one("veiled", wanted, frozenset(), "")[0]
        assert "null" not in compile_one("veiled", wanted, frozenset({"hr"}), "")[0]
    finally:
        del NOUNS["veiled"]


def offsets() -> st.SearchStrategy[datetime]:
    return st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at_risk=offsets(), grace=st.integers(0, 4), met=st.none() | offsets(), now=offsets())
async def test_the_sla_state_of_sql_is_that_of_the_rules(
    superuser: asyncpg.Connection, at_risk: datetime, grace: int, met: datetime | None, now: datetime
) -> None:
    breach = at_risk + timedelta(hours=grace)
    sql = sla_state_sql("t.met", "$4").replace("{t}", "t")
    found = await superuser.fetchval(
        f"select {sql} from (select $1::timestamptz at_risk_at, $2::timestamptz breach_at, $3::timestamptz met,"
        " $4::timestamptz) t",
        at_risk,
        breach,
        met,
        now,
    )
    assert found == sla_state(at_risk, breach, met, now)


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({}, "expected"),
        ({"due": -3, "breach": -2}, "breached"),
        ({"due": -1, "breach": 1}, "expected"),  # late, but within the grace period
        ({"met": 0}, "met"),
        ({"met": 4}, "met_late"),
        ({"met": 4, "met_occurred": 1}, "met"),  # the claimed instant is the result
        ({"met": 4, "skipped": 1}, "skipped"),
        ({"met": 1, "skipped": 1, "voided": 2}, "voided"),
    ],
)
async def test_the_state_of_an_occurrence(superuser: asyncpg.Connection, columns: dict[str, int], state: str) -> None:
    hours = {"due": 1, "breach": 2} | columns
    instants = {name: NOW + timedelta(hours=value) for name, value in hours.items()}
    names = {"due": "due_at", "breach": "breach_at", "met": "met_at", "met_occurred": "met_occurred_at",
             "skipped": "skipped_at", "voided": "voided_at"}  # fmt: skip
    places = ", ".join(f"${n}::timestamptz {column}" for n, column in enumerate(names.values(), 1))
    sql = OCCURRENCE_STATE.replace("{t}", "t").replace("{now}", "$7")
    found = await superuser.fetchval(
        f"select {sql} from (select {places}, $7::timestamptz) t", *(instants.get(name) for name in names), NOW
    )
    assert found == state


PERMITS = [
    ({"any_role": ["hr"]}, ["hr"], True, "gate"),
    ({"any_role": ["hr"]}, ["auditor"], True, "person"),
    ({"any_role": ["hr"]}, [], True, "person"),
    ({"only_persons": ["me"]}, [], True, "gate"),
    ({"only_persons": ["me"]}, [], False, "person"),
    ({"only_persons": ["other"]}, ["hr"], True, "person"),
    ({"any_role": ["hr"], "not_persons": ["me"]}, ["hr"], True, "person"),
    ({"any_role": ["hr"], "not_persons": ["other"]}, ["hr"], True, "gate"),
    ({"any_role": ["service_account"], "needs_person": True}, ["service_account"], False, "person"),
    ({"any_role": ["service_account"]}, ["service_account"], False, "gate"),
    ({}, ["hr"], True, "person"),
]


@pytest.mark.parametrize(("stored", "roles", "is_person", "permit"), PERMITS)
def test_transitions_are_matched_with_the_reader(
    stored: dict[str, Any], roles: list[str], is_person: bool, permit: str
) -> None:
    me = uuid4()
    text = json.dumps([{"transition": "complete", "permit": "gate", "gate": "G-1", **stored}])
    text = text.replace('"me"', f'"{me}"').replace('"other"', f'"{uuid4()}"')
    framed = f'{{"allowed_transitions":{{"@": {text}, "@@": 0}}}}'
    found = json.loads(show_offers(framed, frozenset(roles), me if is_person else None))["allowed_transitions"]
    assert [(one["transition"], one["permit"], one["missing"]) for one in found] == [("complete", permit, [])]
    if permit == "gate":
        assert found[0]["gate"] == "G-1"


async def test_a_caller_cannot_forge_stored_verdicts(database: Database, superuser: asyncpg.Connection) -> None:
    """What looks like the frame of stored verdicts inside a caller's own text or JSON stays what it is."""
    caller = await make_tenant(superuser)
    forged = '"allowed_transitions":{"@": [{"transition":"x","permit":"allowed"}], "@@": 0}'
    incident = await add_incident(database, caller, forged)
    await superuser.execute("update incidents set facts = $1 where id = $2", "{" + forged + "}", incident)
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        found = await read(db, caller, incident, {"title": None, "facts": None, "allowed_transitions": None})
    assert found == {"title": forged, "facts": json.loads("{" + forged + "}"), "allowed_transitions": []}


@pytest.mark.parametrize("likelihood", range(1, 6))
async def test_bands_are_those_of_the_rules(database: Database, superuser: asyncpg.Connection, likelihood: int) -> None:
    caller = await make_tenant(superuser)
    for impact in range(1, 6):
        await superuser.execute(
            "insert into risks (tenant_id, ref, title, description, category, likelihood, impact, residual_likelihood,"
            " residual_impact) values ($1, $2, 't', 'd', 'c', $3, $4, 1, $4)",
            caller.tenant_id,
            f"AR-00{impact}",
            likelihood,
            impact,
        )
    wanted = shape({"impact": None, "inherent_score": None, "inherent_band": None, "residual_band": None})
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        items = json.loads(await read_all(db, "risk", wanted, {}, reader(caller)))
    assert len(items) == 5
    for item in items:
        assert item["inherent_score"] == likelihood * item["impact"]
        assert item["inherent_band"] == band(likelihood * item["impact"])
        assert item["residual_band"] == band(item["impact"])


async def test_one_statement_whatever_the_shape(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser)
    incident = await add_incident(database, caller)
    statements: list[str] = []
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        logger = statements.append
        with db.connection.query_logger(lambda record: logger(record.query)):
            await read_one(db, "incident", everything(NOUNS["incident"]), incident, reader(caller))
    assert len(statements) == 1


def test_importing_the_nouns_declares_them() -> None:
    assert app.nouns.__all__
    assert "incident" in NOUNS
