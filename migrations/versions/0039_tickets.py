"""Endpoints that write to tickets."""

from migrations.scripts import run_script

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns and a format."""
    run_script("0039_tickets.sql")


def downgrade() -> None:
    """Nothing is written to tickets."""
    run_script("0039_down.sql")
