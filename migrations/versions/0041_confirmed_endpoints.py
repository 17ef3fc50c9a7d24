"""Endpoints are told nothing before they took a test event; those that exist are taken to have done so."""

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column. The owner looks past the walls for this."""
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN confirmed_at TIMESTAMP WITH TIME ZONE")
    op.execute("ALTER TABLE webhook_endpoints NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE webhook_endpoints SET confirmed_at = created_at")
    op.execute("ALTER TABLE webhook_endpoints FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Every endpoint is told at once."""
    op.execute("ALTER TABLE webhook_endpoints DROP COLUMN confirmed_at")
