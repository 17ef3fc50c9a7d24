"""The database roles: who owns the tables, who runs the service, who looks across tenants, who erases.

    holdfast_owner    owns the tables and runs migrations; nobody logs in with it unless the administrator says so
    holdfast          the runtime role (the name is a setting): no superuser, no BYPASSRLS, owns nothing
    holdfast_worker   may ask which tenants have due work; the runtime role enters it by SET LOCAL ROLE, inheriting
                      nothing
    holdfast_eraser   owns erase_event_data(), the one way to delete the data of an event
    holdfast_directory  owns tenant_of(), which says whose identity provider a token is from

Superusers, BYPASSRLS and (without FORCE) owners look past row-level security, so the service refuses to run as one.
"""

import asyncpg

OWNER = "holdfast_owner"
WORKER = "holdfast_worker"
ERASER = "holdfast_eraser"
DIRECTORY = "holdfast_directory"
DEFINERS = (ERASER, DIRECTORY)  # own the functions that look past the walls; nobody enters them
RUNTIME = "holdfast"

_LOCK = 4_830_011  # of pg_advisory_lock: roles belong to the cluster, so two databases may prepare them at once

_STANDING = """
SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole,
       EXISTS (SELECT 1 FROM pg_class c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
                 AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owns,
       coalesce(pg_has_role(r.oid, w.oid, 'USAGE'), false) AS inherits_worker,
       coalesce(pg_has_role(r.oid, w.oid, 'MEMBER'), false) AS enters_worker,
       (SELECT min(d.rolname) FROM pg_roles d WHERE d.rolname IN ('holdfast_eraser', 'holdfast_directory')
          AND pg_has_role(r.oid, d.oid, 'MEMBER')) AS definer,
       r.rolname AS name
FROM pg_roles r
LEFT JOIN pg_roles w ON w.rolname = 'holdfast_worker'
WHERE r.rolname = current_user
"""


class NotWalled(RuntimeError):
    """The role of the service would look past the walls between tenants. It must not start."""


class RolesMissing(RuntimeError):
    """A role is missing and this login may not create it. The message says what an administrator has to run."""


async def assert_walled(connection: asyncpg.Connection) -> None:
    """Raise NotWalled unless row-level security binds the role of this connection."""
    role = await connection.fetchrow(_STANDING)
    assert role is not None
    fault = None
    if role["rolsuper"]:
        fault = "is a superuser, and superusers ignore row-level security"
    elif role["rolbypassrls"]:
        fault = "has BYPASSRLS"
    elif role["rolcreaterole"]:
        fault = "has CREATEROLE and could make itself a stronger role"
    elif role["owns"]:
        fault = "owns the tables (or is a member of the role that does)"
    elif role["definer"]:
        fault = f"is a member of {role['definer']}"
    elif role["inherits_worker"]:
        fault = f"inherits {WORKER}: alter it to NOINHERIT, or grant the membership WITH INHERIT FALSE"
    elif not role["enters_worker"]:
        fault = f"is not a member of {WORKER}, so the worker could not find due work"
    if fault is not None:
        raise NotWalled(
            f'The database role "{role["name"]}" {fault}. Holdfast keeps tenants apart by row-level security and does '
            "not start as such a role. Use a login role made for it: NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOINHERIT, "
            f"owner of nothing, member of {WORKER}; `holdfast migrate` creates one when it may."
        )


async def prepare_roles(connection: asyncpg.Connection, runtime_role: str, runtime_password: str | None) -> None:
    """Create the roles that are missing and set the runtime role's password, as far as this login may.

    Raises RolesMissing when a role is missing and cannot be created.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for role in (OWNER, WORKER, *DEFINERS):
            await _create(connection, role, "NOLOGIN")
        made = await _create(connection, runtime_role, "LOGIN NOINHERIT")
        if runtime_password is not None:
            await _set_password(connection, runtime_role, runtime_password)
        await _join(connection, WORKER, runtime_role, fatal=made)


async def set_password(connection: asyncpg.Connection, runtime_role: str, runtime_password: str) -> None:
    """Let the runtime role log in with this password, whatever it was before."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await _set_password(connection, runtime_role, runtime_password)


async def lend_rights(connection: asyncpg.Connection) -> str | None:
    """Give the owner what a migration needs and return the role to migrate as; null: as the login itself.

    `take_rights_back` undoes it: between migrations the owner is no member of those who own the functions.
    """
    for grant in (
        f"GRANT {OWNER} TO CURRENT_USER",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}",
        *(f"GRANT USAGE, CREATE ON SCHEMA public TO {definer}" for definer in DEFINERS),
        *(f"GRANT {definer} TO {OWNER}" for definer in DEFINERS),
    ):
        await _try(connection, grant)
    may = await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", OWNER)
    return OWNER if may else None


async def take_rights_back(connection: asyncpg.Connection) -> None:
    """Undo what only a migration needs."""
    for definer in DEFINERS:
        await _try(connection, f"REVOKE {definer} FROM {OWNER}")
        await _try(connection, f"REVOKE CREATE ON SCHEMA public FROM {definer}")


async def _create(connection: asyncpg.Connection, role: str, attributes: str) -> bool:
    if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        return False
    statement = await connection.fetchval("SELECT format('CREATE ROLE %I ' || $2, $1::text)", role, attributes)
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        raise RolesMissing(
            f"The database has no role {role} and this login may not create it. "
            f"Ask its administrator to run: {statement};"
        ) from error
    return True


async def _set_password(connection: asyncpg.Connection, role: str, password: str) -> None:
    # format() quotes on the server; a password never becomes part of a statement by hand.
    await connection.execute(
        await connection.fetchval("SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)", role, password)
    )


async def _join(connection: asyncpg.Connection, role: str, member: str, *, fatal: bool) -> None:
    if await connection.fetchval("SELECT pg_has_role($1::name, $2::name, 'MEMBER')", member, role):
        return
    # From 16 on a membership itself says whether it inherits; on 15 the member's NOINHERIT does.
    how = " WITH INHERIT FALSE, SET TRUE" if connection.get_server_version().major >= 16 else ""
    statement = await connection.fetchval("SELECT format('GRANT %I TO %I', $1::text, $2::text)", role, member) + how
    if fatal:
        await connection.execute(statement)
    else:
        await _try(connection, statement)


async def _try(connection: asyncpg.Connection, statement: str) -> None:
    """Run a grant that an administrator may have made already, where this login may not."""
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        pass
