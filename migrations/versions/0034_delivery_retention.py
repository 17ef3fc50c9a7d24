"""Endpoints that are retired, and deliveries that are forgotten when they are done."""

from migrations.scripts import run_script

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A status, a right to remove, an index."""
    run_script("0034_delivery_retention.sql")


def downgrade() -> None:
    """Retired endpoints are disabled ones."""
    run_script("0034_down.sql")
