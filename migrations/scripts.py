"""Runs a file of SQL in a migration. A driver's prepared statement holds one command, so the file goes as a script."""

from importlib.resources import files

from alembic import op


def run_script(name: str) -> None:
    """Run `migrations/sql/<name>` in the transaction of the migration."""
    script = (files("migrations") / "sql" / name).read_text(encoding="utf-8")
    op.execute("SELECT 1")  # the adapter opens its transaction with the first statement that it sees itself
    adapted = op.get_bind().connection.dbapi_connection
    assert adapted is not None
    adapted.run_async(lambda connection: connection.execute(script))
