"""What playbook versions say, written into answers: the words that are stored, and only where the read path asks."""

import json

import asyncpg
import pytest

from app.catalogue import import_catalogue
from app.database import Database
from app.nouns.steps import ACTION_TEXTS, STEP_TEXTS
from app.offers import show_offers
from app.pinned_texts import mark, show_pinned
from tests.api.small_api import make_tenant


@pytest.mark.parametrize(
    ("noun", "table", "names"), [("step", "playbook_steps", STEP_TEXTS), ("action", "playbook_actions", ACTION_TEXTS)]
)
async def test_an_answer_says_what_is_stored(
    database: Database, superuser: asyncpg.Connection, noun: str, table: str, names: str
) -> None:
    await import_catalogue(superuser)
    caller = await make_tenant(superuser)
    marked = mark(noun, tuple((name, name) for name in names.split()), "t")
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        stored = await db.fetch(f"select hash, id, row_to_json(t)::text as whole from {table} t order by hash, id")
        assert len({row["hash"] for row in stored}) > 1
        for row in stored:
            source = "(select $1::text as playbook_hash, $2::text as id) t"
            text = await db.value(
                f"select row_to_json(o)::text from (select {marked} from {source}) o", row["hash"], row["id"]
            )
            whole = json.loads(row["whole"])
            assert json.loads(await show_pinned(db, text)) == {name: whole[name] for name in names.split()}


@pytest.mark.parametrize(
    "columns", ["null::text as playbook_hash, 'DL.1'::text as id", "$1 as playbook_hash, 'x' as id"]
)
async def test_what_no_playbook_says_reads_null(
    database: Database, superuser: asyncpg.Connection, columns: str
) -> None:
    await import_catalogue(superuser)
    caller = await make_tenant(superuser)
    marked = mark("step", (("called", "title"),), "t")
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        known = [await db.value("select hash from playbook_versions limit 1")] if "$1" in columns else []
        sql = f"select row_to_json(o)::text from (select {marked} from (select {columns}) t) o"
        assert json.loads(await show_pinned(db, await db.value(sql, *known))) == {"called": None}


@pytest.mark.parametrize("text", ["a@b", '"@', '"@":"0 x y"', '"allowed_transitions":{"@": [], "@@": 0}'])
async def test_what_a_caller_writes_stays_what_it_is(
    database: Database, superuser: asyncpg.Connection, text: str
) -> None:
    caller = await make_tenant(superuser)
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        sql = "select row_to_json(o)::text from (select $1::text as a, jsonb_build_object($1::text, $1::text) as b) o"
        shown = show_offers(await db.value(sql, text), frozenset(), None)
        assert json.loads(await show_pinned(db, shown)) == {"a": text, "b": {text: text}}
