"""Runs Alembic over asyncpg. `app/migrating.py` hands the connection settings over in `config.attributes`."""

import asyncio
from typing import Any

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.tables import METADATA

# A migration that waits for a lock makes everybody behind it wait too, so it gives up early and is run again.
LOCK_TIMEOUT_SECONDS = 10


def run(connection: Connection) -> None:
    """Run the chosen migrations in one transaction, as the owner of the tables."""
    attributes = context.config.attributes
    context.configure(connection=connection, target_metadata=METADATA, compare_server_default=True)
    with context.begin_transaction():
        settings = {"holdfast.runtime_role": attributes["runtime_role"], "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s"}
        for name, value in settings.items():
            connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
        if owner := attributes.get("owner_role"):
            connection.execute(text(f'SET LOCAL ROLE "{owner}"'))
        context.run_migrations()


async def main() -> None:
    """Connect with the settings of `config.attributes`: a DSN as asyncpg reads it."""
    dsn = context.config.attributes["dsn"]

    async def connect() -> Any:
        return await asyncpg.connect(dsn, server_settings={"TimeZone": "UTC", "search_path": "public"})

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


asyncio.run(main())
