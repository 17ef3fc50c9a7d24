"""Who a key makes its holder, and when it makes nobody of them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from app.authentication import Principal, Unauthenticated, authenticate
from app.database import Database
from app.secrets import (
    Unsealable,
    Vault,
    new_api_key,
    new_hook_token,
    parse_api_key,
    parse_hook_token,
)
from tests.api.small_api import Caller, make_key, make_person, make_tenant

SECRET = b"0123456789abcdef0123456789abcdef"


async def enter(database: Database, caller: Caller) -> Principal:
    claim = parse_api_key(caller.key.text)
    assert claim is not None
    async with database.transaction(claim.tenant_id, read_only=True) as db:
        return (await authenticate(db, claim))[0]


async def test_a_key_makes_its_person(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser, "risk_owner", "hr")
    principal = await enter(database, caller)
    assert principal.id == principal.person_id == caller.id
    assert principal.kind == "person"
    assert principal.roles == {"risk_owner", "hr"}
    assert principal.client_ids is None
    assert principal.reads_all
    assert principal.member_id is None


async def test_a_key_has_at_most_the_roles_of_its_person(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser, "risk_owner", "hr")
    narrow = await make_key(superuser, caller.tenant_id, caller.id, roles=["hr", "legal_counsel"])
    assert (await enter(database, narrow)).roles == {"hr"}
    await superuser.execute("update people set roles = '{auditor}' where tenant_id = $1", caller.tenant_id)
    assert (await enter(database, narrow)).roles == set()
    assert (await enter(database, caller)).roles == {"auditor"}


@pytest.mark.parametrize(
    ("roles", "reads_all"),
    [(["tenant_admin"], False), ([], False), (["manager"], False), (["auditor"], True), (["communications"], True)],
)
async def test_only_content_roles_and_auditors_read_every_incident(
    database: Database, superuser: asyncpg.Connection, roles: list[str], reads_all: bool
) -> None:
    owner = await make_tenant(superuser)
    caller = await make_person(superuser, owner.tenant_id, *roles)
    principal = await enter(database, caller)
    assert principal.reads_all is reads_all
    assert principal.member_id == (None if reads_all else caller.id)


async def test_a_person_from_outside_reads_only_what_it_takes_part_in(
    database: Database, superuser: asyncpg.Connection
) -> None:
    caller = await make_tenant(superuser, "risk_owner")
    await superuser.execute(
        "update people set kind = 'external', expires_at = now() + interval '1 day' where tenant_id = $1",
        caller.tenant_id,
    )
    assert (await enter(database, caller)).member_id == caller.id


async def test_a_service_account_is_no_person(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser)
    account = uuid4()
    await superuser.execute(
        "insert into service_accounts (tenant_id, id, name) values ($1, $2, 'siem')", caller.tenant_id, account
    )
    machine = await make_key(superuser, caller.tenant_id, None, service_account_id=account, roles=["risk_owner"])
    principal = await enter(database, machine)
    assert principal.roles == {"service_account"}
    assert principal.person_id is None
    assert principal.id == principal.member_id == account
    await superuser.execute("update service_accounts set active = false where tenant_id = $1", caller.tenant_id)
    with pytest.raises(Unauthenticated):
        await enter(database, machine)


@pytest.mark.parametrize(
    "end",
    [
        "update api_keys set revoked_at = now() where tenant_id = $1",
        "update api_keys set expires_at = now() - interval '1 second' where tenant_id = $1",
        "update people set active = false where tenant_id = $1",
        "update people set expires_at = now() - interval '1 second' where tenant_id = $1",
    ],
)
async def test_what_has_ended_opens_nothing(database: Database, superuser: asyncpg.Connection, end: str) -> None:
    caller = await make_tenant(superuser)
    assert await enter(database, caller)
    await superuser.execute(end, caller.tenant_id)
    with pytest.raises(Unauthenticated):
        await enter(database, caller)


async def test_limits_of_a_key_reach_the_principal(database: Database, superuser: asyncpg.Connection) -> None:
    caller = await make_tenant(superuser)
    client, start = uuid4(), datetime.now(UTC) - timedelta(days=90)
    key = await make_key(superuser, caller.tenant_id, caller.id, client_ids=[client], period_from=start)
    principal = await enter(database, key)
    assert principal.client_ids == {client}
    assert principal.period_from == start
    assert principal.period_to is None


async def test_a_key_opens_no_other_tenant(database: Database, superuser: asyncpg.Connection) -> None:
    mine, theirs = await make_tenant(superuser), await make_tenant(superuser)
    claim = parse_api_key(mine.key.text)
    assert claim is not None
    async with database.transaction(theirs.tenant_id, read_only=True) as db:
        with pytest.raises(Unauthenticated):
            await authenticate(db, claim)


def test_keys_are_recognisable_and_checked() -> None:
    tenant = uuid4()
    key = new_api_key(tenant)
    claim = parse_api_key(key.text)
    assert claim is not None
    assert (claim.tenant_id, claim.hash, claim.prefix) == (tenant, key.hash, key.prefix)
    assert key.text.startswith(key.prefix)
    assert len(key.text) - len(key.prefix) > 40
    for position in range(len(key.text)):
        changed = "A" if key.text[position] != "A" else "B"
        assert parse_api_key(key.text[:position] + changed + key.text[position + 1 :]) is None
    for nonsense in ["", "hf_", key.text[:-1], key.text + "x", key.text.lower(), "hf_" + "é" * 72, key.text[3:]]:
        assert parse_api_key(nonsense) is None


def test_hook_tokens_carry_their_tenant() -> None:
    tenant = uuid4()
    token = new_hook_token(tenant)
    claim = parse_hook_token(token.text)
    assert claim is not None
    assert (claim.tenant_id, claim.hash) == (tenant, token.hash)
    assert parse_hook_token(token.text + "x") is None
    assert parse_hook_token(token.text.replace(".", "_")) is None


def test_sealed_bytes_open_only_where_they_belong() -> None:
    vault = Vault(SECRET)
    sealed = vault.seal(b"words", about=b"a")
    assert b"words" not in sealed
    assert vault.open(sealed, about=b"a") == b"words"
    spoilt = [sealed[:-1], sealed[:10] + bytes([sealed[10] ^ 1]) + sealed[11:], b"", b"\x02" + sealed[1:]]
    for bad in spoilt:
        with pytest.raises(Unsealable):
            vault.open(bad, about=b"a")
    with pytest.raises(Unsealable):
        vault.open(sealed, about=b"b")
    with pytest.raises(Unsealable):
        Vault(b"another secret of enough length.").open(sealed, about=b"a")


def test_a_new_secret_opens_what_the_old_one_sealed() -> None:
    old = Vault(SECRET)
    new = Vault(b"another secret of enough length.", [SECRET])
    sealed = old.seal(b"words", about=b"a")
    assert new.open(sealed, about=b"a") == b"words"
    assert not new.is_current(sealed)
    assert new.is_current(new.seal(b"words", about=b"a"))
