"""Connections: the systems that we call."""

from alembic import op

from migrations.scripts import run_script

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table."""
    run_script("0033_connections.sql")


def downgrade() -> None:
    """Nobody is called."""
    op.execute("DROP TABLE connections")
