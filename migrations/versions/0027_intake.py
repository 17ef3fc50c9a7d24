"""Deliveries that wait for what they are about, counted alerts, and names of clients without a meaning."""

from migrations.scripts import run_script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables, and a column with its index."""
    run_script("0027_intake.sql")


def downgrade() -> None:
    """What waits is forgotten; the deliveries stay."""
    run_script("0027_down.sql")
